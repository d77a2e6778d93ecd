using Chatterbox.Service.Hosting;
using Chatterbox.Service.Models;
using Chatterbox.Service.OpenAi;
using Chatterbox.Service.Streaming;
using Microsoft.Extensions.Options;

namespace Chatterbox.Service.Sessions;

/// <summary>The WebSocket for those who speak while they write: text goes in as it comes, audio comes out.</summary>
internal static class SessionEndpoints
{
    /// <summary>Its address.</summary>
    public const string Route = "/v1/audio/speech/stream";

    private const string Description = """
        A WebSocket. Messages in: `session` (the parameters of `POST /v1/audio/speech` but `input`, `stream_format` and `instructions`, all of them optional, and
        `audio`: binary or base64), `text` (the next characters as they are written), `flush` (speak what waits, complete or not, and end the
        stream of audio), `cancel` (stop at once, drop everything), `end` (speak what waits, then close). Sentences are spoken as soon as they are complete. Messages out:
        `session.ready`, `sentence`, audio as binary frames or as `audio` in base64, `sentence.done`, `flushed`, `cancelled`, `error` (OpenAI's error object), `done`.
        docs/websocket.md has every field.
        """;

    private static readonly TimeSpan Heartbeat = TimeSpan.FromSeconds(15);

    /// <summary>Lets connections become WebSockets; those whose client is gone without a word are noticed.</summary>
    public static void UseSessions(this WebApplication app) => app.UseWebSockets(new() { KeepAliveInterval = Heartbeat, KeepAliveTimeout = Heartbeat });

    /// <summary>Adds the route.</summary>
    public static void MapSessions(this WebApplication app) => app.MapGet(Route, Serve)
        .WithTags("OpenAI")
        .WithMetadata(OpenAiErrors.Dialect)
        .WithSummary("Speaks a text while it is being written, over a WebSocket")
        .WithDescription(Description)
        .Produces(StatusCodes.Status101SwitchingProtocols)
        .WithErrors<OpenAiErrorBody>(401, 403, 426, 429);

    private static async Task Serve(
        HttpContext http, ModelFleet fleet, ModelNames models, VoiceNames voices, SpeechDesk desk, FfmpegEncoder ffmpeg, IOptions<StreamingOptions> options, IOptions<SecurityOptions> security,
        TimeProvider time, IHostApplicationLifetime lifetime, ServiceMetrics metrics, ILogger<SpeechSession> logger)
    {
        if (!http.WebSockets.IsWebSocketRequest)
        {
            throw new RefusedException(new Refusal(StatusCodes.Status426UpgradeRequired, "This address speaks WebSocket. For a text that is complete, POST it to /v1/audio/speech.", Code: "upgrade_required"));
        }

        if (!MayComeFrom(http.Request, security.Value))
        {
            throw new RefusedException(new Refusal(
                StatusCodes.Status403Forbidden, "Pages of this origin may not use the service. Security:CorsOrigins is the setting that lets them.", Code: "origin_not_allowed"));
        }

        using var socket = new SessionSocket(await http.WebSockets.AcceptWebSocketAsync(), options.Value.MaxMessageBytes, http.RequestAborted);
        metrics.SessionsChanged(1);
        try
        {
            await using var speaker = new SessionSpeaker(socket, http, desk, ffmpeg, options.Value, logger, lifetime.ApplicationStopping);
            await new SpeechSession(socket, speaker, http, fleet, models, voices, ffmpeg, options, time).RunAsync();
        }
        finally
        {
            metrics.SessionsChanged(-1);
        }
    }

    /// <summary>Browsers let every page open a WebSocket to everywhere, and leave the choice to who is asked.</summary>
    private static bool MayComeFrom(HttpRequest request, SecurityOptions security) =>
        request.Headers.Origin.ToString() is not { Length: > 0 } origin
        || security.CorsOrigins.Contains(origin, StringComparer.OrdinalIgnoreCase)
        || (Uri.TryCreate(origin, UriKind.Absolute, out var uri) && string.Equals(uri.Authority, request.Host.Value, StringComparison.OrdinalIgnoreCase));
}
