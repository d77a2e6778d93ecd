namespace Chatterbox.Audio;

/// <summary>Finds where a recording's sound begins and ends: frames far below the loudest one count as silence.</summary>
/// <remarks>Ports librosa.effects.trim, 0.11, with its defaults for frames; only silence at the ends is left out. In
/// float32 where librosa is, so that the same frames fall below the threshold.</remarks>
internal static class SilenceTrimmer
{
    private const int FrameLength = 2048;
    private const int HopLength = 512;
    private const float LeastPower = 1e-10f;

    /// <summary>The part of the recording between leading and trailing silence.</summary>
    /// <inheritdoc cref="Bounds"/>
    public static ReadOnlySpan<float> Trim(ReadOnlySpan<float> samples, float topDb = 20)
    {
        var (start, end) = Bounds(samples, topDb);
        return samples[start..end];
    }

    /// <summary>First sample of sound and the sample after the last, in whole hops; silence through and through is kept.</summary>
    /// <param name="samples">Samples at any rate.</param>
    /// <param name="topDb">How far below the loudest frame silence begins, dB.</param>
    public static (int Start, int End) Bounds(ReadOnlySpan<float> samples, float topDb = 20)
    {
        var rms = FrameRms(samples);
        var loudest = rms.Max();
        var reference = Decibel(loudest * loudest);
        bool Sounds(float frame) => Decibel(frame * frame) - reference > -topDb;

        var first = Array.FindIndex(rms, Sounds);
        var last = Array.FindLastIndex(rms, Sounds);
        return first < 0 ? (0, 0) : (Math.Min(samples.Length, first * HopLength), Math.Min(samples.Length, (last + 1) * HopLength));
    }

    private static float Decibel(float power) => 10f * MathF.Log10(Math.Max(LeastPower, power));

    // Frames are centred: frame i covers 1024 samples on both sides of sample 512·i, zero beyond the ends, in all four hops.
    private static float[] FrameRms(ReadOnlySpan<float> samples)
    {
        const int HopsOfFrame = FrameLength / HopLength;
        var energies = new double[HopsOfFrame + (samples.Length / HopLength)]; // of hop i − 2
        for (var start = 0; start < samples.Length; start += HopLength)
        {
            var energy = 0.0;
            foreach (var x in samples[start..Math.Min(samples.Length, start + HopLength)])
            {
                energy += x * x;
            }

            energies[(HopsOfFrame / 2) + (start / HopLength)] = energy;
        }

        var rms = new float[1 + (samples.Length / HopLength)];
        for (var frame = 0; frame < rms.Length; frame++)
        {
            var energy = 0.0;
            foreach (var hop in energies.AsSpan(frame, HopsOfFrame))
            {
                energy += hop;
            }

            rms[frame] = MathF.Sqrt((float)(energy / FrameLength));
        }

        return rms;
    }
}
