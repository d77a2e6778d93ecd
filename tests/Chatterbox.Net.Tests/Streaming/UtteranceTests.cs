using Chatterbox.Streaming;
using Chatterbox.T3;
using Chatterbox.Tests.T3;

namespace Chatterbox.Tests.Streaming;

public sealed class UtteranceTests : IDisposable
{
    private static readonly int[] Text = [5, 6, 7];
    private readonly TinySpeechDecoder _tiny = new("tiny-turbo");

    [Fact]
    public void Chunks_are_due_by_the_plan_and_their_tokens_are_those_of_the_whole()
    {
        using var same = new NoiseSource(1);
        var whole = _tiny.Config.T3.SpeechCodesOf(_tiny.Decoder.Generate(Text, _tiny.Voice.T3, new(), same).SpeechTokens);
        var plan = ChunkPlan.Doubling(first: 3, most: 6, new(Lag: 2, PromptTokens: 4, FirstPrompt: 4, LeftContext: 4));
        using var utterance = Open(_tiny.Config.T3, _tiny.Decoder, Text, _tiny.Voice, new(), 1, plan);
        var taken = new List<int>();
        while (utterance.NeedsSteps || utterance.IsDue)
        {
            if (!utterance.IsDue)
            {
                _tiny.Decoder.Step(utterance.Sequence);
                utterance.Receive();
                continue;
            }

            utterance.TakeChunk();
            Assert.Equal(whole[..utterance.Taken.SpeechTokens.Count], utterance.Taken.SpeechTokens);
            Assert.Equal(taken.Count == 0, utterance.Taken.IsFirst);
            taken.Add(utterance.Taken.SpeechTokens.Count);
        }

        Assert.Equal([5, 11], taken[..2]); // and the lag
        Assert.Equal(whole.Length, taken[^1]);
        Assert.True(utterance.Taken.IsLast);
        Assert.Equal(whole, utterance.SpeechTokens);
        Assert.False(utterance.ReachedLimit);
        Assert.Equal(same.Normal([4]).data<float>().ToArray(), utterance.State.Noise.Normal([4]).data<float>().ToArray());
    }

    [Theory, InlineData(1, 75), InlineData(3, 75), InlineData(12, 75), InlineData(13, 500)]
    public void Speech_is_stuck_once_a_short_cycle_has_lasted_for_3_s(int cycle, int tokens)
    {
        var meter = new RepetitionDetector();
        int[] before = [.. Enumerable.Range(1000, 200)];
        Assert.DoesNotContain(before, meter.Add);
        Assert.DoesNotContain(Enumerable.Range(0, tokens).Select(i => i % cycle), meter.Add);
        Assert.Equal(cycle <= 12, meter.Add(tokens % cycle));
    }

    [Fact]
    public void Speech_that_is_stuck_ends_as_at_a_limit()
    {
        // A head that gives its biases alone says the same token for ever.
        var config = TinyT3.Gpt2Config with
        {
            MaxSpeechTokens = 200,
            Backbone = new Gpt2Config(Layers: 2, HiddenSize: 16, Heads: 2, MlpSize: 24) { Positions = 300 },
        };
        using var tiny = TinyT3.Gpt2(config, name => name == "speech_head.weight" ? 0 : 1);
        SamplingOptions likeliest = new()
        {
            Temperature = 0,
            RepetitionPenalty = 1,
            MaxSpeechTokens = 200,
        };
        foreach (var (endsWhenStuck, tokens) in new[] { (true, 76), (false, 200) })
        {
            using var decoder = tiny.Model.CreateDecoder();
            using var utterance = Open(
                config,
                decoder,
                TinyT3.Text,
                _tiny.Voice with
                {
                    T3 = TinyT3.Voice,
                },
                likeliest,
                1,
                plan: null,
                endsWhenStuck
            );
            while (utterance.NeedsSteps)
            {
                decoder.Step(utterance.Sequence);
                utterance.Receive();
            }

            Assert.Equal(tokens, utterance.SpeechTokens.Count);
            Assert.Single(utterance.SpeechTokens.Distinct());
            Assert.True(utterance.IsDue);
            Assert.True(utterance.ReachedLimit);
        }
    }

    public void Dispose() => _tiny.Dispose();

    private Utterance Open(
        T3Config config,
        IT3Decoder decoder,
        int[] text,
        Voice voice,
        SamplingOptions sampling,
        long seed,
        ChunkPlan? plan,
        bool endsWhenStuck = false
    )
    {
        var state = new VoicingState(new(CPU, _tiny.SpeechDecoder.S3Gen, 1), voice.S3Gen, seed);
        return new(config, decoder.Start(text, voice.T3, sampling, state.Noise), state, plan, pace: null, endsWhenStuck)
        {
            TextTokens = text.Length,
            UnknownCharacters = [],
        };
    }
}
