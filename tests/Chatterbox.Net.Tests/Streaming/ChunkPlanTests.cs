using Chatterbox.Streaming;

namespace Chatterbox.Tests.Streaming;

public class ChunkPlanTests
{
    private const int Lag = 19;
    private const int Prompt = 250;

    [Fact]
    public void Sizes_that_were_asked_for_double_whatever_the_speed()
    {
        var options = new ChunkOptions { FirstTokens = 5, MostTokens = 30 };
        foreach (var pace in new[] { Pace(0.001, 0.0001), Pace(1, 1) })
        {
            var plan = ChunkPlan.For(options, pace, Lag, Prompt);
            Assert.Equal([5, 10, 20, 30], plan.Sizes);
            Assert.Equal([24, 34, 54, 84, 114, 144], Enumerable.Range(0, 6).Select(plan.TokensFor));
        }

        Assert.Equal([30], ChunkPlan.For(options with { FirstTokens = 100 }, Pace(1, 1), Lag, Prompt).Sizes);
    }

    [Theory]
    [InlineData(0.0005, 0.00003)]    // a fast GPU
    [InlineData(0.003, 0.0002)]
    [InlineData(0.010, 0.0005)]
    [InlineData(0.015, 0.0001)]
    [InlineData(0.001, 0.003)]
    public void Playback_never_starves_though_all_takes_half_again_as_long(double step, double pass)
    {
        var options = new ChunkOptions();
        var sizes = ChunkPlan.For(options, Pace(step, pass), Lag, Prompt).Sizes;
        Assert.True(sizes.Sum() >= 1000);
        Assert.All(sizes, size => Assert.InRange(size, 1, options.MostTokens));

        double now = 0, dry = 0;
        var spoken = 0;
        foreach (var (i, size) in sizes.Index())
        {
            var tokens = Prompt + Math.Min(spoken, options.LeftContext) + Lag + size;
            now += 1.5 * (((i == 0 ? Lag + size : size) * step) + (tokens * pass));
            Assert.True(i == 0 || now <= dry + 1e-9, $"chunk {i} of {string.Join(", ", sizes)} comes {now - dry:0.000} s late");
            dry = (i == 0 ? now : dry) + (size / 25.0);
            spoken += size;
        }
    }

    [Fact]
    public void Faster_models_begin_with_less_and_go_on_with_more()
    {
        int[] First(params double[] steps) => [.. steps.Select(step => ChunkPlan.For(new(), Pace(step, 0.0003), Lag, Prompt).Sizes[0])];
        var firsts = First(0.0005, 0.002, 0.006, 0.012, 0.018);
        Assert.Equal(firsts.Order(), firsts);
        Assert.True(firsts[0] < firsts[^1]);

        var fast = ChunkPlan.For(new(), Pace(0.0005, 0.00003), Lag, Prompt).Sizes;
        Assert.Equal(4, fast[0]);
        Assert.True(fast[1] >= 32);
        Assert.Equal(128, fast[2]);
    }

    [Fact]
    public void Streams_that_share_a_model_leave_each_other_time()
    {
        int First(int sharers) => ChunkPlan.For(new() { Sharers = sharers }, Pace(0.001, 0.0001), Lag, Prompt).Sizes[0];
        Assert.True(First(1) < First(8));
    }

    [Fact]
    public void A_model_slower_than_speech_makes_one_chunk() =>
        Assert.Equal([1000], ChunkPlan.For(new(), Pace(0.05, 0.001), Lag, Prompt).Sizes);

    [Fact]
    public void A_little_faster_or_slower_is_mostly_the_same_plan()
    {
        var plans = Enumerable.Range(0, 20).Select(i => string.Join(' ', ChunkPlan.For(new(), Pace(0.001 * (1 + (i / 400.0)), 0.0001), Lag, Prompt).Sizes)).Distinct();
        Assert.InRange(plans.Count(), 1, 3);
    }

    [Fact]
    public void Pace_follows_what_is_measured()
    {
        var pace = Pace(0.002, 0.0003);
        Assert.Equal(0.002, pace.SecondsPerStep, 1e-5);
        Assert.Equal(0.0003, pace.SecondsPerPassToken, 1e-6);
        pace.Stepped(0, TimeSpan.FromSeconds(9));
        Assert.Equal(0.002, pace.SecondsPerStep, 1e-5);
    }

    [Theory]
    [InlineData(0, 128, 100, "FirstTokens is 0; it must be from 1 to 1000")]
    [InlineData(null, 1001, 100, "MostTokens is 1001")]
    [InlineData(null, 128, -1, "LeftContext is -1")]
    public void Options_out_of_range_are_refused_by_name(int? first, int most, int context, string message)
    {
        var error = Assert.Throws<RequestException>(new ChunkOptions { FirstTokens = first, MostTokens = most, LeftContext = context }.Check);
        Assert.StartsWith(message, error.Message, StringComparison.Ordinal);
        Assert.StartsWith(error.Parameter!, message, StringComparison.Ordinal);
    }

    private static ChunkPace Pace(double step, double pass)
    {
        var pace = new ChunkPace();
        for (var i = 0; i < 60; i++)
        {
            pace.Stepped(1000, TimeSpan.FromSeconds(1000 * step));
            pace.Passed(1000, TimeSpan.FromSeconds(1000 * pass));
        }

        return pace;
    }
}
