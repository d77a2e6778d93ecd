using Chatterbox.Audio;

namespace Chatterbox.Tests.Audio;

public class SilenceTrimmerTests
{
    [Fact]
    public void Bounds_are_whole_hops_around_frames_that_reach_the_threshold()
    {
        // A frame of 2048 around sample 512·i reaches -20 dB once it overlaps the tone by about 21 samples.
        var samples = new float[20000];
        samples.AsSpan(8000, 4000).Fill(0.5f);
        Assert.Equal((14 * 512, 26 * 512), SilenceTrimmer.Bounds(samples));
        Assert.Equal(12 * 512, SilenceTrimmer.Trim(samples).Length);
    }

    [Fact]
    public void A_lower_threshold_keeps_more()
    {
        var samples = Enumerable.Repeat(0.001f, 20000).ToArray();
        samples.AsSpan(8000, 4000).Fill(0.5f);
        Assert.Equal((0, 20000), SilenceTrimmer.Bounds(samples, topDb: 60));
        Assert.Equal((14 * 512, 26 * 512), SilenceTrimmer.Bounds(samples, topDb: 20));
    }

    [Fact]
    public void Inner_silence_stays()
    {
        var samples = new float[40000];
        samples.AsSpan(5000, 2000).Fill(0.5f);
        samples.AsSpan(30000, 2000).Fill(-0.5f);
        var (start, end) = SilenceTrimmer.Bounds(samples);
        Assert.InRange(start, 4000, 5000);
        Assert.InRange(end, 32000, 33500);
    }

    [Theory]
    [InlineData(0.0999f, 7168)] // frame 14 is the first to see the loud part
    [InlineData(0.1001f, 1024)] // frame 2 is the first that does not reach beyond the start
    public void The_threshold_is_20_dB_below_the_loudest_frame(float before, int start)
    {
        var samples = Enumerable.Repeat(before, 30000).ToArray();
        samples.AsSpan(8000).Fill(1f);
        Assert.Equal((start, 30000), SilenceTrimmer.Bounds(samples));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(511)]
    [InlineData(5000)]
    public void Silence_through_and_through_is_kept_and_so_is_an_even_tone(int samples)
    {
        Assert.Equal((0, samples), SilenceTrimmer.Bounds(new float[samples]));
        Assert.Equal((0, samples), SilenceTrimmer.Bounds(Enumerable.Repeat(0.3f, samples).ToArray()));
    }

    [Theory]
    [InlineData(9.0e-5f, 0, 20000)] // 19.1 dB above the floor of -100 dB, where all that is quieter lies
    [InlineData(1.1e-4f, 7168, 13312)] // 20.8 dB above it
    public void Nothing_is_quieter_than_minus_100_dB(float amplitude, int start, int end)
    {
        var samples = new float[20000];
        samples.AsSpan(8000, 4000).Fill(amplitude);
        Assert.Equal((start, end), SilenceTrimmer.Bounds(samples));
    }
}
