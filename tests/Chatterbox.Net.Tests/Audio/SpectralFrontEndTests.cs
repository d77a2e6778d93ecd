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
    public void Silence_is_the_floor_under_the_root_in_S3Gens_mel()
    {
        var mel = new MagnitudeMel(MelConfig.S3Gen, _tables.Root).Forward(zeros(24000));
        var areas = MelFilters.Slaney(MelConfig.S3Gen, CPU).sum(1);
        var expected = (areas * Math.Sqrt(1e-9)).clamp_min(1e-5).log().unsqueeze(1).expand(80, 50);
        Assert.True((expected - mel).abs().max().item<float>() < 1e-5);
        Assert.Equal(Math.Log(1e-5), mel.min().item<float>(), 1e-5);      // the floor under the logarithm is reached too
    }

    [Fact]
    public void Silence_is_floored_in_the_filter_bank()
    {
        var fbank = new KaldiFbank(80, _tables.Root).Forward(cat([zeros(400 + (9 * 160)), randn(10, generator: new Generator(1))]));
        Assert.Equal([10, 80], fbank.shape);
        AssertAll(0, fbank);     // whole frames only, all of them silent

        fbank = new KaldiFbank(80, _tables.Root).Forward(cat([zeros(400), zeros(160), ones(1) * 1e6]));
        AssertAll(0, fbank[..2]);
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
        Assert.Equal(721, mel.MinSamples);
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
        Assert.True((values - expected).abs().max().item<float>() < 1e-5, $"{values.min().item<float>()} to {values.max().item<float>()}, expected {expected}");
}
