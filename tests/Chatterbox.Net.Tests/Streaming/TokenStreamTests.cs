using Chatterbox.Streaming;

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
        using var stream = Open(new(), longestRun: null);
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

    [Fact]
    public void Speech_that_is_stuck_on_a_token_ends()
    {
        // The likeliest tokens of this text begin with one that is said once, and one that is said three times.
        SamplingOptions likeliest = new() { Temperature = 0, RepetitionPenalty = 1 };
        using var free = Open(likeliest, longestRun: 3);
        free.Generate(10, CancellationToken.None);
        Assert.Equal(3, free.Spoken.Skip(1).TakeWhile(token => token == free.Spoken[1]).Count());
        Assert.False(free.Finished);

        using var held = Open(likeliest, longestRun: 2);
        held.Generate(10, CancellationToken.None);
        Assert.Equal(free.Spoken.Take(4), held.Spoken);
        Assert.True(held.Finished);
        Assert.True(held.ReachedLimit);
    }

    public void Dispose()
    {
        _noise.Dispose();
        _tiny.Dispose();
    }

    private TokenStream Open(SamplingOptions sampling, int? longestRun) =>
        new(_tiny.T3, Text, _tiny.Voice.T3, sampling, _noise, longestRun, new ChunkPace());
}
