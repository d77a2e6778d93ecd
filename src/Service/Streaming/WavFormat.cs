using System.Buffers.Binary;

namespace Chatterbox.Service.Streaming;

/// <summary>Samples to the service's own formats: 16-bit PCM, and WAV around it.</summary>
internal static class WavFormat
{
    /// <summary>Bytes before the samples.</summary>
    public const int HeaderBytes = 44;

    private const int BytesPerSample = 2;

    /// <summary>A complete file.</summary>
    public static byte[] File(ReadOnlySpan<float> samples)
    {
        var file = new byte[HeaderBytes + (samples.Length * BytesPerSample)];
        WriteHeader(file, (uint)(samples.Length * BytesPerSample));
        WritePcm(file.AsSpan(HeaderBytes), samples);
        return file;
    }

    /// <summary>The header of a file whose length is not known yet: both sizes are 0xFFFFFFFF.</summary>
    public static byte[] StreamHeader()
    {
        var header = new byte[HeaderBytes];
        WriteHeader(header, uint.MaxValue);
        return header;
    }

    /// <summary>Samples as little-endian 16-bit numbers.</summary>
    public static byte[] Pcm(ReadOnlySpan<float> samples)
    {
        var pcm = new byte[samples.Length * BytesPerSample];
        WritePcm(pcm, samples);
        return pcm;
    }

    private static void WriteHeader(Span<byte> header, uint dataBytes)
    {
        const int rate = SpeechResult.SampleRate;
        "RIFF"u8.CopyTo(header);
        BinaryPrimitives.WriteUInt32LittleEndian(header[4..], dataBytes == uint.MaxValue ? dataBytes : dataBytes + HeaderBytes - 8);
        "WAVEfmt "u8.CopyTo(header[8..]);
        BinaryPrimitives.WriteUInt32LittleEndian(header[16..], 16);
        BinaryPrimitives.WriteUInt16LittleEndian(header[20..], 1); // PCM
        BinaryPrimitives.WriteUInt16LittleEndian(header[22..], 1); // mono
        BinaryPrimitives.WriteUInt32LittleEndian(header[24..], rate);
        BinaryPrimitives.WriteUInt32LittleEndian(header[28..], rate * BytesPerSample);
        BinaryPrimitives.WriteUInt16LittleEndian(header[32..], BytesPerSample);
        BinaryPrimitives.WriteUInt16LittleEndian(header[34..], BytesPerSample * 8);
        "data"u8.CopyTo(header[36..]);
        BinaryPrimitives.WriteUInt32LittleEndian(header[40..], dataBytes);
    }

    private static void WritePcm(Span<byte> pcm, ReadOnlySpan<float> samples)
    {
        for (var i = 0; i < samples.Length; i++)
        {
            var value = float.IsNaN(samples[i]) ? 0 : MathF.Round(Math.Clamp(samples[i], -1f, 1f) * short.MaxValue);
            BinaryPrimitives.WriteInt16LittleEndian(pcm[(i * BytesPerSample)..], (short)value);
        }
    }
}
