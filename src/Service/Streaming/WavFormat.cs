using System.Buffers.Binary;
using Chatterbox.Audio;

namespace Chatterbox.Service.Streaming;

/// <summary>WAV files in memory, and the beginning of one whose end is not known yet.</summary>
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

    /// <summary>The header of a file whose length is not known yet: both sizes are 0xFFFFFFFF.</summary>
    public static byte[] StreamHeader()
    {
        var header = File([]);
        BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(4), uint.MaxValue);
        BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(header.Length - 4), uint.MaxValue);
        return header;
    }
}
