namespace Chatterbox.Tests.Audio;

/// <summary>How close what was encoded and decoded comes to what it was made of, in decibels.</summary>
internal static class SignalToNoise
{
    private const int MostDelay = 3000;

    /// <summary>Of signals of the same length and place.</summary>
    public static double Of(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        var (signal, noise) = (0.0, 0.0);
        for (var i = 0; i < expected.Length; i++)
        {
            signal += (double)expected[i] * expected[i];
            noise += Math.Pow((double)expected[i] - actual[i], 2);
        }

        return noise == 0 ? double.PositiveInfinity : 10 * Math.Log10(signal / noise);
    }

    /// <summary>Segmental: the mean over the parts of 20 ms that are not silent, of signals of which the second may be late, and louder or
    /// softer: some encoders change the level on purpose.</summary>
    public static double Segmental(float[] expected, float[] actual, int sampleRate)
    {
        var delay = Delay(expected, actual);
        var common = Math.Min(expected.Length, actual.Length - delay);
        var gain =
            System.Numerics.Tensors.TensorPrimitives.Dot<float>(expected.AsSpan(0, common), actual.AsSpan(delay, common))
            / System.Numerics.Tensors.TensorPrimitives.SumOfSquares<float>(actual.AsSpan(delay, common));
        actual = [.. actual.Select(x => x * gain)];
        var (length, loud) = (sampleRate / 50, Math.Sqrt(expected.Average(x => (double)x * x)) / 100);
        var ratios = new List<double>();
        for (var start = 0; start + length <= expected.Length && start + delay + length <= actual.Length; start += length)
        {
            var part = expected.AsSpan(start, length);
            if (Math.Sqrt(System.Numerics.Tensors.TensorPrimitives.SumOfSquares<float>(part) / length) > loud)
            {
                ratios.Add(Math.Clamp(Of(part, actual.AsSpan(start + delay, length)), -10, 90));
            }
        }

        return ratios.Average();
    }

    private static int Delay(float[] expected, float[] actual)
    {
        var (from, length) = (expected.Length / 3, Math.Min(8000, expected.Length / 3));
        return Enumerable
            .Range(0, MostDelay)
            .Where(delay => from + delay + length <= actual.Length)
            .MaxBy(delay =>
                System.Numerics.Tensors.TensorPrimitives.Dot<float>(expected.AsSpan(from, length), actual.AsSpan(from + delay, length))
            );
    }
}
