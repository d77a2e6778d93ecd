using Chatterbox.Audio;
using Chatterbox.Tests.Parity;

namespace Chatterbox.Tests.Audio;

public class LoudnessTests
{
    [Fact]
    public void Loudness_is_that_of_pyloudnorm()
    {
        foreach (var row in SignalReference.Loudness)
        {
            var (rate, samples) = (row.GetProperty("rate").GetInt32(), row.GetProperty("samples").GetInt32());
            var lufs = Loudness.Integrated(SignalReference.Bursts(samples), rate);
            Close.Report($"{rate} Hz, {samples} samples: {lufs} LUFS");
            Assert.Equal(row.GetProperty("lufs").GetDouble(), lufs, 2e-6);
        }
    }

    [Fact]
    public void A_full_scale_sine_of_997_Hz_has_the_loudness_that_the_recommendation_gives()
    {
        var sine = Enumerable.Range(0, 96000).Select(i => (float)Math.Sin(2 * Math.PI * 997 * i / 48000)).ToArray();
        Assert.Equal(-3.01, Loudness.Integrated(sine, 48000), 0.05);
    }

    [Fact]
    public void What_is_below_70_LUFS_does_not_lower_the_average_that_gates()
    {
        var speech = Loudness.Normalize(SignalReference.Noise(24000), 24000, -65);
        var background = Loudness.Normalize(SignalReference.Noise(240000), 24000, -74);
        Assert.Equal(-65, Loudness.Integrated([.. background, .. speech], 24000), 1.0);
    }

    [Theory]
    [InlineData(-27)]
    [InlineData(-16)]
    public void Normalized_samples_have_the_target_loudness(double target)
    {
        var normalized = Loudness.Normalize(SignalReference.Bursts(60000), 24000, target);
        Assert.Equal(target, Loudness.Integrated(normalized, 24000), 1e-3);
    }

    [Fact]
    public void Silence_and_what_is_too_short_to_measure_stay_as_they_are()
    {
        Assert.Equal(double.NegativeInfinity, Loudness.Integrated(new float[24000], 24000));
        Assert.Equal(new float[24000], Loudness.Normalize(new float[24000], 24000));

        var click = SignalReference.Noise(9599);
        Assert.Equal(double.NaN, Loudness.Integrated(click, 24000));
        Assert.Equal(click, Loudness.Normalize(click, 24000));
        Assert.Equal(double.NaN, Loudness.Integrated([], 24000));
        Assert.True(double.IsFinite(Loudness.Integrated(SignalReference.Noise(9600), 24000)));
    }
}
