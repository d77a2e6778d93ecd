using Chatterbox.Streaming;

namespace Chatterbox.Tests.Streaming;

public class ChunkPlanTests
{
    private const int Lag = 19;
    private const int Prompt = 250,
        FirstPrompt = 125;

    private static readonly PassLength PassLength = new(Lag, Prompt, FirstPrompt, new ChunkOptions().LeftContext);

    [Fact]
    public void Sizes_that_were_asked_for_double()
    {
        var plan = ChunkPlan.Doubling(5, 30, PassLength);
        Assert.Equal([5, 10, 20, 30], plan.Sizes);
        Assert.Equal([24, 34, 54, 84, 114, 144], Enumerable.Range(0, 6).Select(plan.TokensFor));
        Assert.Equal([30], ChunkPlan.Doubling(100, 30, PassLength).Sizes);
    }

    [Theory]
    [InlineData(0.0005, 0.010, 0.00003)] // a fast GPU
    [InlineData(0.003, 0.020, 0.0002)]
    [InlineData(0.010, 0.050, 0.0005)]
    [InlineData(0.015, 0.010, 0.0001)]
    [InlineData(0.001, 0, 0.003)]
    public void Playback_never_starves_though_all_takes_half_again_as_long(double step, double pass, double token)
    {
        var (options, pace) = (new ChunkOptions(), new ModelSpeed(step, pass, token));
        var sizes = Sizes(pace);
        Assert.True(sizes.Sum() >= 1000);
        Assert.All(sizes, size => Assert.InRange(size, 1, options.MostTokens));
        AssertInTime(sizes, pace, options);
    }

    [Theory]
    [InlineData(0.00027, 0.005, 0.00001)]
    [InlineData(0.0004, 0.012, 0.00003)]
    public void Chunks_come_in_time_in_company_where_that_hardly_delays_the_first_sound(double step, double pass, double token)
    {
        var (options, pace) = (new ChunkOptions(), new ModelSpeed(step, pass, token));
        var busy = pace.InCompany();
        var sizes = ChunkPlan.Following(options.MostTokens, pace, PassLength, busy).Sizes;
        AssertInTime(sizes, busy, options);
        double FirstSound(int size) => ((Lag + size) * step) + pace.SecondsOfPass(FirstPrompt + Lag + size);
        Assert.InRange(FirstSound(sizes[0]), 0, 1.25 * 1.25 * FirstSound(Sizes(pace)[0]));
    }

    [Fact]
    public void Faster_models_begin_with_less()
    {
        int First(int times) => Sizes(new(times * 0.0006, times * 0.008, times * 0.00005))[0];
        Assert.True(First(1) < First(20));
    }

    [Fact]
    public void A_chunk_takes_as_long_as_its_missing_tokens_and_its_pass()
    {
        var (plan, pace) = (ChunkPlan.Doubling(10, 40, PassLength), new ModelSpeed(0.001, 0.02, 0.0001));
        Assert.Equal(0.029 + 0.02 + (0.0001 * (FirstPrompt + Lag + 10)), plan.TimeFor(0, known: 0, pace).TotalSeconds, 1e-6);
        Assert.Equal(0.012 + 0.02 + (0.0001 * (Prompt + 10 + Lag + 20)), plan.TimeFor(1, known: 37, pace).TotalSeconds, 1e-6);
        Assert.Equal(0.02 + (0.0001 * (Prompt + 100 + Lag + 40)), plan.TimeFor(5, known: 1000, pace).TotalSeconds, 1e-6);
    }

    [Fact]
    public void Chunks_are_few_where_that_hardly_delays_the_first_sound()
    {
        Assert.Equal([12, 256], Sizes(new(0.00074, 0.028, 0.00006)).Take(2)); // 10 s in two
        Assert.Equal([4, 256], Sizes(new(0.0003, 0.008, 0.00003)).Take(2));
        Assert.InRange(Sizes(new(0.010, 0.05, 0.0005))[0], 12, 48); // and not as much as 96, which would do
    }

    [Theory, InlineData(0.05, 0.01, 0.001), InlineData(0.04, 0, 0), InlineData(0.01, 30, 0)]
    public void A_model_slower_than_speech_makes_one_chunk(double step, double pass, double token) =>
        Assert.Equal([1000], Sizes(new(step, pass, token)));

    [Fact]
    public void A_little_faster_or_slower_is_mostly_the_same_plan()
    {
        var plans = Enumerable.Range(0, 20).Select(i => string.Join(' ', Sizes(new(0.001 * (1 + (i / 400.0)), 0.02, 0.0001)))).Distinct();
        Assert.InRange(plans.Count(), 1, 3);
    }

    [Theory]
    [InlineData(0, 128, 100, 125, "FirstTokens is 0; it must be from 1 to 1000")]
    [InlineData(null, 1001, 100, 125, "MostTokens is 1001")]
    [InlineData(null, 128, -1, 125, "LeftContext is -1")]
    [InlineData(null, 128, 100, 4097, "FirstPrompt is 4097; it must be from 0 to 4096")]
    public void Options_out_of_range_are_refused_by_name(int? first, int most, int context, int prompt, string message)
    {
        var error = Assert.Throws<RequestException>(
            new ChunkOptions
            {
                FirstTokens = first,
                MostTokens = most,
                LeftContext = context,
                FirstPrompt = prompt,
            }.Check
        );
        Assert.StartsWith(message, error.Message, StringComparison.Ordinal);
        Assert.StartsWith(error.Parameter!, message, StringComparison.Ordinal);
    }

    /// <summary>Checks that no chunk comes after those before it were played, though all takes half again as long.</summary>
    private static void AssertInTime(IReadOnlyList<int> sizes, ModelSpeed pace, ChunkOptions options)
    {
        double now = 0,
            dry = 0;
        var spoken = 0;
        foreach (var (i, size) in sizes.Index())
        {
            var tokens = (i == 0 ? FirstPrompt : Prompt) + Math.Min(spoken, options.LeftContext) + Lag + size;
            now += 1.5 * (((i == 0 ? Lag + size : size) * pace.SecondsPerStep) + pace.SecondsOfPass(tokens));
            Assert.True(i == 0 || now <= dry + 1e-9, $"chunk {i} of {string.Join(", ", sizes)} comes {now - dry:0.000} s late");
            dry = (i == 0 ? now : dry) + (size / 25.0);
            spoken += size;
        }
    }

    private static IReadOnlyList<int> Sizes(ModelSpeed pace) =>
        ChunkPlan.Following(new ChunkOptions().MostTokens, pace, PassLength, pace).Sizes;
}
