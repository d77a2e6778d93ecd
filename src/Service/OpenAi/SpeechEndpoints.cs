using Chatterbox.Audio;
using Chatterbox.Service.ElevenLabs;
using Chatterbox.Service.Hosting;
using Chatterbox.Service.Models;
using Chatterbox.Service.Recordings;
using Chatterbox.Service.Streaming;
using Chatterbox.Service.Voices;
using Microsoft.Extensions.Options;

namespace Chatterbox.Service.OpenAi;

/// <summary>OpenAI's speech route, and the routes of models and voices.</summary>
internal static class SpeechEndpoints
{
    private const string SpeechRoute = "/v1/audio/speech";

    private const string SpeechDescription =
        "Speech is sent chunk by chunk while the rest is being generated; with `chunk` false each piece of the text is generated "
        + "whole first. "
        + "`stream_format` audio answers bytes as they are generated; a streamed WAV has the sizes 0xFFFFFFFF, and `stream` false sends "
        + "a complete file with its true length. "
        + "`sse` answers data-only events: `speech.audio.delta` with bytes in base64, then `speech.audio.done` with the token counts; "
        + "`json` answers one object once all is generated. "
        + "`timestamp_granularities` adds when each sentence is heard to both; `response_format` srt and vtt answer that as subtitles. A "
        + "failure after the stream has begun is an "
        + "event of type `error`, and the stream ends. With `audio` the connection is closed early. The header `X-Chatterbox-Seed` has "
        + "the seed, `X-Chatterbox-Voice` the voice, "
        + "`X-Chatterbox-Ignored` the fields without effect. Repairs that are known only at the end of the speech are in "
        + "`speech.audio.done` and in the log.";

    private const string BatchDescription =
        "The fields of an item are those of `POST /v1/audio/speech`; fields beside `items` are those of every item that does not "
        + "have its own. "
        + "An item that cannot be spoken has status error and OpenAI's error object, and the others are spoken.";

    /// <summary>Registers what they need.</summary>
    public static void AddOpenAi(this WebApplicationBuilder builder)
    {
        builder.Services.AddSingleton(services => new AudioCodecs(services.GetRequiredService<IOptions<ServiceOptions>>().Value.Ffmpeg));
        builder.Services.AddSingleton<EncoderGate>();
        builder.Services.AddSingleton<ModelNames>();
        builder.Services.AddSingleton<VoiceNames>();
        builder.Services.AddSingleton<SpokenForms>();
        builder.Services.AddSingleton<VoiceUpload>();
        builder.Services.AddSingleton<SpeechAnswers>();
        builder.Services.AddSingleton<SpeechBatch>();
    }

    /// <summary>Adds the routes.</summary>
    public static void MapOpenAi(this WebApplication app)
    {
        var routes = app.MapGroup("/v1").WithTags("OpenAI").WithMetadata(OpenAiErrors.Dialect);
        routes
            .MapPost("/audio/speech", Speak)
            .WithMetadata(new TakesRecordings())
            .WithSummary("Generates speech from a text")
            .WithDescription(SpeechDescription)
            .Produces<SpeechStreamEvent>(200, "text/event-stream")
            .AlsoAnswers<SpeechObject>(["application/json"])
            .AlsoAnswers<byte[]>(AudioFormat.Named.Values.Select(f => f.ContentType))
            .AlsoAnswers<string>(Subtitles.Named.Values.Select(f => f.ContentType))
            .WithErrors<OpenAiErrorBody>(400, 401, 404, 413, 429, 500, 503);
        routes
            .MapPost(
                "/audio/speech/batch",
                (BatchBody body, SpeechBatch batch, HttpContext http) => new BatchResult(batch.SpeakAsync(body, http))
            )
            .WithMetadata(new TakesRecordings())
            .WithSummary("Generates speech from several texts")
            .WithDescription(BatchDescription)
            .Produces<BatchAnswer>()
            .WithErrors<OpenAiErrorBody>(400, 401, 413, 429);
        routes
            .MapPost(
                "/audio/voices",
                (VoiceUpload upload, HttpContext http, CancellationToken cancellationToken) => Upload(upload, http, cancellationToken)
            )
            .WithSummary("Adds a voice from a recording, if Voices:UploadsEnabled is set")
            .TakesForm(VoiceUpload.Fields)
            .Produces<OpenAiVoice>(201)
            .WithErrors<OpenAiErrorBody>(400, 401, 403, 409, 413, 503);
        routes
            .MapDelete(
                "/audio/voices/{name}",
                (string name, VoiceUpload upload) =>
                {
                    upload.Delete(name);
                    return TypedResults.NoContent();
                }
            )
            .WithSummary("Deletes a voice, if Voices:UploadsEnabled is set")
            .WithErrors<OpenAiErrorBody>(401, 403, 404);
        routes
            .MapGet("/audio/voices", (VoiceNames voices) => voices.List())
            .WithSummary("Lists the voices")
            .WithErrors<OpenAiErrorBody>(401);
        routes
            .MapGet("/audio/models", (ModelNames models) => new SpeechModelList(models.List().Data))
            .WithSummary("Lists the models, as Open WebUI asks for them")
            .WithErrors<OpenAiErrorBody>(401);
        routes
            .MapGet("/models", Models)
            .WithMetadata(KeyHeaders.ElevenLabs)
            .WithSummary("Lists the models; as ElevenLabs does where 'xi-api-key' is sent")
            .Produces<ModelList>()
            .WithErrors<OpenAiErrorBody>(401);
        routes
            .MapGet("/models/{*id}", (string id, ModelNames models) => models.Entry(models.Find(id)))
            .WithSummary("Describes a model")
            .WithErrors<OpenAiErrorBody>(401, 404);
    }

    // The one route that OpenAI's and ElevenLabs' clients share.
    private static IResult Models(HttpContext http, ModelNames models, ModelFleet fleet, IOptions<DialectOptions> dialects) =>
        dialects.Value.ElevenLabs && http.Request.Headers.ContainsKey(KeyHeaders.XiApiKey)
            ? TypedResults.Ok(ElevenEndpoints.Models(fleet))
            : TypedResults.Ok(models.List());

    private static async Task<IResult> Upload(VoiceUpload upload, HttpContext http, CancellationToken cancellationToken)
    {
        var voice = await upload.Add(http, cancellationToken);
        return TypedResults.Created($"/v1/audio/voices/{Uri.EscapeDataString(voice.Id)}", voice);
    }

    private static async Task<IResult> Speak(
        SpeechBody body,
        ModelNames models,
        SpeechAnswers answers,
        AudioCodecs codecs,
        IOptions<StrictOptions> strict,
        HttpContext http
    )
    {
        IgnoredFields.Report(body, strict.Value, http.Response.Headers);
        var model = models.Find(body.Model);
        if (Subtitles.Named.TryGetValue(body.ResponseFormat, out var subtitles))
        {
            var spoken = await answers.BeginAsync(
                http,
                SpeechRoute,
                model,
                body,
                AudioFormat.Named["pcm"],
                TextLimits.OpenAi with
                {
                    BySentence = true,
                }
            );
            return await subtitles.AnswerAsync(spoken, http);
        }

        var format = SpeechFormat.Of(body.ResponseFormat, body.SampleRate, codecs);
        var delivery = SpeechFormat.Delivery(format, body.StreamFormat, body.Stream, body.Chunk);
        return new SpeechResponse(await answers.BeginAsync(http, SpeechRoute, model, body, format), delivery);
    }
}
