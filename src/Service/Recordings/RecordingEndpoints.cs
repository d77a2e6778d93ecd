using System.Globalization;
using Chatterbox.Audio;
using Chatterbox.Engine;
using Chatterbox.Service.Hosting;
using Chatterbox.Service.Models;
using Chatterbox.Service.OpenAi;
using Chatterbox.Service.Streaming;
using Chatterbox.Service.Voices;
using Chatterbox.Text;
using Microsoft.Extensions.Options;

namespace Chatterbox.Service.Recordings;

/// <summary>The result of a watermark check.</summary>
/// <param name="Marked">Whether it carries the watermark of generated speech.</param>
/// <param name="Confidence">Confidence of the detector, 0 to 1; null for silence and for less than 32 ms.</param>
/// <param name="Seconds">Length of the recording.</param>
internal sealed record WatermarkReport(bool Marked, double? Confidence, double Seconds);

/// <summary>Routes for recordings: conversion to another voice, and detection of the watermark.</summary>
internal static class RecordingEndpoints
{
    private const string ConversionRoute = "/v1/audio/conversions";

    private const string ConversionDescription =
        "The words of a recording and their timing, in another voice: one that has a name, or that of a second recording. The answer is "
        + "streamed while it is generated, half a minute at a time, "
        + "in the formats of `/v1/audio/speech` and with its events. It is watermarked, as all speech.";

    private static readonly FormField[] ConversionFields =
    [
        new("file", "The recording to convert: wav, mp3, flac, opus, aiff, ogg or m4a.", IsFile: true, IsRequired: true),
        new("voice", "The target voice: a name of `GET /v1/audio/voices`."),
        new("voice_file", "A recording of the target voice, instead of a name.", IsFile: true),
        new("model", "Name of a model; the default model unless given."),
        new("response_format", "mp3, opus, aac, flac, wav, pcm, ulaw or alaw; mp3 unless given."),
        new("sample_rate", "Samples a second (Hz), 8000 to 48000; 24000 unless given, 8000 for ulaw and alaw."),
        new("stream_format", "audio for bytes, sse for events; audio unless given."),
        new(
            "stream",
            "false to send the audio once it is complete, with its length; true, which is the default, to send it while it is generated."
        ),
        new("seed", "The same seed gives the same speech; drawn unless given; the header X-Chatterbox-Seed has it."),
    ];

    private static readonly FormField[] WatermarkFields =
    [
        new("file", "The recording to check: wav, mp3, flac, opus, aiff, ogg or m4a.", IsFile: true, IsRequired: true),
    ];

    /// <summary>Adds the routes.</summary>
    public static void MapRecordings(this WebApplication app)
    {
        var routes = app.MapGroup("/v1/audio").WithTags("Recordings").WithMetadata(OpenAiErrors.Dialect);
        routes
            .MapPost("/conversions", Convert)
            .WithSummary("Converts a recording to another voice")
            .WithDescription(ConversionDescription)
            .TakesForm(ConversionFields)
            .Produces<SpeechStreamEvent>(200, "text/event-stream")
            .AlsoAnswers<byte[]>(AudioFormat.Named.Values.Select(f => f.ContentType))
            .WithErrors<OpenAiErrorBody>(400, 401, 404, 413, 429, 500, 503);
        routes
            .MapPost("/watermark", Detect)
            .WithSummary("Detects the watermark of generated speech in a recording")
            .TakesForm(WatermarkFields)
            .Produces<WatermarkReport>()
            .WithErrors<OpenAiErrorBody>(400, 401, 413, 429, 503);
    }

    private static async Task<IResult> Convert(
        ModelFleet fleet,
        ModelNames models,
        SpeechDesk desk,
        VoiceNames voices,
        AudioCodecs codecs,
        EncoderGate encoders,
        RecordingGate gate,
        IOptions<VoiceOptions> limits,
        HttpContext http
    )
    {
        var cancellationToken = http.RequestAborted;
        var form = await RecordingForm.ReadAsync(
            http,
            gate,
            limits.Value,
            [.. ConversionFields.Select(field => field.Name)],
            recordings: 2
        );
        var model = form.Text("model") is { } name ? models.Find(name) : fleet.Default;
        var format = SpeechFormat.Of(form.Text("response_format") ?? "mp3", SampleRate(form.Text("sample_rate")), codecs);
        var delivery = SpeechFormat.Delivery(format, form.Text("stream_format") ?? "audio", Stream(form.Text("stream")), chunk: true);
        var seed = Seed(form.Text("seed"));
        if (AudioCodecs.NeedsProcess(format))
        {
            http.Response.RegisterForDispose(encoders.Enter(Clients.Of(http)));
        }

        fleet.ThrowIfStarting();
        var recording = await form.Hear("file", cancellationToken);
        var voice = await FindVoice(form, model, voices, Clients.Of(http), cancellationToken);
        var request = new ConversionRequest
        {
            Recording = recording,
            Voice = voice.Voice,
            Seed = seed,
        };
        var job = desk.Submit(http, ConversionRoute, model, request);
        http.Response.Headers["X-Chatterbox-Seed"] = seed.ToString(CultureInfo.InvariantCulture);
        VoiceHeader.Set(http.Response.Headers, voice.Name);
        var speech = new JoinedSpeech(TextPlan.Wordless);
        return new SpeechResponse(
            new SpokenAnswer(
                TextPlan.Wordless,
                format,
                speech,
                isWhole =>
                    codecs.Encode(
                        speech.Blocks(job.Events, cancellationToken),
                        format,
                        begun: job.Begun,
                        isWhole: isWhole,
                        cancellationToken: cancellationToken
                    )
            ),
            delivery
        );
    }

    private static async Task<WatermarkReport> Detect(ModelFleet fleet, RecordingGate gate, IOptions<VoiceOptions> limits, HttpContext http)
    {
        var form = await RecordingForm.ReadAsync(http, gate, limits.Value, [.. WatermarkFields.Select(field => field.Name)]);
        fleet.ThrowIfStarting();
        var recording = await form.Hear("file", http.RequestAborted);
        var confidence = await fleet.Default.DetectWatermarkAsync(recording, Clients.Of(http), http.RequestAborted);
        return new WatermarkReport(confidence > 0.5, confidence, recording.Duration.TotalSeconds);
    }

    /// <summary>The voice that is named, or of the recording that is sent.</summary>
    private static async Task<NamedVoice> FindVoice(
        RecordingForm form,
        FleetModel model,
        VoiceNames voices,
        string client,
        CancellationToken cancellationToken
    )
    {
        var (name, file) = (form.Text("voice"), form.File("voice_file"));
        if (name is null == file is null)
        {
            throw OpenAiErrors.Invalid(
                "voice",
                $"The form has {(name is null ? "neither 'voice' nor" : "both 'voice' and")} 'voice_file'. Send one: a name, or a "
                    + $"recording.",
                "missing_required_parameter"
            );
        }

        if (name is not null)
        {
            return await voices.Find(name, model, client, cancellationToken);
        }

        var recording = await form.Hear("voice_file", cancellationToken);
        try
        {
            return new NamedVoice("voice_file", await model.CreateVoiceAsync(recording, client, cancellationToken));
        }
        catch (VoiceException e)
        {
            throw OpenAiErrors.Invalid("voice_file", e.Message, "unusable_voice");
        }
    }

    private static bool Stream(string? text) =>
        text switch
        {
            null or "true" => true,
            "false" => false,
            _ => throw OpenAiErrors.Invalid("stream", "'stream' must be true or false.", "invalid_type"),
        };

    private static long Seed(string? text) =>
        text is null ? SpeechParameters.DrawSeed()
        : long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var seed) ? seed
        : throw OpenAiErrors.Invalid("seed", "'seed' must be a whole number.", "invalid_type");

    private static int? SampleRate(string? text) =>
        text is null ? null
        : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var rate) ? rate
        : throw OpenAiErrors.Invalid("sample_rate", "'sample_rate' must be a whole number of Hz.", "invalid_type");
}
