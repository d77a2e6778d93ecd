using Chatterbox.Ops.Cuda;

namespace Chatterbox.Audio;

/// <summary>Changes the sample rate as librosa does by default, with soxr's HQ quality.</summary>
/// <remarks>
/// Stands for soxr_hq of librosa.load and librosa.resample, 0.11: linear phase, flat to 91.4 % of the lower Nyquist
/// frequency, 20 bits down at the Nyquist frequency itself. soxr runs one filter where the reduced ratio is of small
/// numbers and several stages elsewhere, one of which sets the transition band; here it is always one filter. It gives
/// soxr's samples to 3e-7 for small ratios, and differs only inside the transition band for the others (1e-6 for speech,
/// 4e-4 for white noise).
/// </remarks>
internal static class Resampler
{
    /// <summary>Lowest sample rate that can be converted, Hz.</summary>
    public const int LowestRate = 1_000;

    /// <summary>Highest sample rate that can be converted, Hz.</summary>
    public const int HighestRate = 768_000;

    // Where the response is half, as a fraction of the lower Nyquist frequency; read off soxr's impulse response.
    private const double Cutoff = 0.95687182;

    private static readonly PolyphaseFilterCache Filters = new(capacity: 8, Design);

    /// <summary>Resamples a whole signal; output sample 0 lies on input sample 0.</summary>
    /// <param name="samples">Samples at the old rate.</param>
    /// <param name="from">The old rate, Hz.</param>
    /// <param name="to">The new rate, Hz.</param>
    /// <returns>⌈n·to/from⌉ samples at the new rate; always a copy.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A rate is outside <see cref="LowestRate"/> to <see cref="HighestRate"/>.</exception>
    public static float[] Resample(ReadOnlySpan<float> samples, int from, int to)
    {
        ThrowIfOutOfRange(from, nameof(from));
        ThrowIfOutOfRange(to, nameof(to));
        if (from == to)
        {
            return samples.ToArray();
        }

        var resampled = new float[OutputLength(samples.Length, from, to)];
        Filters.Get(from, to).Apply(samples, resampled.AsSpan(0, FilteredLength(samples.Length, from, to)));
        return resampled;
    }

    /// <summary>How far from its own place an output sample depends on the input, in seconds.</summary>
    /// <inheritdoc cref="Resample(ReadOnlySpan{float}, int, int)"/>
    public static double Reach(int from, int to) => from == to ? 0 : (double)Filters.Get(from, to).Reach / from;

    /// <summary>The filter from one rate (Hz) to another, for signals that come in blocks.</summary>
    public static PolyphaseFilter Filter(int from, int to) => Filters.Get(from, to);

    /// <summary>Resamples a whole signal on the device where it is.</summary>
    /// <param name="samples">[samples], float32.</param>
    /// <param name="from">The old rate, Hz.</param>
    /// <param name="to">The new rate, Hz.</param>
    /// <returns>As of the other overload; to rounding the same samples.</returns>
    public static Tensor Resample(Tensor samples, int from, int to)
    {
        ThrowIfOutOfRange(from, nameof(from));
        ThrowIfOutOfRange(to, nameof(to));
        if (from == to)
        {
            return samples.clone();
        }

        var filter = Filters.Get(from, to);
        if (filter.UnsupportedReason(samples.device) is not null || samples.size(0) == 0)
        {
            using var host = samples.cpu();
            return HostTransfers.Place(Resample(host.data<float>().ToArray(), from, to), samples.device);
        }

        var length = OutputLength((int)samples.size(0), from, to);
        return filter.Apply(samples, FilteredLength((int)samples.size(0), from, to), length);
    }

    /// <summary>How many samples librosa makes of <paramref name="count"/>: the next whole number, in its own floating-point
    /// arithmetic.</summary>
    public static int OutputLength(int count, int from, int to) => checked((int)Math.Ceiling(count * ((double)to / from)));

    /// <summary>How many of them are filtered: soxr makes the nearest number, and librosa fills up with zeros to the next whole
    /// one.</summary>
    public static int FilteredLength(int count, int from, int to) =>
        (int)Math.Min((long)(count / ((double)from / to) + 0.5), OutputLength(count, from, to));

    private static PolyphaseFilter Design(int up, int down)
    {
        // soxr budgets 6 dB more rejection for each of its filters where there are two. It halves from 4:1 on.
        var oneStage = Math.Max(up, down) <= 4 && down < 4 * up;
        var window = new KaiserWindow(oneStage ? 13.04004 : 13.711254);
        var halfWidth = oneStage ? OneStageHalfWidth(up, down) : 101.6; // in samples of the lower rate

        var bandwidth = Math.Min(1.0, (double)up / down); // lower rate over input rate
        return new PolyphaseFilter(
            up,
            down,
            halfWidth / bandwidth,
            distance => Cutoff * bandwidth * KaiserWindow.Sinc(Cutoff * bandwidth * distance) * window.At(distance * bandwidth / halfWidth)
        );
    }

    // The filter's taps lie on a grid of max(up, down) a sample of the lower rate; soxr rounds their number up to fit its
    // transforms, and lets the window end half a tap beyond the last.
    private static double OneStageHalfWidth(int up, int down)
    {
        var grid = Math.Max(up, down);
        var multiple = up > down && up % 2 == 0 ? up : 2;
        return (Math.Ceiling(96.252 * grid / multiple) * multiple + 0.5) / grid;
    }

    private static void ThrowIfOutOfRange(int rate, string parameter)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(rate, LowestRate, parameter);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(rate, HighestRate, parameter);
    }
}
