using Chatterbox.Models;
using Chatterbox.Tests.Parity;
using Chatterbox.Watermark;
using Chatterbox.Weights;

namespace Chatterbox.Tests.Watermark;

/// <summary>The watermark on fused kernels, against the plain operations on the same GPU.</summary>
public sealed class FusedPerthTests
{
    private const int Rate = 24_000;
    private const double MarkBound = 2e-3; // of the mark alone; operands of its network are in fp16

    [Fact]
    public void Any_length_is_marked_as_by_the_plain_operations()
    {
        var device = Gpu.Required();
        using var mode = inference_mode();
        using var store = new WeightStore(SyntheticTensors.FullSize("perth_net"), device);
        var (fused, plain) = Both(store);
        var random = new Random(3);
        var worst = 0.0;
        foreach (
            var length in new[] { 769, 770, 1000, 7_680, 20_160, 240_000, 240_001, 480_017 }.Concat(
                Enumerable.Range(0, 16).Select(_ => random.Next(1_000, 300_000))
            )
        )
        {
            using var scope = NewDisposeScope();
            var samples = Speech(length, random);
            var (expected, ours, signal) = (tensor(plain.Mark(samples, Rate)), tensor(fused.Mark(samples, Rate)), tensor(samples));
            Assert.Equal(expected.shape, ours.shape);
            signal = signal.narrow(0, 0, expected.shape[0]);
            worst = Math.Max(worst, Close.RelativeError(expected - signal, ours - signal));
        }

        Close.Report($"mark alone: worst relative error {worst:E2} (bound {MarkBound:E0})");
        Assert.InRange(worst, 0, MarkBound);
    }

    [Fact]
    public void The_mark_is_found_again()
    {
        var device = Gpu.Required();
        using var mode = inference_mode();
        using var store = new WeightStore(SyntheticTensors.FullSize("perth_net"), device);
        var (fused, plain) = Both(store);
        var samples = Speech(5 * Rate, new Random(4));
        Assert.Equal(plain.Detect(plain.Mark(samples, Rate), Rate)!.Value, fused.Detect(fused.Mark(samples, Rate), Rate)!.Value, 1e-3);
    }

    [Fact]
    public void Silence_and_what_is_too_short_stay_as_they_are()
    {
        var device = Gpu.Required();
        using var mode = inference_mode();
        using var store = new WeightStore(SyntheticTensors.FullSize("perth_net"), device);
        var (fused, _) = Both(store);
        Assert.All(fused.Mark(new float[9600], Rate), sample => Assert.Equal(0, sample));
        var few = Speech(700, new Random(5));
        Assert.Equal(few, fused.Mark(few, Rate));
    }

    [Fact]
    public void Pieces_joined_are_the_whole_marked()
    {
        var device = Gpu.Required();
        using var mode = inference_mode();
        using var store = new WeightStore(SyntheticTensors.FullSize("perth_net"), device);
        var (fused, _) = Both(store);
        var samples = Speech(2 * Rate, new Random(6));
        using var stream = fused.OpenStream(Rate);
        float[] joined =
        [
            .. stream.Next(samples.AsSpan(0, 9_000), last: false),
            .. stream.Next(samples.AsSpan(9_000, 20_000), last: false),
            .. stream.Next(samples.AsSpan(29_000), last: true),
        ];
        using var scope = NewDisposeScope();
        Assert.Equal(samples.Length, joined.Length);
        Assert.InRange(Close.RelativeError(tensor(fused.Mark(samples, Rate)), tensor(joined)), 0, 1e-5);
    }

    [Fact]
    public void Sizes_that_the_kernels_are_not_made_for_are_told()
    {
        var device = Gpu.Required();
        Assert.Null(FusedPerth.UnsupportedReason(new(), device, Precision.Fast));
        Assert.NotNull(FusedPerth.UnsupportedReason(new(), device, Precision.Full));
        Assert.NotNull(FusedPerth.UnsupportedReason(new(), CPU, Precision.Fast));
        Assert.NotNull(FusedPerth.UnsupportedReason(new() { HiddenSize = 32 }, device, Precision.Fast));
        Assert.NotNull(FusedPerth.UnsupportedReason(new() { HopSize = 160 }, device, Precision.Fast));
    }

    private static (PerthWatermarker Fused, PerthWatermarker Plain) Both(WeightStore store)
    {
        var (fused, plain) = (new PerthWatermarker(new(), store.Root, Precision.Fast), new PerthWatermarker(new(), store.Root));
        Assert.Null(fused.NotFusedReason);
        Assert.NotNull(plain.NotFusedReason);
        return (fused, plain);
    }

    /// <summary>Harmonics over some noise, loudest in the middle, so that the faintest frames are not marked.</summary>
    private static float[] Speech(int length, Random random) =>
        [
            .. Enumerable
                .Range(0, length)
                .Select(i =>
                    (float)(
                        Math.Sin(Math.PI * i / length)
                        * ((0.2 * Math.Sin(i / 9.0)) + (0.1 * Math.Sin(i / 3.1)) + (0.02 * (random.NextDouble() - 0.5)))
                    )
                ),
        ];
}
