using Chatterbox.Audio;
using Chatterbox.Service.Hosting;
using Chatterbox.Service.Models;
using Chatterbox.Service.OpenAi;
using Chatterbox.Service.Voices;
using Chatterbox.Text;
using Microsoft.AspNetCore.Mvc;

namespace Chatterbox.Service.ChatterboxServer;

/// <summary>The routes of the most used Chatterbox server, which SillyTavern's own provider speaks.</summary>
internal static class ServerEndpoints
{
    private static readonly TextLimits Limits = new("text", 20_000);

    /// <summary>Adds the routes.</summary>
    public static void MapChatterboxServer(this WebApplication app)
    {
        var routes = app.MapGroup("").WithTags("Chatterbox server").WithMetadata(ServerErrors.Dialect);
        routes
            .MapGet(
                "/get_predefined_voices",
                (VoiceFolder folder) =>
                    new List<ServerVoice>([
                        new("Default", OpenAiOptions.Default),
                        .. folder.All().Select(voice => new ServerVoice(voice.Id, Path.GetFileName(voice.Path))),
                    ])
            )
            .WithSummary("Lists the voices")
            .WithErrors<ServerErrorBody>(401);
        routes
            .MapGet(
                "/get_reference_files",
                (VoiceFolder folder) =>
                    folder.All().Where(voice => !voice.IsVoiceFile).Select(voice => Path.GetFileName(voice.Path)).ToList()
            )
            .WithSummary("Lists the recordings of voices")
            .WithErrors<ServerErrorBody>(401);
        routes
            .MapGet("/api/model-info", (ModelFleet fleet) => Describe(fleet.Default))
            .WithSummary("Describes the model")
            .WithErrors<ServerErrorBody>(401);
        routes
            .MapPost(
                "/tts",
                (ServerBody body, HttpContext http, ModelFleet fleet, AudioCodecs codecs, SpeechAnswers answers) =>
                    Speak("/tts", body, http, fleet, codecs, answers)
            )
            .WithSummary("Generates speech from a text")
            .Speaks();
        routes
            .MapGet("/tts-stream", SpeakFromQuery)
            .WithMetadata(new CostsModelTime())
            .WithSummary("Generates speech from a text, sent as it is made: for an <audio> element")
            .Speaks();
    }

    private static void Speaks(this RouteHandlerBuilder route) =>
        route
            .Produces<byte[]>(200, "audio/wav")
            .AlsoAnswers<byte[]>("audio/opus", "audio/mpeg")
            .WithErrors<ServerErrorBody>(400, 401, 404, 413, 429, 500, 503);

    private static Task<IResult> SpeakFromQuery(
        HttpContext http,
        ModelFleet fleet,
        AudioCodecs codecs,
        SpeechAnswers answers,
        string text,
        double? temperature,
        double? exaggeration,
        long? seed,
        string? language,
        [FromQuery(Name = "voice_mode")] string voiceMode = "predefined",
        [FromQuery(Name = "predefined_voice_id")] string? predefinedVoiceId = null,
        [FromQuery(Name = "reference_audio_filename")] string? referenceAudioFilename = null,
        [FromQuery(Name = "cfg_weight")] double? cfgWeight = null,
        [FromQuery(Name = "speed_factor")] double? speedFactor = null,
        [FromQuery(Name = "split_text")] bool splitText = true,
        [FromQuery(Name = "chunk_size")] int chunkSize = 120,
        [FromQuery(Name = "output_format")] string outputFormat = "wav"
    ) =>
        Speak(
            "/tts-stream",
            new ServerBody(
                text,
                voiceMode,
                predefinedVoiceId,
                referenceAudioFilename,
                temperature,
                exaggeration,
                cfgWeight,
                seed,
                speedFactor,
                language,
                splitText,
                chunkSize,
                outputFormat,
                Stream: true
            ),
            http,
            fleet,
            codecs,
            answers
        );

    private static async Task<IResult> Speak(
        string route,
        ServerBody body,
        HttpContext http,
        ModelFleet fleet,
        AudioCodecs codecs,
        SpeechAnswers answers
    )
    {
        if (body.OutputFormat is not ("wav" or "opus" or "mp3"))
        {
            throw OpenAiErrors.Invalid("output_format", "'output_format' must be wav, opus or mp3.");
        }

        if (body.ChunkSize is not (>= 50 and <= 500))
        {
            throw OpenAiErrors.Invalid("chunk_size", $"'chunk_size' is {body.ChunkSize}; it must be from 50 to 500.");
        }

        var limits = body.SplitText ? Limits with { PieceLength = Math.Min(body.ChunkSize, SentenceSplitter.DefaultLength) } : Limits;
        var format = SpeechFormat.Of(body.OutputFormat, sampleRate: null, codecs);
        var answer = await answers.BeginAsync(http, route, fleet.Default, Request(body, fleet.Default), format, limits);
        return new SpeechResponse(answer, body.Stream ? Delivery.Streamed : Delivery.Whole);
    }

    /// <summary>The request for speech. These clients send every parameter, whatever the model has: those without effect are left
    /// out.</summary>
    private static SpeechBody Request(ServerBody body, FleetModel model)
    {
        var served = model.Served;
        return new SpeechBody(model.Name, body.Text, new(VoiceName(body)))
        {
            Temperature = body.Temperature,
            Exaggeration = served.Lacks.Contains("exaggeration") ? null : body.Exaggeration,
            CfgWeight = served.Lacks.Contains("cfg_weight") ? null : body.CfgWeight,
            Seed = body.Seed is null or 0 or -1 ? null : body.Seed,
            Speed = body.SpeedFactor ?? 1,
            Language =
                served.Languages.Count == 0 || body.Language is null
                    ? null
                    : served.Languages.FirstOrDefault(code =>
                        body.Language == code || body.Language.StartsWith(code + "-", StringComparison.OrdinalIgnoreCase)
                    ) ?? body.Language,
            Stream = body.Stream,
        };
    }

    private static string VoiceName(ServerBody body) =>
        body.VoiceMode switch
        {
            "predefined" => body.PredefinedVoiceId ?? OpenAiOptions.Default,
            "clone" => body.ReferenceAudioFilename
                ?? throw OpenAiErrors.Invalid(
                    "reference_audio_filename",
                    "'reference_audio_filename' is missing. Send a name of GET /get_reference_files."
                ),
            _ => throw OpenAiErrors.Invalid("voice_mode", "'voice_mode' must be predefined or clone."),
        };

    private static ServerModel Describe(FleetModel model) =>
        new(
            model.State == ModelState.Ready,
            model.Name,
            "Chatterbox",
            model.Served.Device,
            SpeechResult.SampleRate,
            model.Served.Tags.Count > 0,
            model.Served.Tags,
            model.Served.Languages.Count > 1,
            model.Served.Languages.Count > 0 ? model.Served.Languages : ["en"]
        );
}
