using Chatterbox.HiFT;
using Chatterbox.Models;
using Chatterbox.Tests.Parity;
using Chatterbox.Tests.Weights;
using Chatterbox.Weights;

namespace Chatterbox.Tests.HiFT;

public class HiFTGeneratorTests(HiFTNetwork network) : IClassFixture<HiFTNetwork>
{
    private const int SamplesPerFrame = 480;

    [Theory, InlineData(1), InlineData(2), InlineData(3)]
    public void The_shortest_mels_become_480_samples_a_frame(long frames)
    {
        using var scope = NewDisposeScope();
        using var noise = new NoiseSource(1);

        var samples = network.HiFT.Generate(Mel(1, frames), noise);

        Assert.Equal([1, frames * SamplesPerFrame], samples.shape);
        Assert.True(samples.isfinite().all().item<bool>());
        Assert.Equal(samples.shape, network.HiFT.FadeIn(samples).shape);
    }

    [Fact]
    public void No_frames_make_no_samples()
    {
        using var scope = NewDisposeScope();
        using var noise = new NoiseSource(1);
        var samples = network.HiFT.Generate(zeros(1, 80, 0), noise);
        Assert.Equal([1, 0], samples.shape);
        Assert.Equal([1, 0], network.HiFT.FadeIn(samples).shape);
    }

    [Theory, InlineData(new long[] { 80, 7 }), InlineData(new long[] { 1, 79, 7 }), InlineData(new long[] { 1, 7, 80 })]
    public void A_mel_of_another_shape_is_refused_with_its_shape(long[] shape)
    {
        using var scope = NewDisposeScope();
        using var noise = new NoiseSource(1);
        var error = Assert.Throws<ArgumentException>(() => network.HiFT.Generate(zeros(shape), noise));
        Assert.Contains($"[{string.Join(", ", shape)}]", error.Message, StringComparison.Ordinal);
        Assert.Contains("[rows, 80, frames]", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Same_seed_same_samples_and_nothing_is_left_behind()
    {
        using var scope = NewDisposeScope();
        var mel = Mel(1, 2);
        using var first = Generate(7);
        var before = LiveTensors.Settled();
        using (var second = Generate(7))
        {
            Assert.Equal(before + 1, Tensor.TotalCount);
            Assert.Equal(0, Close.RelativeError(first, second));
        }

        using var other = Generate(8);
        Assert.NotEqual(0, Close.RelativeError(first, other));

        Tensor Generate(long seed)
        {
            using var noise = new NoiseSource(seed);
            return network.HiFT.Generate(mel, noise);
        }
    }

    [Fact]
    public void Rows_do_not_touch_each_other()
    {
        using var scope = NewDisposeScope();
        var mel = Mel(2, 3);
        var f0 = network.HiFT.PredictF0(mel);
        var draws = Enumerable
            .Range(0, 2)
            .Select(row =>
            {
                using var noise = new NoiseSource(row);
                return network.HiFT.DrawNoise(noise, 1, 3);
            })
            .ToArray();
        var both = new SourceNoise(cat([.. draws.Select(d => d.Phases)]), cat([.. draws.Select(d => d.Noise)]));
        var source = network.HiFT.MakeSource(f0, both);
        var together = network.HiFT.Decode(mel, source);

        for (var row = 0; row < 2; row++)
        {
            var (rowMel, rowF0) = (mel.narrow(0, row, 1), f0.narrow(0, row, 1));
            var rowSource = network.HiFT.MakeSource(rowF0, draws[row]);
            Assert.InRange(Close.RelativeError(network.HiFT.PredictF0(rowMel), rowF0), 0, 1e-5);
            Assert.InRange(Close.RelativeError(rowSource, source.narrow(0, row, 1)), 0, 1e-6);
            Assert.InRange(Close.RelativeError(network.HiFT.Decode(rowMel, rowSource), together.narrow(0, row, 1)), 0, 1e-5);
        }
    }

    [Fact]
    public void The_stream_goes_on_where_the_references_does()
    {
        using var scope = NewDisposeScope();
        using var ours = new NoiseSource(5);
        using var theirs = new NoiseSource(5);

        network.HiFT.Generate(Mel(1, 1), ours);
        theirs.Uniform(-Math.PI, Math.PI, [1, 9, 1]);
        theirs.Normal([1, 9, SamplesPerFrame]);
        theirs.Normal([1, SamplesPerFrame, 1]);

        Assert.Equal(0, Close.RelativeError(theirs.Normal([3]), ours.Normal([3])));
    }

    [Fact]
    public void The_source_hums_above_10_Hz_and_hisses_at_10_Hz_and_below()
    {
        using var scope = NewDisposeScope();
        var f0 = tensor(new[] { 10f, 10.01f, 0f }).unsqueeze(0);
        var silent = new SourceNoise(full([1, 9, 1], Math.PI / 2), zeros(1, 9, 3 * SamplesPerFrame));
        var noisy = silent with { Noise = ones(1, 9, 3 * SamplesPerFrame) };

        using var store = new WeightStore(
            new ChangedTensors(
                SyntheticTensors.FullSize("s3gen"),
                new()
                {
                    ["mel2wav.m_source.l_linear.weight"] = w => zeros_like(w).index_fill_(1, tensor(1L), 1), // the first overtone alone
                    ["mel2wav.m_source.l_linear.bias"] = x => zeros_like(x),
                }
            )
        );
        var hift = HiFTNetwork.Build(store);
        var hum = hift.MakeSource(f0, silent).atanh().reshape(3, SamplesPerFrame);
        var hiss = hift.MakeSource(f0, noisy).atanh().reshape(3, SamplesPerFrame) - hum;

        Assert.Equal(0, hum[0].abs().max().item<float>());
        Assert.Equal(0, hum[2].abs().max().item<float>());
        Assert.Equal(0.1f, hum[1].abs().max().item<float>(), 1e-4f); // starts at a quarter turn: the cosine's top
        Assert.Equal(0.1f / 3, hiss[0].mean().item<float>(), 1e-5f);
        Assert.Equal(0.003f, hiss[1].mean().item<float>(), 1e-5f);
    }

    [Fact]
    public void The_sum_of_F0_is_that_of_torch_on_the_CPU()
    {
        using var scope = NewDisposeScope();
        using var noise = new NoiseSource(3);
        var steps = noise.Uniform(0, 0.1, [1, 9, 240000]);
        Assert.Equal(0, Close.RelativeError(steps.cumsum(-1), steps.cumsum(-1, ScalarType.Float64).to(ScalarType.Float32)));
    }

    [Fact]
    public void Magnitudes_are_cut_at_100_and_samples_at_0_99()
    {
        // The last convolution gives its biases alone: the highest bin at e⁷ > 100, all others at nothing, no phase. Frames
        // of a constant c make c/16 · (−1)ⁿ, and Hann windows a quarter apart add up to 2, squared to 1.5.
        using var scope = NewDisposeScope();
        ChangedTensors Loud() =>
            new(
                SyntheticTensors.FullSize("s3gen"),
                new()
                {
                    ["mel2wav.conv_post.parametrizations.weight.original0"] = x => zeros_like(x),
                    ["mel2wav.conv_post.bias"] = b => cat([full(8, -100f), full(1, 7f), zeros(9)]),
                }
            );
        Tensor Generate(HiFTConfig config)
        {
            using var store = new WeightStore(Loud());
            using var noise = new NoiseSource(1);
            return HiFTNetwork.Build(store, config).Generate(Mel(1, 1), noise);
        }

        var signs = 1 - 2 * arange(SamplesPerFrame).remainder(2);
        var inner = (Generate(new() { AudioLimit = 1000 }) * signs).narrow(1, 16, SamplesPerFrame - 32);
        Assert.Equal(100f / 16 * 2 / 1.5f, inner.min().item<float>(), 1e-3f);
        Assert.Equal(100f / 16 * 2 / 1.5f, inner.max().item<float>(), 1e-3f);

        var cut = Generate(new());
        Assert.Equal(0.99f, cut.max().item<float>());
        Assert.Equal(-0.99f, cut.min().item<float>());
    }

    [Fact]
    public void The_fade_is_20_ms_of_silence_and_20_ms_of_raised_cosine()
    {
        using var scope = NewDisposeScope();
        var faded = network.HiFT.FadeIn(ones(2, 1000))[1];
        for (var i = 0; i < 1000; i++)
        {
            var expected =
                i < 480 ? 0
                : i < 960 ? (1 - Math.Cos(Math.PI * (i - 480) / 479)) / 2
                : 1;
            Assert.Equal(expected, faded[i].item<float>(), 1e-6);
        }

        Assert.Equal(0, Close.RelativeError(faded.narrow(0, 0, 700), network.HiFT.FadeIn(ones(1, 700))[0]));
        Assert.Equal(0, Close.RelativeError(faded.narrow(0, 700, 300), network.HiFT.FadeIn(ones(1, 300), start: 700)[0]));
        Assert.Equal(0, Close.RelativeError(ones(300), network.HiFT.FadeIn(ones(1, 300), start: 2000)[0]));
    }

    [Fact]
    public void Pitch_and_source_stay_in_float32_under_weights_of_reduced_precision()
    {
        using var scope = NewDisposeScope();
        using var store = new WeightStore(SyntheticTensors.FullSize("s3gen"), dtype: ScalarType.BFloat16);
        var hift = HiFTNetwork.Build(store);
        var mel = Mel(1, 2);
        var (ours, theirs) = (Stages(hift), Stages(network.HiFT));

        Assert.Equal(0, Close.RelativeError(theirs.F0, ours.F0));
        Assert.Equal(0, Close.RelativeError(theirs.Source, ours.Source));
        Assert.Equal(ScalarType.Float32, ours.Samples.dtype);
        Assert.InRange(Close.RelativeError(theirs.Samples, ours.Samples), 1e-4, 0.2);

        (Tensor F0, Tensor Source, Tensor Samples) Stages(HiFTGenerator hift)
        {
            using var noise = new NoiseSource(2);
            var f0 = hift.PredictF0(mel);
            var source = hift.MakeSource(f0, hift.DrawNoise(noise, 1, 2));
            return (f0, source, hift.Decode(mel, source));
        }
    }

    /// <summary>A mel in its usual range.</summary>
    private static Tensor Mel(long rows, long frames)
    {
        using var noise = new NoiseSource(42);
        return noise.Normal([rows, 80, frames]) * 2 - 5;
    }
}
