using System.Globalization;
using Chatterbox.Engine;
using Chatterbox.Service.Hosting;
using Chatterbox.Service.Models;
using Chatterbox.Service.Streaming;
using Chatterbox.Service.Voices;
using Microsoft.Extensions.Options;

namespace Chatterbox.Service.OpenAi;

/// <summary>OpenAI's speech route and what its clients ask beside it.</summary>
internal static class SpeechEndpoints
{
    private const string SpeechDescription =
        "Speech is sent chunk by chunk while the rest is still being made; `chunk` false makes each piece of the text whole first. "
        + "`stream_format` audio answers the bytes as they are made; a streamed WAV carries 0xFFFFFFFF sizes. `sse` answers data-only events: "
        + "`speech.audio.delta` with bytes in base64, then `speech.audio.done` with the token counts; what fails after the stream has begun is an event "
        + "of type `error`, and the stream ends. In `audio` the answer then breaks off. The header `X-Chatterbox-Seed` tells the seed, "
        + "`X-Chatterbox-Ignored` the parameters that were ignored. Repairs that are known only at the end of the speech are told in `speech.audio.done`, and in the log.";

    /// <summary>Registers what they need.</summary>
    public static void AddOpenAi(this WebApplicationBuilder builder)
    {
        builder.Services.AddSingleton<FfmpegEncoder>();
        builder.Services.AddSingleton<ModelNames>();
        builder.Services.AddSingleton<VoiceNames>();
        builder.Services.AddSingleton<VoiceUpload>();
    }

    /// <summary>Adds the routes.</summary>
    public static void MapOpenAi(this WebApplication app)
    {
        var routes = app.MapGroup("/v1").WithTags("OpenAI").WithMetadata(OpenAiErrors.Dialect);
        routes.MapPost("/audio/speech", Speak)
            .WithSummary("Speaks a text")
            .WithDescription(SpeechDescription)
            .Produces<SpeechStreamEvent>(200, "text/event-stream")
            .AlsoAnswers<byte[]>(AudioFormat.All.Select(f => f.ContentType))
            .WithErrors<OpenAiErrorBody>(400, 401, 404, 413, 429, 500, 503);
        routes.MapPost("/audio/voices", (VoiceUpload upload, HttpContext http, CancellationToken cancel) => Upload(upload, http, cancel))
            .WithSummary("Adds a voice from a recording; off unless Voices:UploadsEnabled is set")
            .TakesForm(VoiceUpload.Fields)
            .Produces<OpenAiVoice>(201)
            .WithErrors<OpenAiErrorBody>(400, 401, 403, 409, 413, 503);
        routes.MapDelete("/audio/voices/{name}", (string name, VoiceUpload upload) =>
        {
            upload.Delete(name);
            return TypedResults.NoContent();
        }).WithSummary("Deletes a voice; off unless Voices:UploadsEnabled is set").WithErrors<OpenAiErrorBody>(401, 403, 404);
        routes.MapGet("/audio/voices", (VoiceNames voices) => voices.List()).WithSummary("Voices that can be named").WithErrors<OpenAiErrorBody>(401);
        routes.MapGet("/models", (ModelNames models) => models.List()).WithSummary("Models that can be named").WithErrors<OpenAiErrorBody>(401);
        routes.MapGet("/models/{*id}", (string id, ModelNames models) => models.Entry(models.Find(id))).WithSummary("One model").WithErrors<OpenAiErrorBody>(401, 404);
    }

    private static async Task<IResult> Upload(VoiceUpload upload, HttpContext http, CancellationToken cancel)
    {
        var voice = await upload.Add(http, cancel);
        return TypedResults.Created($"/v1/audio/voices/{Uri.EscapeDataString(voice.Id)}", voice);
    }

    private static async Task<IResult> Speak(
        SpeechBody body, ModelFleet fleet, ModelNames models, SpeechDesk desk, VoiceNames voices, FfmpegEncoder ffmpeg, IOptions<StreamingOptions> streaming, HttpContext http, ILogger<SpeechResponse> logger, CancellationToken cancel)
    {
        var model = models.Find(body.Model);
        SpeechParameters.Check(body, model.Served);
        var (format, asEvents) = SpeechFormat.Of(body.ResponseFormat, body.StreamFormat, body.Speed, ffmpeg);
        var plan = TextPlan.Of(body.Input, "input");
        fleet.ThrowIfStarting();
        var seed = body.Seed ?? SpeechParameters.DrawSeed();
        var request = new SpeechRequest
        {
            Pieces = plan.Pieces,
            Voice = await voices.Find(body.Voice, model, cancel),
            Sampling = SpeechParameters.Sampling(body, seed),
            Language = body.Language,
            Chunks = body.Chunk ? streaming.Value.Chunks() : null,
        };
        var job = desk.Submit(http, "/v1/audio/speech", model, request);
        http.Response.Headers["X-Chatterbox-Seed"] = seed.ToString(CultureInfo.InvariantCulture);
        if (body.Instructions is not null)
        {
            http.Response.Headers["X-Chatterbox-Ignored"] = "instructions";
        }

        var speech = new JoinedSpeech(plan);
        var bytes = format.Encode(speech.Blocks(job.Events, cancel), job.Begun, body.Speed, ffmpeg, cancel);
        return new SpeechResponse(format, speech, bytes, asEvents, logger);
    }
}
