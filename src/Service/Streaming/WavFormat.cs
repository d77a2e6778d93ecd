using Chatterbox.Audio;

namespace Chatterbox.Service.Streaming;

/// <summary>WAV files in memory.</summary>
internal static class WavFormat
{
    private const int HeaderBytes = 44;

    /// <summary>A complete file: 24 kHz, 16 bit, mono.</summary>
    public static byte[] File(ReadOnlySpan<float> samples)
    {
        using var file = new MemoryStream(HeaderBytes + (samples.Length * Pcm16.BytesPerSample));
        WavFile.Write(file, samples, SpeechResult.SampleRate);
        return file.ToArray();
    }
}
