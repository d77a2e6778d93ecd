using Chatterbox.Service.Streaming;

namespace Chatterbox.Service.OpenAi;

/// <summary>In which form speech is answered: the parameters response_format, stream_format and speed.</summary>
internal static class SpeechFormat
{
    /// <summary>Checks what was asked for.</summary>
    /// <returns>The format, and whether its bytes come in events.</returns>
    /// <exception cref="Hosting.RefusedException">There is no such form here.</exception>
    public static (AudioFormat Format, bool AsEvents) Of(string responseFormat, string streamFormat, double speed, FfmpegEncoder ffmpeg)
    {
        if (streamFormat is not ("audio" or "sse"))
        {
            throw OpenAiErrors.Invalid("stream_format", "'stream_format' must be audio or sse.");
        }

        var format = AudioFormat.All.FirstOrDefault(f => f.Name == responseFormat)
            ?? throw OpenAiErrors.Invalid("response_format", $"'response_format' must be one of {string.Join(", ", AudioFormat.All.Select(f => f.Name))}.");
        if (format.NeedsFfmpeg(speed) && !ffmpeg.IsAvailable)
        {
            throw format.Encoding is not null
                ? OpenAiErrors.Invalid("response_format", $"{format.Name} needs ffmpeg, which this service does not have. Ask for wav or pcm.", "ffmpeg_missing")
                : OpenAiErrors.Invalid("speed", "A 'speed' other than 1 needs ffmpeg, which this service does not have. Leave it out.", "ffmpeg_missing");
        }

        return (format, streamFormat == "sse");
    }
}
