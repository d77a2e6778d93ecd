using Chatterbox.Tests.Parity;

namespace Chatterbox.Tests.Watermark;

public class PerthStreamTests(PerthNetwork network) : IClassFixture<PerthNetwork>
{
    private const int Rate = 24_000;

    [Theory]
    [InlineData(2.0, new[] { 2.0 })]
    [InlineData(2.0, new[] { 0.3, 0.5, 0.7, 0.7, 1.5, 2.0 })]
    [InlineData(2.0, new[] { 0.24, 0.26, 0.28, 1.96, 2.0, 2.0 })]
    [InlineData(0.2, new[] { 0.02, 0.1, 0.2 })] // nothing comes out before the end
    [InlineData(1.0041, new[] { 0.301, 0.6002, 1.0041 })] // no whole hops
    public void Pieces_joined_are_the_whole_marked(double seconds, double[] ends)
    {
        var samples = Speech(seconds);
        var whole = network.Watermarker.Mark(samples, Rate);
        var joined = Joined(samples, ends);
        Assert.Equal(whole.Length, joined.Length);
        using var scope = NewDisposeScope();
        var error = Close.RelativeError(tensor(whole), tensor(joined));
        var mark = Close.RelativeError(tensor(whole), tensor(samples[..whole.Length]));
        Close.Report(
            $"{seconds} s in pieces up to {string.Join(", ", ends)}: relative error {error:E2} (bound 1E-5); the mark itself {mark:E2}"
        );
        Assert.InRange(error, 0, 1e-5);
        Assert.InRange(mark, 1e-2, 1);
        Assert.Equal(network.Watermarker.Detect(whole, Rate)!.Value, network.Watermarker.Detect(joined, Rate)!.Value, 1e-5);
    }

    [Fact]
    public void A_loud_end_does_not_change_what_has_come_out()
    {
        // Digital silence between soft speech and loud: the whole's loudest frame is not known in the first piece.
        float[] samples = [.. Speech(1).Select(s => s / 1000), .. new float[Rate / 2], .. Speech(1)];
        var whole = network.Watermarker.Mark(samples, Rate);
        using var scope = NewDisposeScope();
        Assert.InRange(Close.RelativeError(tensor(whole), tensor(Joined(samples, [0.9, 1.6, 2.5]))), 0, 1e-2);
    }

    [Fact]
    public void Samples_come_out_as_soon_as_what_follows_is_known()
    {
        using var stream = network.Watermarker.OpenStream(Rate);
        var samples = Speech(0.5);
        Assert.InRange(stream.Lookahead, 0.2 * Rate, 0.25 * Rate);
        Assert.Empty(stream.Next(samples.AsSpan(0, stream.Lookahead), last: false));
        Assert.Equal(240, stream.Next(samples.AsSpan(0, 240), last: false).Length);
    }

    [Fact]
    public void Nothing_is_left_behind()
    {
        Joined(Speech(1), [0.5, 1]); // a GPU keeps the resamplers' filters
        var before = LiveTensors.Settled();
        Joined(Speech(1), [0.5, 1]);
        Assert.Equal(before, Tensor.TotalCount);
    }

    private float[] Joined(float[] samples, double[] ends)
    {
        using var stream = network.Watermarker.OpenStream(Rate);
        var joined = new List<float>();
        var from = 0;
        foreach (var (i, seconds) in ends.Index())
        {
            var end = Math.Min(samples.Length, (int)Math.Round(seconds * Rate));
            joined.AddRange(stream.Next(samples.AsSpan(from, end - from), last: i == ends.Length - 1));
            from = end;
        }

        return [.. joined];
    }

    /// <summary>Chirping harmonics that swell and fade, over some noise.</summary>
    private static float[] Speech(double seconds)
    {
        var random = new Random(1);
        return
        [
            .. Enumerable
                .Range(0, (int)Math.Round(seconds * Rate))
                .Select(i =>
                {
                    var t = i / (double)Rate;
                    var voice = Enumerable.Range(1, 8).Sum(h => Math.Sin(h * 2 * Math.PI * ((150 * t) + (20 * Math.Sin(3 * t)))) / h);
                    return (float)((0.2 * voice * (1.1 + Math.Sin(9 * t))) + (0.01 * (random.NextDouble() - 0.5)));
                }),
        ];
    }
}
