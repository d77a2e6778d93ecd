namespace Chatterbox.Audio;

/// <summary>Loudness of speech after ITU-R BS.1770-4, for one channel.</summary>
/// <remarks>Ports Meter of pyloudnorm, whose K-weighting differs a little from the recommendation's own coefficients, and
/// norm_loudness of chatterbox tts_turbo.py. Filtered samples are rounded to float32 after each filter, as there.</remarks>
internal static class Loudness
{
    private const double BlockSeconds = 0.4;
    private const double Step = 0.25;
    private const double SilenceLufs = -70;
    private const double BelowAverageLu = -10;

    /// <summary>Integrated loudness in LUFS; negative infinity for silence, not a number for less than one block of 0.4 s.</summary>
    /// <param name="samples">Samples, full scale at ±1.</param>
    /// <param name="sampleRate">Samples a second (Hz).</param>
    public static double Integrated(ReadOnlySpan<float> samples, int sampleRate)
    {
        if (samples.Length < BlockSeconds * sampleRate)
        {
            return double.NaN;
        }

        var weighted = samples.ToArray();
        Biquad.HighShelf(gainDb: 4, q: 1 / Math.Sqrt(2), hertz: 1500, sampleRate).Filter(weighted);
        Biquad.HighPass(q: 0.5, hertz: 38, sampleRate).Filter(weighted);

        // Silent blocks are left out, then those far below the average of the others.
        var loud = BlockPowers(weighted, sampleRate).Where(power => Lufs(power) >= SilenceLufs).ToArray();
        var threshold = Lufs(loud.DefaultIfEmpty(0).Average()) + BelowAverageLu;
        var gated = loud.Where(power => Lufs(power) > threshold && Lufs(power) > SilenceLufs);
        return Lufs(gated.DefaultIfEmpty(0).Average());
    }

    /// <summary>The samples brought to a loudness; unchanged where they have none: silence, or too short to measure.</summary>
    /// <param name="samples">Samples, full scale at ±1.</param>
    /// <param name="sampleRate">Samples a second (Hz).</param>
    /// <param name="targetLufs">The loudness to reach; Turbo's voices are made at -27 LUFS.</param>
    /// <returns>Always a copy.</returns>
    public static float[] Normalize(ReadOnlySpan<float> samples, int sampleRate, double targetLufs = -27)
    {
        var gain = Math.Pow(10, (targetLufs - Integrated(samples, sampleRate)) / 20);
        var normalized = samples.ToArray();
        if (double.IsFinite(gain) && gain > 0)
        {
            for (var i = 0; i < normalized.Length; i++)
            {
                normalized[i] *= (float)gain;
            }
        }

        return normalized;
    }

    private static double Lufs(double power) => -0.691 + 10 * Math.Log10(power);

    // Mean square of each block, three quarters of which overlap the next. A last block that runs over the end is
    // divided by the full length all the same, as in pyloudnorm.
    private static double[] BlockPowers(ReadOnlySpan<float> weighted, int sampleRate)
    {
        var seconds = (double)weighted.Length / sampleRate;
        var powers = new double[(int)Math.Round((seconds - BlockSeconds) / (BlockSeconds * Step)) + 1];
        for (var block = 0; block < powers.Length; block++)
        {
            var start = (int)(BlockSeconds * (block * Step) * sampleRate);
            var end = Math.Min(weighted.Length, (int)(BlockSeconds * (block * Step + 1) * sampleRate));
            var sum = 0.0;
            foreach (var x in weighted[start..end])
            {
                sum += x * x;
            }

            powers[block] = sum / (BlockSeconds * sampleRate);
        }

        return powers;
    }

    /// <summary>A second-order filter by R. Bristow-Johnson's cookbook, in transposed direct form.</summary>
    private readonly record struct Biquad(double B0, double B1, double B2, double A0, double A1, double A2)
    {
        public static Biquad HighShelf(double gainDb, double q, double hertz, int sampleRate)
        {
            var a = Math.Pow(10, gainDb / 40);
            var (sin, cos) = Math.SinCos(2 * Math.PI * hertz / sampleRate);
            var slope = Math.Sqrt(a) * sin / q;
            return new Biquad(
                a * (a + 1 + (a - 1) * cos + slope),
                -2 * a * (a - 1 + (a + 1) * cos),
                a * (a + 1 + (a - 1) * cos - slope),
                a + 1 - (a - 1) * cos + slope,
                2 * (a - 1 - (a + 1) * cos),
                a + 1 - (a - 1) * cos - slope
            );
        }

        public static Biquad HighPass(double q, double hertz, int sampleRate)
        {
            var (sin, cos) = Math.SinCos(2 * Math.PI * hertz / sampleRate);
            var alpha = sin / (2 * q);
            return new Biquad((1 + cos) / 2, -(1 + cos), (1 + cos) / 2, 1 + alpha, -2 * cos, 1 - alpha);
        }

        public void Filter(Span<float> samples)
        {
            var (b0, b1, b2, a1, a2) = (B0 / A0, B1 / A0, B2 / A0, A1 / A0, A2 / A0);
            var (first, second) = (0.0, 0.0);
            foreach (ref var sample in samples)
            {
                double x = sample;
                var y = b0 * x + first;
                first = b1 * x - a1 * y + second;
                second = b2 * x - a2 * y;
                sample = (float)y;
            }
        }
    }
}
