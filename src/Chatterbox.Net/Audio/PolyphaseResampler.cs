namespace Chatterbox.Audio;

/// <summary>Changes the sample rate as PerTh's detector does: a short Kaiser-windowed filter with a wide transition band.</summary>
/// <remarks>Ports librosa.resample with res_type="polyphase", which is scipy.signal.resample_poly with its default window.</remarks>
internal static class PolyphaseResampler
{
    private const double Beta = 5.0;

    // Zero crossings of the sinc on each side.
    private const int HalfWidth = 10;

    private static readonly PolyphaseFilterCache Filters = new(capacity: 4, Design);

    /// <summary>Resamples a whole signal; output sample 0 lies on input sample 0.</summary>
    /// <inheritdoc cref="Resampler.Resample(ReadOnlySpan{float}, int, int)"/>
    public static float[] Resample(ReadOnlySpan<float> samples, int from, int to)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(from);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(to);
        if (from == to)
        {
            return samples.ToArray();
        }

        // scipy counts exactly, librosa in floating point: where that rounds up once more, the last sample is zero.
        var resampled = new float[Resampler.OutputLength(samples.Length, from, to)];
        var made = Math.Min(((long)samples.Length * to + from - 1) / from, resampled.Length);
        Filters.Get(from, to).Apply(samples, resampled.AsSpan(0, (int)made));
        return resampled;
    }

    private static PolyphaseFilter Design(int up, int down)
    {
        // Taps lie on a grid of `up` an input sample; they are scaled to a gain of exactly 1, as scipy's firwin does.
        var grid = Math.Max(up, down);
        var half = HalfWidth * grid;
        var window = new KaiserWindow(Beta);
        double Tap(int i) => KaiserWindow.Sinc((double)i / grid) * window.At((double)i / half);
        var sum = 0.0;
        for (var i = -half; i <= half; i++)
        {
            sum += Tap(i);
        }

        return new PolyphaseFilter(
            up,
            down,
            (double)half / up,
            distance =>
            {
                var tap = (int)Math.Round(distance * up);
                return Math.Abs(tap) > half ? 0 : (float)(Tap(tap) / sum) * up;
            }
        );
    }
}
