using Chatterbox.Audio;
using Chatterbox.Service.Models;
using Chatterbox.Service.OpenAi;

namespace Chatterbox.Service.ElevenLabs;

/// <summary>What ElevenLabs' parameters are here.</summary>
internal static class ElevenSpeech
{
    /// <summary>How the routes take their texts.</summary>
    public static readonly TextLimits Limits = new("text", 20_000);

    private const string DefaultFormat = "mp3_44100_128";
    private const double NeutralExaggeration = 0.5;
    private const double TemperatureAtNoStability = 1.3; // at 0.5, which clients send unless told otherwise, it is the model's own 0.8

    /// <summary>The model of a name. Clients send names of ElevenLabs' own models: the default one speaks for those.</summary>
    public static FleetModel Model(ModelFleet fleet, string? name) => (name is null ? null : fleet.Find(name)) ?? fleet.Default;

    /// <summary>A request for speech.</summary>
    public static SpeechBody Body(
        FleetModel model,
        string voice,
        string text,
        ElevenVoiceSettings? settings,
        string? language,
        long? seed,
        bool? normalize
    )
    {
        var lacks = model.Served.Lacks;
        return new SpeechBody(model.Name, text, new(voice))
        {
            Exaggeration =
                settings?.Style is { } style && !lacks.Contains("exaggeration")
                    ? NeutralExaggeration * (1 + InRange(style, "style"))
                    : null,
            Temperature =
                settings?.Stability is { } stability && !lacks.Contains("temperature")
                    ? TemperatureAtNoStability - InRange(stability, "stability")
                    : null,
            Speed = settings?.Speed ?? 1,
            Language = Language(language, model),
            Seed = seed,
            Normalize = normalize,
        };
    }

    /// <summary>The form of the audio: <c>pcm_16000</c>, <c>mp3_44100_128</c>, <c>opus_48000_64</c>, <c>ulaw_8000</c>, ….</summary>
    public static AudioFormat Format(string? name, AudioCodecs codecs)
    {
        try
        {
            var format = AudioFormat.Parse(name ?? DefaultFormat);
            codecs.ThrowIfUnsupported(format);
            return format;
        }
        catch (RequestException e)
        {
            throw OpenAiErrors.Invalid("output_format", e.Message);
        }
    }

    /// <summary>A language that the model can choose; one that speaks a single language is not asked.</summary>
    public static string? Language(string? code, FleetModel model) =>
        code is null || model.Served.Languages.Count == 0
            ? null
            : model.Served.Languages.FirstOrDefault(known =>
                known == code || code.StartsWith(known + "-", StringComparison.OrdinalIgnoreCase)
            ) ?? code;

    /// <summary>Whether texts are written out; null leaves it to the settings.</summary>
    public static bool? Normalization(string? choice) =>
        NormalizeConverter.TryRead(choice, out var normalize)
            ? normalize
            : throw OpenAiErrors.Invalid("apply_text_normalization", "'apply_text_normalization' must be auto, on or off.");

    private static double InRange(double value, string name) =>
        value is >= 0 and <= 1 ? value : throw OpenAiErrors.Invalid(name, $"'{name}' must be from 0 to 1.");
}
