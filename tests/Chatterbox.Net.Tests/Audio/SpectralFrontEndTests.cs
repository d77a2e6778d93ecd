using Chatterbox.Audio;
using Chatterbox.Models;
using Chatterbox.Weights;

namespace Chatterbox.Tests.Audio;

public sealed class SpectralFrontEndTests : IDisposable
{
    private readonly WeightStore _tables = new(new SyntheticTensors("tables", new Dictionary<string, SyntheticTensor>()));
    private readonly DisposeScope _scope = NewDisposeScope();

    public void Dispose()
    {
        _scope.Dispose();
        _tables.Dispose();
    }

    [Fact]
    public void Silence_is_minus_ten_in_whispers_mel()
    {
        var mel = new WhisperMel(MelConfig.SpeechTokenizer, _tables.Root);
        AssertAll((-10 + 4) / 4.0, mel.Forward(zeros(1600)));
    }

    [Fact]
    public void What_is_80_dB_below_the_loudest_is_cut_off_in_whispers_mel()
    {
        var mel = new WhisperMel(MelConfig.SpeechTokenizer, _tables.Root).Forward(cat([zeros(16000), randn(1600)]));
        Assert.Equal(2, (mel.max() - mel.min()).item<float>(), 1e-5f);
    }

    [Fact]
    public void Silence_is_the_floor_of_S3Gens_mel() =>
        AssertAll(Math.Log(1e-5), new MagnitudeMel(MelConfig.S3Gen, _tables.Root).Forward(zeros(24000)));

    [Fact]
    public void Silence_is_floored_in_the_filter_bank()
    {
        const int Band = 40;
        var speech = randn(400, generator: new Generator(1)) * 0.1;
        var fbank = new KaldiFbank(80, _tables.Root).Forward(cat([speech, zeros(480)])); // frames at 0, 160, 320 and 480
        Assert.Equal([4, 80], fbank.shape);
        var rise = (fbank[0] - fbank[3])[Band].item<float>();
        Assert.Equal(Math.Log(BandEnergy(speech, Band)) - Math.Log(1.1920928955078125e-7), rise, 1e-3);
    }

    /// <summary>Energy in one of 80 bands, straight from Kaldi's definition.</summary>
    private static double BandEnergy(Tensor samples, int band)
    {
        static double Mel(double hertz) => 1127 * Math.Log(1 + (hertz / 700));

        var x = samples.to(ScalarType.Float64).data<double>().ToArray();
        var mean = x.Average();
        x = [.. x.Select(v => v - mean)];
        var width = (Mel(8000) - Mel(20)) / 81;
        var centre = Mel(20) + ((band + 1) * width);
        var energy = 0.0;
        for (var bin = 0; bin < 256; bin++)
        {
            var sum = System.Numerics.Complex.Zero;
            for (var i = 0; i < 400; i++)
            {
                var window = Math.Pow(0.5 - (0.5 * Math.Cos(2 * Math.PI * i / 399)), 0.85);
                sum += window * (x[i] - (0.97 * x[Math.Max(0, i - 1)])) * System.Numerics.Complex.Exp(new(0, -2 * Math.PI * bin * i / 512));
            }

            energy += Math.Max(0, 1 - (Math.Abs(Mel(bin * 31.25) - centre) / width)) * sum.Magnitude * sum.Magnitude;
        }

        return energy;
    }

    [Theory]
    [InlineData(24000, 480, 50)]
    [InlineData(721, 480, 1)]
    [InlineData(959, 480, 1)]
    [InlineData(960, 480, 2)]
    public void S3Gens_mel_has_a_frame_for_each_whole_hop(int samples, int hop, int frames)
    {
        var mel = new MagnitudeMel(MelConfig.S3Gen, _tables.Root);
        Assert.Equal(hop, MelConfig.S3Gen.Hop);
        Assert.Equal([80, frames], mel.Forward(randn(samples)).shape);
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(2, 2)]
    [InlineData(3, 2)]
    [InlineData(4, 3)]
    [InlineData(240000, 160000)]
    [InlineData(100895, 67264)]
    public void Resampling_gives_two_samples_for_three_rounded_up(int samples, int resampled) =>
        Assert.Equal([resampled], new SincResampler(24000, 16000, _tables.Root).Forward(ones(samples)).shape);

    [Theory]
    [InlineData(24000, 16000)]
    [InlineData(16000, 24000)]
    [InlineData(48000, 16000)]
    public void Resampling_keeps_a_tone(int from, int to)
    {
        var tone = sin(arange(from, ScalarType.Float32) * (2 * Math.PI * 1000 / from));
        var expected = sin(arange(to, ScalarType.Float32) * (2 * Math.PI * 1000 / to));
        var ours = new SincResampler(from, to, _tables.Root).Forward(tone);
        var inner = 100..^100;
        Assert.True(((ours - expected)[inner].norm() / expected[inner].norm()).item<float>() < 0.01);
    }

    [Fact]
    public void Resampling_removes_what_the_lower_rate_cannot_hold()
    {
        var tone = sin(arange(24000, ScalarType.Float32) * (2 * Math.PI * 11000 / 24000));
        Assert.True(new SincResampler(24000, 16000, _tables.Root).Forward(tone)[100..^100].abs().max().item<float>() < 0.02);
    }

    private static void AssertAll(double expected, Tensor values) =>
        Assert.True(
            (values - expected).abs().max().item<float>() < 1e-5,
            $"{values.min().item<float>()} to {values.max().item<float>()}, expected {expected}"
        );
}
