using System.Globalization;
using Chatterbox.Audio;
using Chatterbox.Service.Hosting;
using Chatterbox.Service.Models;
using Chatterbox.Service.OpenAi;
using Chatterbox.Service.Sessions;

namespace Chatterbox.Service.Deepgram;

/// <summary>The voice and the form of audio that an address asks for.</summary>
/// <param name="Model">Who speaks.</param>
/// <param name="Name">Name of the voice.</param>
/// <param name="Format">The form of its audio.</param>
internal sealed record DeepgramVoice(FleetModel Model, string Name, AudioFormat Format)
{
    private const string OwnVoices = "aura-";

    /// <summary>Reads an address.</summary>
    /// <param name="http">The request.</param>
    /// <param name="fleet">The models.</param>
    /// <param name="codecs">The formats.</param>
    /// <param name="defaultEncoding">The encoding where it names none.</param>
    public static DeepgramVoice Of(HttpContext http, ModelFleet fleet, AudioCodecs codecs, string defaultEncoding)
    {
        var query = http.Request.Query;
        var name = query["model"].ToString();
        var format = FormatOf(
            query["encoding"].ToString() is { Length: > 0 } encoding ? encoding : defaultEncoding,
            query["container"],
            query["sample_rate"],
            query["bit_rate"],
            http.WebSockets.IsWebSocketRequest
        );
        if (codecs.UnsupportedReason(format) is { } reason)
        {
            throw OpenAiErrors.Invalid("encoding", reason, "ffmpeg_missing");
        }

        // One name is both at Deepgram: that of a model here speaks with its default voice, and so do Deepgram's own.
        var isOwn = name.Length == 0 || name.StartsWith(OwnVoices, StringComparison.OrdinalIgnoreCase);
        return fleet.Find(name) is { } model
            ? new(model, OpenAiOptions.Default, format)
            : new(fleet.Default, isOwn ? OpenAiOptions.Default : name, format);
    }

    /// <summary>A request for speech in it.</summary>
    public SpeechBody Saying(string text) => new(Model.Name, text, new(Name));

    private static AudioFormat FormatOf(string encoding, string? container, string? sampleRate, string? bitRate, bool isSocket)
    {
        var format = encoding switch
        {
            "linear16" => AudioFormat.Named["pcm"],
            "mulaw" => AudioFormat.Named["ulaw"],
            "alaw" => AudioFormat.Named["alaw"],
            "mp3" or "opus" or "flac" or "aac" when !isSocket => AudioFormat.Named[encoding],
            _ => throw OpenAiErrors.Invalid(
                "encoding",
                $"'encoding' must be linear16, mulaw or alaw{(isSocket ? "" : ", mp3, opus, flac or aac")}."
            ),
        };
        try
        {
            format = Number(sampleRate, "sample_rate") is { } rate ? format.At(rate) : format;
            format = Number(bitRate, "bit_rate") is { } bits ? format.WithBitRate(bits) : format;
        }
        catch (RequestException e)
        {
            throw OpenAiErrors.Invalid(bitRate is null ? "sample_rate" : "bit_rate", e.Message);
        }

        var isRaw = format.Codec is AudioCodec.Pcm16 or AudioCodec.MuLaw or AudioCodec.ALaw;
        return (container, isRaw) switch
        {
            (null or "wav", true) when !isSocket => format with { Container = AudioContainer.Wav },
            (null or "none" or "ogg", _) => format,
            _ => throw OpenAiErrors.Invalid("container", "'container' must be wav or none for linear16, mulaw and alaw, and ogg for opus."),
        };
    }

    private static int? Number(string? text, string name) =>
        text is null ? null
        : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number
        : throw OpenAiErrors.Invalid(name, $"'{name}' must be a whole number.");
}

/// <summary>Deepgram's route, as its clients and agent frameworks use it.</summary>
internal static class DeepgramEndpoints
{
    /// <summary>Its address, of both the WebSocket and the request.</summary>
    public const string Route = "/v1/speak";

    private static readonly TextLimits Limits = new("text", 20_000);

    /// <summary>Adds the routes.</summary>
    public static void MapDeepgram(this WebApplication app)
    {
        var routes = app.MapGroup("").WithTags("Deepgram").WithMetadata(DeepgramErrors.Dialect, KeyHeaders.Deepgram);
        routes
            .MapPost(Route, Speak)
            .WithSummary("Generates speech from a text")
            .WithDescription("Query: `model` (the voice), `encoding`, `container`, `sample_rate`, `bit_rate`.")
            .Produces<byte[]>(200, "audio/mpeg")
            .AlsoAnswers<byte[]>(AudioFormat.Named.Values.Select(f => f.ContentType))
            .WithErrors<DeepgramErrorBody>(400, 401, 404, 413, 429, 500, 503);
        routes
            .MapGet(Route, Serve)
            .WithSummary("Generates speech while the text is being written, over a WebSocket")
            .WithDescription(
                "A WebSocket. In: `Speak`, `Flush`, `Clear`, `Close`; out: binary frames of audio, `Metadata`, `Flushed`, `Cleared`, "
                    + "`Warning`. Query: `model` (the voice), `encoding`, `sample_rate`."
            )
            .Produces(StatusCodes.Status101SwitchingProtocols)
            .WithErrors<DeepgramErrorBody>(400, 401, 403, 426, 429);
    }

    private static async Task<IResult> Speak(
        DeepgramBody body,
        HttpContext http,
        ModelFleet fleet,
        AudioCodecs codecs,
        SpeechAnswers answers
    )
    {
        var voice = DeepgramVoice.Of(http, fleet, codecs, "mp3");
        var answer = await answers.BeginAsync(http, Route, voice.Model, voice.Saying(body.Text), voice.Format, Limits);
        var headers = http.Response.Headers;
        (headers["dg-request-id"], headers["dg-model-name"]) = (http.TraceIdentifier, voice.Model.Name);
        headers["dg-char-count"] = body.Text.Length.ToString(CultureInfo.InvariantCulture);
        return new SpeechResponse(answer, Delivery.Streamed);
    }

    private static Task Serve(HttpContext http, SessionDesk desk)
    {
        var voice = DeepgramVoice.Of(http, desk.Fleet, desk.Codecs, "linear16");
        return desk.ServeAsync(http, $"POST a complete text to {Route}.", session => new DeepgramSession(session, voice));
    }
}
