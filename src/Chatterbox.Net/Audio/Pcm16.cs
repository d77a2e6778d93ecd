using System.Buffers.Binary;

namespace Chatterbox.Audio;

/// <summary>Float samples as 16-bit PCM: full scale at ±1, rounded to the nearest step, clipped beyond full scale.</summary>
/// <remarks>One step is 1/32768, so that what <see cref="WavFile"/> read from 16-bit PCM is written back unchanged.</remarks>
public static class Pcm16
{
    /// <summary>Bytes a sample takes.</summary>
    public const int BytesPerSample = 2;

    /// <summary>One sample as 16-bit PCM; what is not a number becomes silence.</summary>
    public static short FromFloat(float sample) =>
        float.IsNaN(sample) ? (short)0 : (short)Math.Clamp(MathF.Round(sample * 32768f), short.MinValue, short.MaxValue);

    /// <summary>Writes samples as little-endian 16-bit PCM.</summary>
    /// <param name="samples">Float samples.</param>
    /// <param name="destination">Room for two bytes a sample.</param>
    public static void Encode(ReadOnlySpan<float> samples, Span<byte> destination)
    {
        for (var i = 0; i < samples.Length; i++)
        {
            BinaryPrimitives.WriteInt16LittleEndian(destination[(i * BytesPerSample)..], FromFloat(samples[i]));
        }
    }

    /// <summary>Samples as little-endian 16-bit PCM, two bytes each.</summary>
    public static byte[] Encode(ReadOnlySpan<float> samples)
    {
        var bytes = new byte[checked(samples.Length * BytesPerSample)];
        Encode(samples, bytes);
        return bytes;
    }
}
