using Chatterbox.HiFT;
using Chatterbox.Models;
using Chatterbox.Tests.Parity;
using Chatterbox.Weights;

namespace Chatterbox.Tests.HiFT;

public class HiFTStreamTests(HiFTNetwork network) : IClassFixture<HiFTNetwork>
{
    private const long Seed = 3;

    [Theory]
    [InlineData(90, new[] { 90 })]
    [InlineData(90, new[] { 25, 40, 90 })]
    [InlineData(90, new[] { 21, 22, 23, 60, 61, 90, 90 })] // pieces of one frame, and an end without new frames
    [InlineData(30, new[] { 1, 5, 19, 30 })] // nothing becomes sound before the end
    public void Pieces_joined_are_the_whole(int frames, int[] known)
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var error = Close.RelativeError(Whole(network.HiFT, Mel(frames)), Joined(network.HiFT, Mel(frames), known));
        Close.Report($"{frames} frames, known up to {string.Join(", ", known)}: relative error {error:E2} (bound 1E-3)");
        Assert.InRange(error, 0, 1e-3);
    }

    [Fact]
    public void Within_the_context_pieces_differ_by_rounding_alone()
    {
        // The synthetic network makes some thousand times as much of a rounding error; in float64 there is next to none.
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var store = new WeightStore(SyntheticTensors.FullSize("s3gen"), dtype: ScalarType.Float64);
        using var noise = new NoiseSource(Seed);
        var (hift, mel) = (HiFTNetwork.Build(store), Mel(50));
        var source = hift.MakeSource(hift.PredictF0(mel), hift.DrawNoise(noise, 1, 50));
        var whole = hift.Decode(mel, source)[.., (20 * 480)..(30 * 480)];

        Assert.InRange(Error(from: 20 - hift.Context, to: 30 + hift.Context), 0, 1e-7);
        Assert.InRange(Error(from: 20 - hift.Context + 4, to: 30 + hift.Context), 1e-7, 1);
        Assert.InRange(Error(from: 20 - hift.Context, to: 30 + hift.Context - 4), 1e-7, 1);

        double Error(int from, int to)
        {
            var window = hift.Decode(mel[.., .., from..to], source[.., .., (from * 480)..(to * 480)]);
            return Close.RelativeError(whole, window.narrow(1, (20 - from) * 480, 10 * 480));
        }
    }

    [Fact]
    public void A_frame_depends_on_what_is_within_reach_and_on_nothing_beyond()
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var mel = Mel(2 * network.HiFT.Lookahead + 4);
        var changed = mel.clone();
        changed.narrow(2, mel.shape[2] - 1, 1).add_(1);

        var difference = (Whole(network.HiFT, changed) - Whole(network.HiFT, mel)).abs().reshape(-1, 480).amax([1]);

        var last = (int)mel.shape[2] - 1;
        Assert.Equal(0, difference[..(last - network.HiFT.Lookahead)].max().item<float>());
        Assert.NotEqual(0, difference[(last - network.HiFT.Lookahead + 2)].item<float>());
    }

    [Fact]
    public void Phases_of_a_long_utterance_are_those_of_the_whole()
    {
        // 40 s at some 300 Hz: the ninth sine has turned 100,000 times, and the reference rounds that in float32.
        using var scope = NewDisposeScope();
        using var noise = new NoiseSource(Seed);
        var f0 = 300 + 20 * noise.Normal([1, 2000]);
        var phases = network.HiFT.DrawPhases(noise, 1);
        var whole = network.HiFT.MakeSource(f0, new(phases, zeros(1, 9, 2000 * 480)));

        var before = network.HiFT.CountCycles(f0.narrow(1, 0, 1900));
        var end = network.HiFT.MakeSource(f0.narrow(1, 1900, 100), new(phases, zeros(1, 9, 100 * 480)), before);

        Assert.InRange(Close.RelativeError(whole.narrow(2, 1900 * 480, 100 * 480), end), 0, 1e-6);
    }

    [Fact]
    public void What_is_kept_is_bounded_and_goes_with_the_stream()
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var noise = new NoiseSource(Seed);
        var mel = Mel(23);
        var before = LiveTensors.Settled();
        var stream = network.HiFT.OpenStream(noise);
        var open = Tensor.TotalCount;
        for (var i = 0; i < 3; i++)
        {
            stream.Next(mel, last: false).Dispose();
            Assert.Equal(open, Tensor.TotalCount);
        }

        stream.Dispose();
        Assert.Equal(before, Tensor.TotalCount);
    }

    /// <summary>The plain path over the whole mel, with the noise that a stream of <see cref="Seed"/> draws.</summary>
    private static Tensor Whole(HiFTGenerator hift, Tensor mel)
    {
        using var noise = new NoiseSource(Seed);
        var phases = hift.DrawPhases(noise, 1);
        var frames = noise.Normal([mel.shape[2], 9, 480]);
        return hift.Decode(mel, hift.MakeSource(hift.PredictF0(mel), new(phases, frames.transpose(0, 1).reshape(1, 9, -1))));
    }

    private static Tensor Joined(HiFTGenerator hift, Tensor mel, int[] known)
    {
        using var noise = new NoiseSource(Seed);
        using var stream = hift.OpenStream(noise);
        var joined = cat([.. known.Select((end, i) => stream.Next(mel[.., .., (int)stream.Frames..end], last: i == known.Length - 1))], 1);
        Assert.Equal(mel.shape[2], stream.Frames);
        return joined;
    }

    /// <summary>A mel in its usual range.</summary>
    private static Tensor Mel(long frames)
    {
        using var noise = new NoiseSource(42);
        return noise.Normal([1, 80, frames]) * 2 - 5;
    }
}
