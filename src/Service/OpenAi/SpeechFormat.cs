using Chatterbox.Audio;

namespace Chatterbox.Service.OpenAi;

/// <summary>In which form speech is answered: the parameters response_format, sample_rate, stream_format, stream and chunk.</summary>
internal static class SpeechFormat
{
    /// <summary>How the audio is sent: a wav file whose pieces are generated whole is sent once it is complete, so that its header has its
    /// length.</summary>
    /// <exception cref="Hosting.RefusedException">A parameter has an unknown value.</exception>
    public static Delivery Delivery(AudioFormat format, string streamFormat, bool stream, bool chunk) =>
        (streamFormat, stream) switch
        {
            ("audio", _) => stream && (chunk || !format.HasLength) ? OpenAi.Delivery.Streamed : OpenAi.Delivery.Whole,
            ("sse", true) => OpenAi.Delivery.Events,
            ("sse", false) => throw OpenAiErrors.Invalid(
                "stream",
                "'stream_format' sse is a stream, but 'stream' is false. Leave one of them out."
            ),
            ("json", _) => OpenAi.Delivery.Object,
            _ => throw OpenAiErrors.Invalid("stream_format", "'stream_format' must be audio, sse or json."),
        };

    /// <summary>The format of the audio.</summary>
    /// <exception cref="Hosting.RefusedException">There is no such format here.</exception>
    public static AudioFormat Of(string responseFormat, int? sampleRate, AudioCodecs codecs)
    {
        if (!AudioFormat.Named.TryGetValue(responseFormat, out var format))
        {
            throw OpenAiErrors.Invalid(
                "response_format",
                $"'response_format' must be one of {string.Join(", ", AudioFormat.Named.Keys)}"
                    + (Subtitles.Named.ContainsKey(responseFormat) ? "; subtitles are an answer of POST /v1/audio/speech." : ".")
            );
        }

        try
        {
            format = sampleRate is { } rate ? format.At(rate) : format;
        }
        catch (RequestException e)
        {
            throw OpenAiErrors.Invalid("sample_rate", e.Message);
        }

        return codecs.UnsupportedReason(format) is { } reason
            ? throw OpenAiErrors.Invalid("response_format", reason, "ffmpeg_missing")
            : format;
    }
}
