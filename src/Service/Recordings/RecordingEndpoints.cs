using System.Globalization;
using Chatterbox.Engine;
using Chatterbox.Service.Hosting;
using Chatterbox.Service.Models;
using Chatterbox.Service.OpenAi;
using Chatterbox.Service.Streaming;
using Chatterbox.Service.Voices;
using Microsoft.Extensions.Options;

namespace Chatterbox.Service.Recordings;

/// <summary>What is looked for in a recording.</summary>
/// <param name="Marked">Whether it carries the watermark of machine-made speech.</param>
/// <param name="Confidence">How sure that is, 0 to 1; null where there is nothing to judge: of silence, and of less than 32 ms.</param>
/// <param name="Seconds">Length of the recording.</param>
internal sealed record WatermarkReport(bool Marked, double? Confidence, double Seconds);

/// <summary>What is done to recordings: they are said again in another voice, and looked at for the watermark.</summary>
internal static class RecordingEndpoints
{
    private const string ConversionRoute = "/v1/audio/conversions";

    private const string ConversionDescription =
        "The words of a recording and their timing, in another voice: one that has a name, or that of a second recording. The answer is streamed while it is made, half a minute at a time, "
        + "in the formats of `/v1/audio/speech` and with its events. It is watermarked, as all speech.";

    private static readonly FormField[] ConversionFields =
    [
        new("file", "What is to be said again: wav, mp3, flac, ogg or m4a.", IsFile: true, IsRequired: true),
        new("voice", "Who is to have said it: a name of `GET /v1/audio/voices`."),
        new("voice_file", "A recording of who is to have said it, instead of a name.", IsFile: true),
        new("model", "Name of a model; the default one if none is given."),
        new("response_format", "mp3, opus, aac, flac, wav, or pcm; mp3 if none is given."),
        new("stream_format", "audio for the bytes themselves, sse for events; audio if none is given."),
        new("seed", "The same seed gives the same speech; one is drawn if none is given, and the header X-Chatterbox-Seed tells it."),
    ];

    private static readonly FormField[] WatermarkFields = [new("file", "What is to be looked at: wav, mp3, flac, ogg or m4a.", IsFile: true, IsRequired: true)];

    /// <summary>Adds the routes.</summary>
    public static void MapRecordings(this WebApplication app)
    {
        var routes = app.MapGroup("/v1/audio").WithTags("Recordings").WithMetadata(OpenAiErrors.Dialect);
        routes.MapPost("/conversions", Convert)
            .WithSummary("Says a recording again in another voice")
            .WithDescription(ConversionDescription)
            .TakesForm(ConversionFields)
            .Produces<SpeechStreamEvent>(200, "text/event-stream")
            .AlsoAnswers<byte[]>(AudioFormat.All.Select(f => f.ContentType))
            .WithErrors<OpenAiErrorBody>(400, 401, 404, 413, 429, 500, 503);
        routes.MapPost("/watermark", Detect)
            .WithSummary("Says whether a recording carries the watermark of machine-made speech")
            .TakesForm(WatermarkFields)
            .Produces<WatermarkReport>()
            .WithErrors<OpenAiErrorBody>(400, 401, 413, 429, 503);
    }

    private static async Task<IResult> Convert(
        ModelFleet fleet, ModelNames models, SpeechDesk desk, VoiceNames voices, FfmpegEncoder ffmpeg, IOptions<VoiceOptions> limits, HttpContext http, ILogger<SpeechResponse> logger)
    {
        var cancel = http.RequestAborted;
        var form = await RecordingForm.ReadAsync(http, limits.Value, [.. ConversionFields.Select(field => field.Name)], recordings: 2);
        var model = form.Text("model") is { } name ? models.Find(name) : fleet.Default;
        var (format, asEvents) = SpeechFormat.Of(form.Text("response_format") ?? "mp3", form.Text("stream_format") ?? "audio", speed: 1, ffmpeg);
        var seed = Seed(form.Text("seed"));
        fleet.ThrowIfStarting();
        var recording = await form.Hear("file", cancel);
        var request = new ConversionRequest { Recording = recording, Voice = await FindVoice(form, model, voices, cancel), Seed = seed };
        var job = desk.Submit(http, ConversionRoute, model, request);
        http.Response.Headers["X-Chatterbox-Seed"] = seed.ToString(CultureInfo.InvariantCulture);
        var speech = new JoinedSpeech(TextPlan.Wordless);
        return new SpeechResponse(format, speech, format.Encode(speech.Blocks(job.Events, cancel), job.Begun, speed: 1, ffmpeg, cancel), asEvents, logger);
    }

    private static async Task<WatermarkReport> Detect(ModelFleet fleet, IOptions<VoiceOptions> limits, HttpContext http)
    {
        var form = await RecordingForm.ReadAsync(http, limits.Value, [.. WatermarkFields.Select(field => field.Name)]);
        fleet.ThrowIfStarting();
        var recording = await form.Hear("file", http.RequestAborted);
        var confidence = await fleet.Default.DetectWatermarkAsync(recording, http.RequestAborted);
        return new WatermarkReport(confidence > 0.5, confidence, recording.Duration.TotalSeconds);
    }

    /// <summary>The voice that is named, or of the recording that is sent; null for the model's own.</summary>
    private static async Task<Voice?> FindVoice(RecordingForm form, FleetModel model, VoiceNames voices, CancellationToken cancel)
    {
        var (name, file) = (form.Text("voice"), form.File("voice_file"));
        if (name is null == file is null)
        {
            throw OpenAiErrors.Invalid(
                "voice", $"The form has {(name is null ? "neither 'voice' nor" : "both 'voice' and")} 'voice_file'. Send one: a name, or a recording.", "missing_required_parameter");
        }

        if (name is not null)
        {
            return await voices.Find(name, model, cancel);
        }

        var recording = await form.Hear("voice_file", cancel);
        try
        {
            return await model.CreateVoiceAsync(recording, cancel);
        }
        catch (VoiceException e)
        {
            throw OpenAiErrors.Invalid("voice_file", e.Message, "unusable_voice");
        }
    }

    private static long Seed(string? text) => text is null ? SpeechParameters.DrawSeed()
        : long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var seed) ? seed
        : throw OpenAiErrors.Invalid("seed", "'seed' must be a whole number.", "invalid_type");
}
