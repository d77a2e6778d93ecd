using Chatterbox.T3;

namespace Chatterbox.Tests.T3;

public class SpeechTokenSamplerTests
{
    private const float Out = float.NegativeInfinity;

    [Fact]
    public void Guidance_goes_beyond_the_conditional_row() =>
        Check(
            [1.5f, 3, -0.5f],
            SpeechTokenSampler.Guide(
                tensor(
                    new float[,]
                    {
                        { 1, 2, 0 },
                        { 0, 0, 1 },
                    }
                ),
                0.5
            )
        );

    [Fact]
    public void A_single_row_is_not_guided() => Check([1, 2], SpeechTokenSampler.Guide(Row(1, 2), 0.5));

    [Fact]
    public void The_penalty_divides_positive_and_multiplies_negative_scores()
    {
        using var spoken = tensor(new[] { true, true, false, true }).unsqueeze(0);
        Check([2, -6, 5, Out], SpeechTokenSampler.Penalise(Row(4, -3, 5, Out), spoken, 2));
    }

    [Theory]
    [InlineData(0.4, 2)] // probabilities are as 8 : 4 : 2 : 1
    [InlineData(0.6, 1)]
    [InlineData(1, 1)]
    public void Min_p_keeps_that_fraction_of_the_likeliest(double fraction, int kept) =>
        Assert.Equal(kept, Kept(SpeechTokenSampler.KeepMinP(Row(8, 4, 2, 1).log(), fraction)));

    [Theory]
    [InlineData(1, 1)]
    [InlineData(2, 3)] // the second and third are equal
    [InlineData(4, 4)]
    [InlineData(1000, 5)]
    public void Top_k_keeps_that_many_and_their_equals(int count, int kept) =>
        Assert.Equal(kept, Kept(SpeechTokenSampler.KeepTopK(Row(2, 5, 4, 4, 1), count)));

    [Theory]
    [InlineData(0.5, 1)] // probabilities are 0.03, 0.6, 0.07, 0.3
    [InlineData(0.65, 2)]
    [InlineData(0.89, 2)]
    [InlineData(0.95, 3)]
    [InlineData(1e-9, 1)]
    public void Top_p_keeps_the_likeliest_that_reach_the_total(double total, int kept) =>
        Assert.Equal(kept, Kept(SpeechTokenSampler.KeepTopP(Row(3, 60, 7, 30).log(), total)));

    [Fact]
    public void Llama_penalises_before_the_filters_and_gpt2_behind_them()
    {
        // The start token is the likeliest, and penalised. Penalised first it falls behind, and min-p drops it; filtered
        // first it is all that top-k leaves.
        Assert.Equal([7], FirstTokens(TinyT3.LlamaConfig, new() { MinP = 0.5, RepetitionPenalty = 10 }, (50, 10), (7, 9)));
        Assert.Equal([50], FirstTokens(TinyT3.Gpt2Config, new() { TopK = 1, RepetitionPenalty = 10 }, (50, 10), (7, 9)));
    }

    [Fact]
    public void Temperature_comes_before_the_filters()
    {
        // The second token has e⁻¹ = 0.37 of the likeliest's probability at temperature 1, e⁻⁰·² = 0.82 at 5.
        Assert.Equal([3], FirstTokens(TinyT3.LlamaConfig, new() { Temperature = 1, MinP = 0.6 }, (3, 2), (4, 1)));
        Assert.Equal([3, 4], FirstTokens(TinyT3.LlamaConfig, new() { Temperature = 5, MinP = 0.6 }, (3, 2), (4, 1)));
        Assert.Equal([3], FirstTokens(TinyT3.Gpt2Config, new() { Temperature = 1, TopP = 0.7 }, (3, 2), (4, 1)));
        Assert.Equal([3, 4], FirstTokens(TinyT3.Gpt2Config, new() { Temperature = 5, TopP = 0.7 }, (3, 2), (4, 1)));
    }

    [Fact]
    public void Filters_set_to_keep_everything_do()
    {
        Assert.Equal([3, 4], FirstTokens(TinyT3.LlamaConfig, new() { MinP = 0, TopP = 1 }, (3, 2), (4, 1)));
        Assert.Equal([3, 4], FirstTokens(TinyT3.Gpt2Config, new() { TopK = 0, TopP = 1 }, (3, 2), (4, 1)));
    }

    [Fact]
    public void Llama_penalises_the_start_token_all_along_and_gpt2_only_at_first()
    {
        // The likeliest is the start token, then 7, then 8. Halved at first, it leaves the first place to 7.
        Assert.Equal([7, 8], Greedy(TinyT3.LlamaConfig));
        Assert.Equal([7, 50], Greedy(TinyT3.Gpt2Config));

        static int[] Greedy(T3Config config)
        {
            using var noise = new NoiseSource(0);
            using var sampler = Sampler(config, new() { Temperature = 0, RepetitionPenalty = 2 }, noise);
            using var logits = Logits(config, (50, 10), (7, 9), (8, 6));
            return [.. Enumerable.Range(0, 2).Select(_ => Id(sampler.Next(logits)))];
        }
    }

    [Fact]
    public void Greedy_takes_the_likeliest_after_guidance_and_penalty_and_draws_nothing()
    {
        using var noise = new NoiseSource(5);
        using var untouched = new NoiseSource(5);
        using var sampler = Sampler(
            TinyT3.LlamaConfig,
            new()
            {
                Temperature = 0,
                RepetitionPenalty = 2,
                CfgWeight = 1,
            },
            noise
        );
        using var scope = NewDisposeScope();

        // Guided: 3, 4 and 7; the last is the start token and penalised to 3.5.
        var logits = cat([Logits(TinyT3.LlamaConfig, (20, 3), (21, 2), (50, 3.5f)), Logits(TinyT3.LlamaConfig, (20, 3))]);
        Assert.Equal(21, Id(sampler.Next(logits)));
        Assert.Equal(50, Id(sampler.Next(logits))); // 21 has come down to 2
        Assert.Equal(50, Id(sampler.Next(logits))); // spoken twice and penalised once
        Assert.Equal(untouched.Normal([4]).data<float>().ToArray(), noise.Normal([4]).data<float>().ToArray());
    }

    private static SpeechTokenSampler Sampler(T3Config config, SamplingOptions options, NoiseSource noise) =>
        new(config, SamplingSettings.Resolve(options, config), noise, CPU);

    /// <summary>The different tokens that many seeds begin with.</summary>
    private static int[] FirstTokens(T3Config config, SamplingOptions options, params (int Token, float Logit)[] likely)
    {
        using var logits = Logits(config, likely);
        return
        [
            .. Enumerable
                .Range(0, 60)
                .Select(seed =>
                {
                    using var noise = new NoiseSource(seed);
                    using var sampler = Sampler(config, options, noise);
                    return Id(sampler.Next(logits));
                })
                .Distinct()
                .Order(),
        ];
    }

    /// <summary>One row in which all but the tokens given are out of the question.</summary>
    private static Tensor Logits(T3Config config, params (int Token, float Logit)[] likely)
    {
        var logits = full([1, config.SpeechVocabulary], -1e4f);
        foreach (var (token, logit) in likely)
        {
            logits[0, token] = logit;
        }

        return logits;
    }

    private static int Id(Tensor token)
    {
        using (token)
        {
            return (int)token.item<long>();
        }
    }

    private static Tensor Row(params float[] scores) => tensor(scores).unsqueeze(0);

    private static int Kept(Tensor scores) => scores.data<float>().Count(score => !float.IsNegativeInfinity(score));

    private static void Check(float[] expected, Tensor actual) => Assert.Equal(expected, actual.data<float>().ToArray());
}
