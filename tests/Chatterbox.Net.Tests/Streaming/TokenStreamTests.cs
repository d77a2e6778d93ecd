using Chatterbox.Streaming;
using Chatterbox.T3;
using Chatterbox.Tests.T3;

namespace Chatterbox.Tests.Streaming;

public sealed class TokenStreamTests : IDisposable
{
    private static readonly int[] Text = [5, 6, 7];
    private readonly TinyVocalist _tiny = new("tiny-turbo");
    private readonly NoiseSource _noise = new(1);

    [Fact]
    public void Tokens_come_as_far_as_they_are_asked_for_and_are_those_of_the_whole()
    {
        using var same = new NoiseSource(1);
        var whole = _tiny.Config.T3.SpeechCodesOf(_tiny.T3.Generate(Text, _tiny.Voice.T3, new(), same).SpeechTokens);
        using var stream = Open();
        stream.Generate(5, CancellationToken.None);
        Assert.Equal(whole[..5], stream.Spoken);
        Assert.False(stream.Finished);
        stream.Generate(7, new CancellationToken(canceled: true));
        Assert.Equal(5, stream.Spoken.Count);
        stream.Generate(int.MaxValue, CancellationToken.None);
        Assert.Equal(whole, stream.Spoken);
        Assert.True(stream.Finished);
        Assert.False(stream.ReachedLimit);
        Assert.Equal(same.Normal([4]).data<float>().ToArray(), _noise.Normal([4]).data<float>().ToArray());
    }

    [Theory, InlineData(1, 75), InlineData(3, 75), InlineData(12, 75), InlineData(13, 500)]
    public void Speech_is_stuck_once_a_short_cycle_has_lasted_for_3_s(int cycle, int tokens)
    {
        var meter = new RepetitionMeter();
        int[] before = [.. Enumerable.Range(1000, 200)];
        Assert.DoesNotContain(before, meter.Hear);
        Assert.DoesNotContain(Enumerable.Range(0, tokens).Select(i => i % cycle), meter.Hear);
        Assert.Equal(cycle <= 12, meter.Hear(tokens % cycle));
    }

    [Fact]
    public void Speech_that_is_stuck_ends_as_at_a_limit()
    {
        // A head that gives its biases alone says the same token for ever.
        var config = TinyT3.Gpt2Config with { MaxSpeechTokens = 200, Backbone = new Gpt2Config(Layers: 2, HiddenSize: 16, Heads: 2, MlpSize: 24) { Positions = 300 } };
        using var tiny = TinyT3.Gpt2(config, name => name == "speech_head.weight" ? 0 : 1);
        SamplingOptions likeliest = new() { Temperature = 0, RepetitionPenalty = 1, MaxSpeechTokens = 200 };
        foreach (var (endsWhenStuck, tokens) in new[] { (true, 76), (false, 200) })
        {
            using var stream = new TokenStream(tiny.Model, TinyT3.Text, TinyT3.Voice, likeliest, _noise, endsWhenStuck);
            stream.Generate(int.MaxValue, CancellationToken.None);
            Assert.Equal(tokens, stream.Spoken.Count);
            Assert.Single(stream.Spoken.Distinct());
            Assert.True(stream.Finished);
            Assert.True(stream.ReachedLimit);
        }
    }

    public void Dispose()
    {
        _noise.Dispose();
        _tiny.Dispose();
    }

    private TokenStream Open() => new(_tiny.T3, Text, _tiny.Voice.T3, new(), _noise, endsWhenStuck: false);
}
