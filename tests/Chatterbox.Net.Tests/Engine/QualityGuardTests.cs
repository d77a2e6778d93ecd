using Chatterbox.Engine;

namespace Chatterbox.Tests.Engine;

/// <summary>What the guard takes for speech that went wrong, and what it does then.</summary>
public sealed class QualityGuardTests
{
    private static readonly SamplingOptions Sampling = new() { Seed = 7 };

    [Theory]
    [InlineData(75, 1, false)] // three seconds of one token
    [InlineData(76, 1, true)]
    [InlineData(75, 2, false)]
    [InlineData(76, 2, true)]
    [InlineData(76, 12, true)]
    [InlineData(150, 13, false)] // no short cycle: words may be said twice
    public void A_token_or_a_short_cycle_over_and_over_is_spoken_again(int length, int cycle, bool isStuck)
    {
        int[] stuck = [.. Distinct(40), .. Enumerable.Range(0, length).Select(i => 5000 + (i % cycle)), .. Distinct(40, from: 100)];
        var (speech, repair, seeds) = Speak(Spoken(stuck), Spoken(Distinct(30)));
        Assert.Equal(isStuck ? "the same sound over and over; spoken again" : null, repair);
        Assert.Equal(isStuck ? Distinct(30) : stuck, speech.SpeechTokens);
        Assert.Equal(isStuck ? 2 : 1, seeds.Distinct().Count());
    }

    [Theory]
    [InlineData(2.4, false)]
    [InlineData(2.6, true)]
    public void Tokens_that_stay_silent_are_spoken_again(double seconds, bool isLong)
    {
        foreach (var before in (int[])[0, 20])
        {
            var silent = Tone(before).Concat(new float[(int)(seconds * SpeechResult.SampleRate)]).Concat(Tone(20)).ToArray();
            var (_, repair, _) = Speak(
                new SpeechResult(silent, 9, Distinct(silent.Length / SpeechResult.SamplesPerToken), false),
                Spoken(Distinct(30))
            );
            Assert.Equal(isLong ? "long silence; spoken again" : null, repair);
        }
    }

    [Fact]
    public void Nothing_but_silence_is_spoken_again()
    {
        var (speech, repair, _) = Speak(new SpeechResult(new float[24_000], 9, new int[25], false), Spoken(Distinct(30)));
        Assert.Equal("nothing but silence; spoken again", repair);
        Assert.Equal(30, speech.SpeechTokens.Count);
    }

    [Fact]
    public void A_silent_end_is_trimmed_though_its_tokens_are_all_the_same()
    {
        int[] tokens = [.. Distinct(40), .. Enumerable.Repeat(4299, 100)];
        var (speech, repair, seeds) = Speak(
            new SpeechResult((float[])[.. Tone(40), .. new float[100 * SpeechResult.SamplesPerToken]], 9, tokens, false)
        );
        Assert.Equal("silent end trimmed", repair);
        Assert.Single(seeds);
        Assert.InRange(speech.Samples.Length, 40 * SpeechResult.SamplesPerToken, 45 * SpeechResult.SamplesPerToken);
    }

    [Fact]
    public void There_is_one_other_try_and_the_better_one_is_taken()
    {
        var (speech, repair, seeds) = Speak(Spoken(Distinct(90)) with { ReachedLimit = true }, Spoken(new int[80]));
        Assert.Equal("more speech than the text needs; spoken again; the same sound over and over", repair);
        Assert.Equal(80, speech.SpeechTokens.Count); // the shorter of the two
        Assert.Equal(2, seeds.Count);
    }

    [Fact]
    public void The_text_sets_how_much_may_be_spoken()
    {
        var asked = new List<int?>();
        foreach (var (text, own) in new (string, int?)[] { ("Hi.", null), ("Hi.", 20), (new string('a', 300), null), ("你好。", null) })
        {
            asked.Add(QualityGuard.Limit(text, Sampling with { MaxSpeechTokens = own }).MaxSpeechTokens);
        }

        Assert.Equal([68, 20, 1000, 92], asked);
    }

    private static int[] Distinct(int count, int from = 0) => [.. Enumerable.Range(from, count)];

    private static float[] Tone(int tokens) =>
        [.. Enumerable.Range(0, tokens * SpeechResult.SamplesPerToken).Select(i => 0.5f * MathF.Sin(i))];

    private static SpeechResult Spoken(int[] tokens) => new(Tone(tokens.Length), 9, tokens, ReachedLimit: false);

    private static (SpeechResult Speech, string? Repair, List<long?> Seeds) Speak(params SpeechResult[] tries)
    {
        List<long?> seeds = [Sampling.Seed];
        if (QualityGuard.FaultOf(tries[0]) is not { } fault)
        {
            var (only, trimmed) = QualityGuard.Settle(tries[0], failed: null);
            return (only, trimmed, seeds);
        }

        seeds.Add(QualityGuard.Repeat(Sampling).Seed);
        var (speech, repair) = QualityGuard.Settle(tries[1], new(tries[0], fault));
        return (speech, repair, seeds);
    }
}
