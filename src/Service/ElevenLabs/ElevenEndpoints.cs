using Chatterbox.Audio;
using Chatterbox.Service.Hosting;
using Chatterbox.Service.Models;
using Chatterbox.Service.OpenAi;
using Chatterbox.Service.Sessions;
using Microsoft.AspNetCore.Mvc;

namespace Chatterbox.Service.ElevenLabs;

/// <summary>ElevenLabs' routes, as its clients and agent frameworks use them.</summary>
internal static class ElevenEndpoints
{
    private const string Voice = "voice_id";
    private const string Speech = "/v1/text-to-speech/{voice_id}";
    private const string Stream = Speech + "/stream";
    private const string Times = "/with-timestamps";

    private static readonly int[] Errors = [400, 401, 404, 413, 429, 500, 503];

    private const string SocketDescription =
        "A WebSocket. docs/clients.md has what it takes of ElevenLabs' messages. When characters are spoken is not known, so "
        + "alignments are null.";

    /// <summary>Registers what they need.</summary>
    public static void AddElevenLabs(this WebApplicationBuilder builder) => builder.Services.AddSingleton<ElevenAnswers>();

    /// <summary>Adds the routes.</summary>
    public static void MapElevenLabs(this WebApplication app)
    {
        var routes = app.MapGroup("").WithTags("ElevenLabs").WithMetadata(ElevenErrors.Dialect);
        var keyed = routes.MapGroup("").WithMetadata(KeyHeaders.ElevenLabs);
        keyed
            .MapPost(
                Speech,
                (ElevenAnswers answers, [FromRoute(Name = Voice)] string voice, ElevenBody body, HttpContext http) =>
                    answers.SpeakAsync(http, Speech, voice, body, Delivery.Whole)
            )
            .WithSummary("Generates speech")
            .SpeaksFormats();
        keyed
            .MapPost(
                Stream,
                (ElevenAnswers answers, [FromRoute(Name = Voice)] string voice, ElevenBody body, HttpContext http) =>
                    answers.SpeakAsync(http, Stream, voice, body, Delivery.Streamed)
            )
            .WithSummary("Generates speech, sent as it is made")
            .SpeaksFormats();
        keyed
            .MapPost(
                Speech + Times,
                (ElevenAnswers answers, [FromRoute(Name = Voice)] string voice, ElevenBody body, HttpContext http) =>
                    answers.SpeakTimedAsync(http, Speech + Times, voice, body, streams: false)
            )
            .WithSummary("Generates speech, with the times of its sentences")
            .Produces<ElevenTimedSpeech>()
            .WithErrors<ElevenErrorBody>(Errors);
        keyed
            .MapPost(
                Stream + Times,
                (ElevenAnswers answers, [FromRoute(Name = Voice)] string voice, ElevenBody body, HttpContext http) =>
                    answers.SpeakTimedAsync(http, Stream + Times, voice, body, streams: true)
            )
            .WithSummary("The same as it is made, in lines of JSON")
            .Produces<ElevenTimedSpeech>()
            .WithErrors<ElevenErrorBody>(Errors);
        keyed
            .MapGet("/v1/voices", (VoiceNames voices) => new ElevenVoiceList([.. voices.List().Voices.Select(Describe)]))
            .WithSummary("Lists the voices")
            .WithErrors<ElevenErrorBody>(401);
        keyed
            .MapGet(
                "/v1/voices/{voice_id}",
                ([FromRoute(Name = Voice)] string voice, VoiceNames voices) =>
                    Describe(voices.List().Voices.FirstOrDefault(known => known.Id == voice) ?? throw OpenAiErrors.NoVoice())
            )
            .WithSummary("Describes a voice")
            .WithErrors<ElevenErrorBody>(401, 404);
        routes.MapSocket("/stream-input", hasContexts: false);
        routes.MapSocket("/multi-stream-input", hasContexts: true);
    }

    /// <summary>The models, as these clients know them.</summary>
    public static IReadOnlyList<ElevenModel> Models(ModelFleet fleet) =>
        [
            .. fleet.All.Select(model => new ElevenModel(
                model.Name,
                model.Name,
                true,
                true,
                [.. model.Served.Languages.Select(code => new ElevenLanguage(code, code))]
            )),
        ];

    private static ElevenVoice Describe(OpenAiVoice voice) =>
        new(voice.Id, voice.Name, voice.Type is "built_in" or VoiceNames.Alias ? "premade" : "cloned", new Dictionary<string, string>());

    private static void MapSocket(this RouteGroupBuilder routes, string path, bool hasContexts) =>
        routes
            .MapGet(
                Speech + path,
                (HttpContext http, SessionDesk desk, ApiKeys keys, [FromRoute(Name = Voice)] string voice) =>
                {
                    var connection = ElevenConnection.Of(http, voice, desk.Fleet, desk.Codecs);
                    var isKnown = !keys.AreSet || http.Items.ContainsKey(Clients.KeyHolder);
                    return desk.ServeAsync(
                        http,
                        "POST a complete text to /v1/text-to-speech/{voice_id}.",
                        session => new ElevenSession(session, connection, Speech + path, hasContexts, keys, isKnown)
                    );
                }
            )
            .WithMetadata(KeyHeaders.ElevenLabsMessage)
            .WithSummary(
                $"Generates speech while the text is being written{(hasContexts ? ", several texts at once" : "")}, over a WebSocket"
            )
            .WithDescription(SocketDescription)
            .Produces(StatusCodes.Status101SwitchingProtocols)
            .WithErrors<ElevenErrorBody>(400, 401, 403, 426, 429);

    private static void SpeaksFormats(this RouteHandlerBuilder route) =>
        route
            .Produces<byte[]>(200, "audio/mpeg")
            .AlsoAnswers<byte[]>(AudioFormat.Named.Values.Select(f => f.ContentType))
            .WithErrors<ElevenErrorBody>(Errors);
}
