using System.Buffers.Binary;
using Chatterbox.Audio;

namespace Chatterbox.Service.Tests;

/// <summary>Reads the WAV files that the service writes, and makes those that it reads.</summary>
internal static class Wav
{
    /// <summary>Samples are the same to the precision of 16 bits.</summary>
    public static readonly IEqualityComparer<float> Close = EqualityComparer<float>.Create((a, b) => MathF.Abs(a - b) < 1f / 16384, _ => 0);

    public static float[] Read(byte[] file)
    {
        Assert.Equal("RIFF"u8, file.AsSpan(0, 4));
        Assert.Equal("WAVEfmt "u8, file.AsSpan(8, 8));
        Assert.Equal(1, BinaryPrimitives.ReadInt16LittleEndian(file.AsSpan(22)));
        Assert.Equal(24_000, BinaryPrimitives.ReadInt32LittleEndian(file.AsSpan(24)));
        Assert.Equal(file.Length - 8, BinaryPrimitives.ReadInt32LittleEndian(file.AsSpan(4)));
        Assert.Equal(file.Length - 44, BinaryPrimitives.ReadInt32LittleEndian(file.AsSpan(40)));
        return Pcm(file.AsSpan(44));
    }

    public static float[] Pcm(ReadOnlySpan<byte> pcm)
    {
        var samples = new float[pcm.Length / 2];
        for (var i = 0; i < samples.Length; i++)
        {
            samples[i] = BinaryPrimitives.ReadInt16LittleEndian(pcm[(2 * i)..]) / 32768f;
        }

        return samples;
    }

    /// <summary>A file of 16 kHz with a tone.</summary>
    public static byte[] Recording(double seconds, float level = 0.5f)
    {
        using var file = new MemoryStream();
        float[] samples = [.. Enumerable.Range(0, (int)Math.Round(seconds * 16_000)).Select(i => level * MathF.Sin(MathF.PI / 2 * i))];
        WavFile.Write(file, samples, 16_000);
        return file.ToArray();
    }
}
