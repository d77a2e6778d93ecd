using Chatterbox.Models;
using Chatterbox.Tests.Parity;
using Chatterbox.Watermark;
using Chatterbox.Weights;

namespace Chatterbox.Tests.Watermark;

public class PerthWatermarkerTests(PerthNetwork network) : IClassFixture<PerthNetwork>
{
    private const int Rate = 32000;

    [Fact]
    public void Silence_stays_silent_and_nothing_is_said_of_it()
    {
        var silence = new float[9600];
        var marked = network.Watermarker.Mark(silence, Rate);
        Assert.Equal(silence.Length, marked.Length);
        Assert.All(marked, sample => Assert.InRange(sample, -1e-6f, 1e-6f));
        Assert.Null(network.Watermarker.Detect(silence, Rate));
        Assert.False(network.Watermarker.IsMarked(silence, Rate));
    }

    [Theory, InlineData(0), InlineData(1), InlineData(1024)]
    public void What_is_shorter_than_half_a_window_passes_unchanged_and_nothing_is_said_of_it(int length)
    {
        var noise = Noise(length);
        Assert.Equal(noise, network.Watermarker.Mark(noise, Rate));
        Assert.Null(network.Watermarker.Detect(noise, Rate));
        Assert.False(network.Watermarker.IsMarked(noise, Rate));
    }

    [Theory, InlineData(Rate, 1025, 960), InlineData(Rate, 1280, 1280), InlineData(Rate, 9919, 9600), InlineData(Rate, 9920, 9920)]
    [
        InlineData(24000, 769, 720),
        InlineData(24000, 960, 960),
        InlineData(24000, 1439, 1200),
        InlineData(24000, 1440, 1440),
        InlineData(44100, 1413, 1323)
    ]
    public void The_end_is_cut_to_whole_hops(int rate, int length, int expected)
    {
        var noise = Noise(length);
        var marked = network.Watermarker.Mark(noise, rate);
        Assert.Equal(expected, marked.Length);
        Assert.All(marked, sample => Assert.True(float.IsFinite(sample)));
        Assert.NotEqual(noise[..expected], marked);
        Assert.InRange(network.Watermarker.Detect(noise, rate)!.Value, 0, 1);
    }

    [Theory, InlineData(0), InlineData(-24000)]
    public void A_rate_that_is_none_is_refused(int rate)
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => network.Watermarker.Mark(Noise(2000), rate));
        Assert.Throws<ArgumentOutOfRangeException>(() => network.Watermarker.Detect(Noise(2000), rate));
    }

    [Theory, InlineData(0.5, 0.5, false), InlineData(0.50001, 0.50001, true), InlineData(7, 1, true), InlineData(-7, 0, false)]
    public void Confidence_is_cut_to_0_and_1_and_a_half_rounds_to_no(double found, double confidence, bool isMarked)
    {
        var watermarker = Constant((0, found), (0, found), (0, found), out var store);
        using (store)
        {
            Assert.Equal(confidence, watermarker.Detect(Noise(4000), Rate)!.Value, 1e-7);
            Assert.Equal(isMarked, watermarker.IsMarked(Noise(4000), Rate));
        }
    }

    [Fact]
    public void Branches_are_weighed_by_softmax()
    {
        var watermarker = Constant((1, 0.1), (2, 0.3), (-1, 0.9), out var store);
        using (store)
        {
            var (slow, normal, fast) = (Math.Exp(1), Math.Exp(2), Math.Exp(-1));
            var expected = ((0.1 * slow) + (0.3 * normal) + (0.9 * fast)) / (slow + normal + fast);
            Assert.Equal(expected, watermarker.Detect(Noise(4000), Rate)!.Value, 1e-6);
        }
    }

    [Fact]
    public void The_branches_hear_a_quarter_more_frames_as_many_and_a_quarter_fewer()
    {
        using var scope = NewDisposeScope();
        using var store = new WeightStore(SyntheticTensors.FullSize("perth_net"));
        var magnitude = network.Spectrum.Magnitude(network.Spectrum.Analyse(tensor(Noise(9600)).unsqueeze(0)));
        var low = magnitude.narrow(1, 0, network.Config.MarkedBins);
        var found = new[] { ("slow", 1.25), ("normal", 1), ("fast", 0.75) }
            .Select(b =>
                new DecoderBranch(network.Config, store.Root["decoder"][$"{b.Item1}_layers"], b.Item2).Forward(
                    low,
                    ones(1, 1, low.shape[2])
                )
            )
            .Select(f => (Attention: Math.Exp(f[0, 0].item<float>()), Found: f[0, 1].item<float>()))
            .ToArray();
        var expected = found.Sum(f => f.Attention * f.Found) / found.Sum(f => f.Attention);
        Assert.Equal(expected, network.Decoder.Forward(magnitude).item<float>(), 2e-7);
    }

    [Theory, InlineData(1.25), InlineData(1), InlineData(0.75)]
    public void A_branch_stretches_the_spectrum_and_averages_the_frames_that_count(double stretch)
    {
        // Convolutions that hand the lowest bin through, from each frame to the same frame.
        Tensor Through(Tensor weight, int output)
        {
            var changed = zeros_like(weight);
            changed[output, 0, weight.shape[2] / 2] = 1;
            return changed;
        }

        var changes = Enumerable
            .Range(0, 7)
            .ToDictionary(layer => $"decoder.slow_layers.{layer}.conv.weight", layer => (Func<Tensor, Tensor>)(w => Through(w, layer / 6)));
        for (var layer = 0; layer < 7; layer++)
        {
            changes[$"decoder.slow_layers.{layer}.conv.bias"] = b => zeros_like(b);
        }

        float[] values = [0.3f, 0.9f, 0.1f, 0.5f, 0.8f, 0.2f, 0.7f, 0.4f];
        float[] mask = [1, 0, 0, 1, 1, 0, 1, 0];
        using var scope = NewDisposeScope();
        using var store = new WeightStore(new Weights.ChangedTensors(SyntheticTensors.FullSize("perth_net"), changes));
        var branch = new DecoderBranch(network.Config, store.Root["decoder"]["slow_layers"], stretch);
        var ours = branch.Forward(tensor(values) * ones(1, network.Config.MarkedBins, 1), tensor(mask).reshape(1, 1, -1));

        var frames = (int)(values.Length * stretch);
        var counting = Enumerable
            .Range(0, frames)
            .Where(i => mask[i * mask.Length / frames] == 1)
            .Select(i =>
            {
                var at = i * (values.Length - 1.0) / (frames - 1);
                var (before, after) = ((int)Math.Floor(at), (int)Math.Ceiling(at));
                return values[before] + ((values[after] - values[before]) * (at - before));
            });
        Assert.Equal(0, ours[0, 0].item<float>());
        Assert.Equal(counting.Average(), ours[0, 1].item<float>(), 1e-6);
    }

    [Fact]
    public void Nothing_is_left_behind()
    {
        var noise = Noise(4000);
        network.Watermarker.Detect(noise, Rate); // reads what detects
        var before = LiveTensors.Settled();
        network.Watermarker.Mark(noise, Rate);
        network.Watermarker.Detect(noise, Rate);
        Assert.Equal(before, Tensor.TotalCount);
    }

    [Fact]
    public void Weights_of_reduced_precision_are_not_reduced()
    {
        using var store = new WeightStore(SyntheticTensors.FullSize("perth_net"), dtype: ScalarType.BFloat16);
        Assert.Equal(network.Watermarker.Mark(Noise(4000), Rate), new PerthWatermarker(network.Config, store.Root).Mark(Noise(4000), Rate));
    }

    [Fact]
    public void Only_loud_frames_and_low_bins_are_marked()
    {
        using var scope = NewDisposeScope();
        var levels = tensor(new[] { 0f, 0.02f, 0.0499f, 0.0501f, 1, 0.5f });
        var magnitude = levels * ones(2, network.Config.Bins, 1);
        magnitude[1] *= 3; // each row has its own loudest frame

        Assert.Equal([0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1], PerthEncoder.Mask(network.Config, magnitude).data<float>().ToArray());

        var change = network.Encoder.Forward(magnitude);
        Assert.Equal([2, 128, 6], change.shape);
        Assert.Equal(0, change.narrow(2, 0, 3).abs().max().item<float>());
        Assert.True(change.narrow(2, 3, 3).abs().max().item<float>() > 0.01);

        var spectrum = complex(ones_like(magnitude), magnitude);
        var raised = spectrum.clone();
        network.Spectrum.AddMark(raised, magnitude, change);
        Assert.Equal(spectrum.narrow(1, 128, network.Config.Bins - 128), raised.narrow(1, 128, network.Config.Bins - 128));
        Assert.Equal(spectrum.narrow(2, 0, 3), raised.narrow(2, 0, 3));
        var decibels = 20 * (raised.abs() / spectrum.abs()).log10().narrow(1, 0, 128);
        Assert.InRange(Close.RelativeError(change[0] * 195, decibels[0]), 0, 1e-4); // the other row's levels are cut
        Assert.InRange((raised.angle() - spectrum.angle()).abs().max().item<float>(), 0, 1e-5);
    }

    [Fact]
    public void Levels_are_scaled_from_minus_180_to_15_dB()
    {
        using var scope = NewDisposeScope();
        Assert.Equal(0, Magnitude(zeros(1, 4000)).abs().max().item<float>(), 1e-6);

        // A constant c has bins of c · 1024 (the window's sum) at 0 Hz: 20 · log10(0.5 · 1024) = 54.19 dB.
        Assert.Equal((54.185 + 180) / 195, Magnitude(full([1, 4000], -0.5f))[0, 0, 5].item<float>(), 1e-4);

        Tensor Magnitude(Tensor samples) => network.Spectrum.Magnitude(network.Spectrum.Analyse(samples));
    }

    [Fact]
    public void A_spectrum_goes_back_to_the_samples_that_it_came_from()
    {
        using var scope = NewDisposeScope();
        var samples = tensor(Noise(4000)).unsqueeze(0);
        var back = network.Spectrum.Synthesize(network.Spectrum.Analyse(samples));
        Assert.Equal([1, 3840], back.shape);
        Assert.InRange(Close.RelativeError(samples.narrow(1, 0, 3840), back), 0, 1e-6);
    }

    [Fact]
    public void Levels_that_would_overflow_are_cut()
    {
        using var scope = NewDisposeScope();
        var spectrum = complex(full([1, 4, 3], 0.6f), full([1, 4, 3], -0.8f));
        network.Spectrum.AddMark(spectrum, full([1, 4, 3], 180 / 195.0), full([1, 2, 3], 5f));
        Assert.InRange(Close.RelativeError(full([1, 2, 3], 1e10), spectrum.abs().narrow(1, 0, 2)), 0, 1e-4);
        Assert.InRange(Close.RelativeError(full([1, 2, 3], 1), spectrum.abs().narrow(1, 2, 2)), 0, 1e-6);
    }

    [Fact]
    public void Stored_windows_go_before_computed_ones()
    {
        using var scope = NewDisposeScope();
        using var store = new WeightStore(
            new SyntheticTensors(
                "buffers",
                new Dictionary<string, SyntheticTensor>
                {
                    ["ap.spectrogram.window"] = new(new(ScalarType.Float32, [2048]), 0.25f, 0),
                    ["ap.inv_spectrogram.window"] = new(new(ScalarType.Float32, [2048]), 0.5f, 0),
                    ["ap.stretch.phase_advance"] = new(new(ScalarType.Float32, [1025, 1]), 0, 0),
                }
            )
        );
        var spectrum = new PerthSpectrum(network.Config, store.Root["ap"]);
        store.ThrowIfFaulty();

        var bins = spectrum.Analyse(ones(1, 4000));
        Assert.Equal(((20 * Math.Log10(0.25 * 2048)) + 180) / 195, spectrum.Magnitude(bins)[0, 0, 5].item<float>(), 1e-4);
        Assert.Equal(0.25 / 0.5, spectrum.Synthesize(bins)[0, 2000].item<float>(), 1e-3);
    }

    /// <summary>A watermarker whose decoder's branches say the same of all they hear.</summary>
    private PerthWatermarker Constant(
        (double Attention, double Found) slow,
        (double Attention, double Found) normal,
        (double Attention, double Found) fast,
        out WeightStore store
    )
    {
        var changes = new Dictionary<string, Func<Tensor, Tensor>>();
        foreach (var (branch, (attention, found)) in new[] { ("slow", slow), ("normal", normal), ("fast", fast) })
        {
            changes[$"decoder.{branch}_layers.6.conv.weight"] = w => zeros_like(w);
            changes[$"decoder.{branch}_layers.6.conv.bias"] = _ => tensor(new[] { (float)attention, (float)found });
        }

        store = new WeightStore(new Weights.ChangedTensors(SyntheticTensors.FullSize("perth_net"), changes));
        return new(network.Config, store.Root);
    }

    private static float[] Noise(int length)
    {
        using var noise = new NoiseSource(length);
        using var scope = NewDisposeScope();
        return (noise.Normal([length]) * 0.1).data<float>().ToArray();
    }
}
