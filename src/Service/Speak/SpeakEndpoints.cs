using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
using System.Net;
using System.Text;
using System.Text.Unicode;
using Chatterbox.Service.Hosting;
using Chatterbox.Service.Streaming;
using Chatterbox.Service.Voices;
using Microsoft.AspNetCore.Mvc;

namespace Chatterbox.Service.Speak;

/// <summary>The routes that existing clients rely on, to the letter.</summary>
internal static class SpeakEndpoints
{
    private const string EventsDescription =
        "For each sentence two data-only events, in order: one with chunk_index, total_chunks, text, audio_size and status, then one "
        + "with audio_data, "
        + "a complete WAV file in base64. A sentence that failed has one event, with status error, and the stream continues. The last "
        + "event has status complete. "
        + "With `chunk` each sentence comes as several such pairs, sent while the rest of it is being generated: `chunk_index` counts "
        + "over all sentences, "
        + "`sentence_index` (in every event but the last) is the sentence, `total_sentences` the number of sentences, and `total_chunks` "
        + "the least number of chunks until the last event. "
        + "The samples of the WAV files are continuous. A sentence that fails after some of its chunks has one more event, with "
        + "status error.";

    /// <summary>Registers what they need.</summary>
    public static void AddSpeak(this WebApplicationBuilder builder)
    {
        builder.Services.AddSingleton<Speaker>();
        builder.Services.AddSingleton<FinishedFiles>();
        builder.Services.AddHostedService(services => services.GetRequiredService<FinishedFiles>());
        builder.Services.ConfigureHttpJsonOptions(json => Json.Configure(json.SerializerOptions));
        builder.Services.Configure<RouteHandlerOptions>(routes => routes.ThrowOnBadRequest = true); // the dialects answer
    }

    /// <summary>Adds the routes.</summary>
    public static void MapSpeak(this WebApplication app)
    {
        var routes = app.MapGroup("").WithTags("Speak").WithMetadata(SpeakErrors.Dialect);
        routes
            .MapPost("/speak", Speak)
            .WithSummary("Generates speech: events sentence by sentence, or a file")
            .WithDescription(EventsDescription)
            .Produces<SpeakSaved>()
            .AlsoAnswers<SpeakEvent>("text/event-stream")
            .WithErrors<SpeakError>(400, 401, 413, 429, 500, 503);
        routes
            .MapGet("/speak", SpeakFromQuery)
            .WithMetadata(new CostsModelTime())
            .WithSummary("The same events for a browser's EventSource, which can only GET")
            .WithDescription(EventsDescription)
            .Produces<SpeakEvent>(200, "text/event-stream")
            .WithErrors<SpeakError>(400, 401, 429, 503);
        routes
            .MapGet("/voices", (VoiceFolder folder) => new VoiceList(folder.SpeakNames(), "Built-in default voice"))
            .WithSummary("Lists the recordings that /speak knows")
            .WithErrors<SpeakError>(401);
        routes
            .MapGet("/audio/{id}", Audio)
            .WithSummary("A finished file")
            .Produces<byte[]>(200, "audio/wav")
            .AlsoAnswers<byte[]>("audio/wav")
            .WithErrors<SpeakError>(401, 404);
    }

    private static async Task<IResult> Speak(SpeakRequest body, Speaker speaker, HttpContext http) =>
        body.Stream
            ? new SseResult<SpeakEvent>(await speaker.Stream(body, http), Json.Of<SpeakEvent>())
            : TypedResults.Ok(await speaker.Save(body, http));

    private static async Task<IResult> SpeakFromQuery(
        Speaker speaker,
        HttpContext http,
        [Description("The text")] string text,
        [Description("Name of a recording, without extension")] string voice = "default",
        [Description("How lively the speech is"), Range(0.0, 2.0)] double exaggeration = 0.5,
        [Description("Strength of guidance by the text"), Range(0.0, 2.0), FromQuery(Name = "cfg_weight")] double cfgWeight = 0.5,
        [Description("Whether events come chunk by chunk, while the sentence is being generated")] bool chunk = false,
        [Description("The same seed gives the same speech; drawn unless given")] long? seed = null
    )
    {
        var query = Encoding.UTF8.GetBytes(http.Request.QueryString.Value!); // not empty: it has the text
        if (!Utf8.IsValid(WebUtility.UrlDecodeToBytes(query, 0, query.Length)))
        {
            throw new RequestException("The query is not UTF-8. Escape the bytes of UTF-8 text.", "text");
        }

        return new SseResult<SpeakEvent>(
            await speaker.Stream(new SpeakRequest(text, voice, exaggeration, cfgWeight, Stream: true, chunk, seed), http),
            Json.Of<SpeakEvent>()
        );
    }

    private static IResult Audio(string id, FinishedFiles files) =>
        files.Open(id) is { } file
            ? TypedResults.Stream(
                file,
                "audio/wav",
                lastModified: File.GetLastWriteTimeUtc(file.SafeFileHandle),
                enableRangeProcessing: true
            )
            : throw new RefusedException(new Refusal(404, "Audio not found", "id", "not_found"));
}
