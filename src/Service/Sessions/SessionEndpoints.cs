using Chatterbox.Service.Hosting;
using Chatterbox.Service.OpenAi;
using Chatterbox.Service.VllmOmni;
using Microsoft.Extensions.Options;

namespace Chatterbox.Service.Sessions;

/// <summary>The WebSocket for text that is still being written: text in, audio out.</summary>
internal static class SessionEndpoints
{
    /// <summary>Its address.</summary>
    public const string Route = "/v1/audio/speech/stream";

    private const string Description = """
        A WebSocket. Messages in: `session` (the parameters of `POST /v1/audio/speech` but `input`, `stream_format` and `instructions`, all of them optional, and
        `audio`: binary or base64), `text` (the next characters as they are written), `flush` (speak the waiting text, complete or not, and end the
        stream of audio), `cancel` (stop at once, discard everything), `end` (speak the waiting text, then close). Sentences are spoken as soon as they are complete. Messages out:
        `session.ready`, `sentence`, audio as binary frames or as `audio` in base64, `sentence.done`, `flushed`, `cancelled`, `error` (OpenAI's error object), `done`.
        docs/websocket.md has every field.
        """;

    private static readonly TimeSpan Heartbeat = TimeSpan.FromSeconds(15);

    /// <summary>Registers what they need.</summary>
    public static void AddSessions(this WebApplicationBuilder builder)
    {
        builder.Services.AddSingleton<SessionGate>();
        builder.Services.AddSingleton<SessionDesk>();
    }

    /// <summary>Accepts WebSockets, and detects lost connections.</summary>
    public static void UseSessions(this WebApplication app) =>
        app.UseWebSockets(new() { KeepAliveInterval = Heartbeat, KeepAliveTimeout = Heartbeat });

    /// <summary>Adds the route.</summary>
    public static void MapSessions(this WebApplication app) =>
        app.MapGet(Route, Serve)
            .WithTags("OpenAI")
            .WithMetadata(OpenAiErrors.Dialect)
            .WithSummary("Generates speech while the text is being written, over a WebSocket")
            .WithDescription(Description)
            .Produces(StatusCodes.Status101SwitchingProtocols)
            .WithErrors<OpenAiErrorBody>(401, 403, 426, 429);

    private static Task Serve(HttpContext http, SessionDesk desk, IOptions<DialectOptions> dialects) =>
        desk.ServeAsync(
            http,
            "POST a complete text to /v1/audio/speech.",
            session => dialects.Value.VllmOmni ? new ChosenDialect(session) : new SpeechSession(session)
        );
}
