using Chatterbox.Audio;
using Chatterbox.Ops.Cuda;
using Chatterbox.Tests.Parity;
using CsCheck;
using Fuzz;

namespace Chatterbox.Tests.Audio;

public class ResamplerTests
{
    public static TheoryData<int, int> RatePairs =>
        new()
        {
            { 16000, 24000 },
            { 24000, 16000 },
            { 24000, 32000 },
            { 32000, 24000 },
            { 44100, 24000 },
            { 48000, 24000 },
            { 22050, 24000 },
            { 11025, 24000 },
            { 8000, 24000 },
            { 96000, 24000 },
            { 44101, 24000 },
            { 12347, 24000 },
            { 192000, 16000 },
            { 767999, 24000 },
        };

    [Fact]
    public void White_noise_comes_out_as_from_soxr_hq()
    {
        var noise = SignalReference.Noise(SignalReference.Samples);
        foreach (var row in SignalReference.Rows("soxr"))
        {
            // Where soxr has several stages, they differ from our filter in the transition band, and at the ends, where each
            // takes zeros for what came before and comes after.
            var oneFilter = SignalReference.SoxrHasOneFilter(row.From, row.To);
            AssertMatches(row, Resampler.Resample(noise, row.From, row.To), ends: oneFilter, oneFilter ? 1e-6 : 5e-4);
        }
    }

    [Fact]
    public void White_noise_comes_out_as_from_scipy_resample_poly()
    {
        var noise = SignalReference.Noise(SignalReference.Samples);
        foreach (var row in SignalReference.Rows("scipy"))
        {
            AssertMatches(row, PolyphaseResampler.Resample(noise, row.From, row.To), ends: true, 1e-6);
        }
    }

    [Theory, MemberData(nameof(RatePairs))]
    public void A_sine_in_the_passband_passes_unchanged_and_in_time(int from, int to)
    {
        foreach (var fraction in new[] { 0.01, 0.3, 0.75, 0.9 })
        {
            var hertz = fraction * Math.Min(from, to) / 2;
            var expected = Sine(hertz, to, Resampler.OutputLength(from / 4, from, to));
            var actual = Resampler.Resample(Sine(hertz, from, from / 4), from, to);
            Assert.InRange(MiddleError(expected, actual, to), 0, 1e-5);
        }
    }

    [Theory]
    [InlineData(24000, 16000)]
    [InlineData(32000, 24000)]
    [InlineData(44100, 24000)]
    [InlineData(44101, 24000)]
    [InlineData(96000, 24000)]
    public void A_sine_above_the_new_nyquist_frequency_is_rejected_by_100_dB(int from, int to)
    {
        foreach (var hertz in new[] { 0.5 * to * 1.0001, 0.7 * to, 0.499 * from }.Where(hertz => hertz < 0.5 * from))
        {
            var rest = Middle(Resampler.Resample(Sine(hertz, from, from / 2), from, to), to);
            Assert.InRange(rest.Max(Math.Abs), 0, 1e-5);
        }
    }

    [Theory]
    [InlineData(16000, 24000, 7000)]
    [InlineData(44100, 48000, 20000)]
    [InlineData(12347, 24000, 5000)]
    public void Upsampling_adds_no_images(int from, int to, int hertz)
    {
        var resampled = Resampler.Resample(Sine(hertz, from, from / 2), from, to);
        var image = from - hertz; // where the spectrum would be mirrored
        var (re, im) = (0.0, 0.0);
        var middle = Middle(resampled, to);
        for (var i = 0; i < middle.Length; i++)
        {
            var hann = 1 - Math.Cos(2 * Math.PI * i / middle.Length);
            re += hann * middle[i] * Math.Cos(2 * Math.PI * image * i / to);
            im += hann * middle[i] * Math.Sin(2 * Math.PI * image * i / to);
        }

        Assert.InRange(2 * Math.Sqrt(re * re + im * im) / middle.Length, 0, 1e-5);
    }

    [Theory, MemberData(nameof(RatePairs))]
    public void A_constant_keeps_its_value(int from, int to) =>
        Assert.All(Middle(Resampler.Resample(Enumerable.Repeat(1f, from / 4).ToArray(), from, to), to), x => Assert.Equal(1, x, 5e-6));

    [Theory]
    [InlineData(24000, 32000, 3000, 4000, 0)]
    [InlineData(24000, 32000, 3001, 4002, 1)] // soxr makes 4001; librosa appends a zero
    [InlineData(24000, 32000, 3002, 4003, 0)]
    [InlineData(24000, 16000, 3001, 2001, 0)]
    [InlineData(24000, 24000, 3001, 3001, 0)]
    [InlineData(44100, 24000, 147, 81, 1)] // 147·(24000/44100) is a little more than 80 in floating point
    public void Length_and_trailing_zero_are_librosas(int from, int to, int samples, int length, int zeros)
    {
        var resampled = Resampler.Resample(SignalReference.Noise(samples), from, to);
        Assert.Equal(length, resampled.Length);
        Assert.Equal(zeros, resampled.Reverse().TakeWhile(x => x == 0).Count());
    }

    [Fact]
    public void Resampling_is_linear_and_any_length_works() =>
        Gen.Select(Gen.Int[0, 400], Gen.Int[4000, 60000], Gen.Int[4000, 60000])
            .Sample(
                (length, from, to) =>
                {
                    var signal = SignalReference.Noise(length);
                    var resampled = Resampler.Resample(signal, from, to);
                    var doubled = Resampler.Resample(signal.Select(x => 2 * x).ToArray(), from, to);
                    Assert.Equal(Resampler.OutputLength(length, from, to), resampled.Length);
                    Assert.Equal(resampled.Select(x => 2 * x), doubled);
                    Assert.All(resampled, x => Assert.InRange(x, -2, 2));
                },
                iter: 50
            );

    [Fact]
    public void Resampling_there_and_back_keeps_what_lies_in_the_passband()
    {
        var signal = Resampler.Resample(Resampler.Resample(SignalReference.Noise(24000), 24000, 16000), 16000, 24000);
        var again = Resampler.Resample(Resampler.Resample(signal, 24000, 32000), 32000, 24000);
        Assert.InRange(MiddleError(signal, again, 24000), 0, 1e-5);
    }

    [Theory]
    [InlineData(0, 24000)]
    [InlineData(24000, -1)]
    [InlineData(999, 24000)]
    [InlineData(24000, 768001)]
    public void Rates_that_are_none_are_refused(int from, int to) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => Resampler.Resample(new float[10], from, to));

    [Fact]
    public void The_result_is_a_copy_even_at_the_same_rate()
    {
        float[] samples = [1, 2, 3];
        Assert.NotSame(samples, Resampler.Resample(samples, 24000, 24000));
        Assert.Equal(samples, PolyphaseResampler.Resample(samples, 24000, 24000));
    }

    [Fact]
    public void The_filter_cache_is_bounded_and_may_be_shared()
    {
        var designed = 0;
        var cache = new PolyphaseFilterCache(
            capacity: 2,
            (up, down) =>
            {
                Interlocked.Increment(ref designed);
                return new PolyphaseFilter(up, down, 1, _ => 1);
            }
        );
        var first = cache.Get(2, 3);
        Assert.Same(first, cache.Get(20, 30));
        cache.Get(2, 5);
        Assert.Same(first, cache.Get(2, 3));
        cache.Get(2, 7); // drops 2:5
        Assert.Equal(3, designed);
        Assert.Same(first, cache.Get(2, 3));
        cache.Get(2, 5);
        Assert.Equal(4, designed);
        Parallel.For(0, 200, i => Assert.NotNull(cache.Get(1 + i % 5, 7)));
    }

    [Theory]
    [InlineData(1, 2, 1000)]
    [InlineData(2, 3, 1000)]
    [InlineData(3, 4, 1001)]
    [InlineData(4, 3, 7)]
    [InlineData(80, 147, 900)]
    [InlineData(500, 3, 11)]
    public void On_a_GPU_it_is_the_same(int up, int down, int samples)
    {
        var device = Gpu.Required();
        using var scope = NewDisposeScope();
        var filter = new PolyphaseFilter(up, down, 20.5, distance => (float)Math.Exp(-distance * distance / 50));
        var noise = SignalReference.Noise(samples);
        var expected = new float[(int)((long)samples * up / down)];
        filter.Apply(noise, expected);
        Assert.InRange(
            Error(expected, HostTransfers.Read(filter.Apply(HostTransfers.Place(noise, device), expected.Length, expected.Length))),
            0,
            1e-6
        );
    }

    [Fact]
    public void An_awkward_ratio_takes_little_longer_than_a_plain_one()
    {
        var samples = SignalReference.Noise(480_000);
        Resampler.Resample(samples, 44100, 24000); // a row of taps for each of 80 places
        Resampler.Resample(samples, 48000, 24000); // one row
        var plain = ProcessorTime.Of(() => Resampler.Resample(samples, 48000, 24000), tries: 5);
        var awkward = ProcessorTime.Of(() => Resampler.Resample(samples, 44100, 24000), tries: 5);
        Close.Report(
            $"480000 samples from 44100 to 24000 Hz: {awkward.TotalMilliseconds:F1} ms, from 48000: {plain.TotalMilliseconds:F1} ms"
        );
        Assert.InRange(awkward / (plain + TimeSpan.FromMilliseconds(5)), 0, 10);
    }

    private static void AssertMatches(SignalReference.Row row, float[] resampled, bool ends, double tolerance)
    {
        Assert.Equal(row.Length, resampled.Length);
        var middle = resampled.AsSpan(row.Length / 2, row.Middle.Length).ToArray();
        var error = ends
            ? Error(
                [.. row.Head, .. row.Middle, .. row.Tail],
                [.. resampled[..row.Head.Length], .. middle, .. resampled[^row.Tail.Length..]]
            )
            : Error(row.Middle, middle);
        Close.Report($"{row.From} to {row.To} Hz: relative error {error:E2} (bound {tolerance:E0})");
        Assert.InRange(error, 0, tolerance);
    }

    private static float[] Sine(double hertz, int rate, int samples) =>
        Enumerable.Range(0, samples).Select(i => (float)Math.Sin(2 * Math.PI * hertz * i / rate)).ToArray();

    // A filter reaches some 100 samples of the lower rate, which may be as low as 8 kHz.
    private static float[] Middle(float[] samples, int rate) => samples[(rate / 50)..^(rate / 50)];

    private static double MiddleError(float[] expected, float[] actual, int rate) => Error(Middle(expected, rate), Middle(actual, rate));

    private static double Error(IEnumerable<float> expected, IEnumerable<float> actual)
    {
        var difference = expected.Zip(actual, (x, y) => (double)(y - x) * (y - x)).Sum();
        return Math.Sqrt(difference / expected.Sum(x => (double)x * x));
    }
}
