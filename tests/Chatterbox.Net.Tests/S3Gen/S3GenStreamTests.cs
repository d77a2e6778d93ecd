using Chatterbox.S3Gen;
using Chatterbox.Tests.Parity;
using Chatterbox.Weights;

namespace Chatterbox.Tests.S3Gen;

/// <summary>Mel in passes, on small networks: which frames a pass makes, of what, and how they follow each other.</summary>
public sealed class S3GenStreamTests : IDisposable
{
    private const int Unlimited = 1000;
    private const long Seed = 5;

    private readonly WeightStore _weights = TinyS3Gen.Weights(TinyS3Gen.Standard);
    private readonly S3GenModel _model;
    private readonly DisposeScope _scope = NewDisposeScope();

    public S3GenStreamTests() => _model = TinyS3Gen.Model(TinyS3Gen.Standard, _weights);

    [Theory, InlineData(10), InlineData(11), InlineData(13)]
    public void One_pass_over_everything_is_the_whole_but_for_the_order_of_the_noise(int promptFrames)
    {
        var voice = TinyS3Gen.Voice(5, promptFrames);
        using var noise = new NoiseSource(Seed);
        var drawn = noise.Normal([10 + 14, 16]).narrow(1, 0, 4).unsqueeze(0); // a frame draws sixteen
        var mu = _model.Project(_model.Encode([.. voice.SpeechTokens, .. Tokens(7)]));
        var all = _model.Flow.Integrate(drawn, new(mu, _model.ProjectSpeaker(voice.XVector), _model.PadPrompt(voice.Mel, 24)));
        AssertSame(all.narrow(1, promptFrames, 24 - promptFrames).transpose(1, 2), Passes(voice, Unlimited, (7, 0, true))[0]);
    }

    [Theory]
    [InlineData(10, 2, 2, 0)] // fewer tokens than are held back
    [InlineData(10, 3, 2, 0)]
    [InlineData(10, 4, 0, 2)]
    [InlineData(10, 9, 5, 7)]
    [InlineData(11, 9, 5, 6)] // the prompt's odd frame is the first new token's
    [InlineData(11, 9, 12, 0)]
    public void A_pass_makes_the_frames_from_the_one_asked_for_and_holds_the_last_tokens_back(
        int promptFrames,
        int tokens,
        int from,
        int frames
    )
    {
        Assert.Equal([1, 4, frames], Passes(TinyS3Gen.Voice(5, promptFrames), Unlimited, (tokens, from, false))[0].shape);
        Assert.Equal(
            [1, 4, Math.Max(0, frames + Math.Min(6, (2 * tokens) + 10 - promptFrames - from))],
            Passes(TinyS3Gen.Voice(5, promptFrames), Unlimited, (tokens, from, true))[0].shape
        );
    }

    [Fact]
    public void A_voice_without_a_prompt_can_speak_too() =>
        Assert.Equal([1, 4, 2], Passes(TinyS3Gen.Voice(0, 0), Unlimited, (4, 0, false))[0].shape);

    [Fact]
    public void What_is_looked_ahead_to_is_as_in_the_whole()
    {
        var lookahead = new ConformerLookahead(TinyS3Gen.Standard.Encoder, _weights.Root["flow"]["encoder"]["pre_lookahead_layer"]);
        using var noise = new NoiseSource(1);
        var x = noise.Normal([1, 12, 16]);
        AssertSame(lookahead.Forward(x, complete: true).narrow(1, 0, 7), lookahead.Forward(x.narrow(1, 0, 10), complete: false));
    }

    [Fact]
    public void Only_tokens_within_the_left_context_are_seen()
    {
        var changed = Tokens(20);
        changed[6] = 10;
        var voice = TinyS3Gen.Voice(5, 11);

        // From frame 17: with the prompt's odd frame that is the first frame of token 9.
        Assert.Equal(0, Difference(leftContext: 2));
        Assert.InRange(Difference(leftContext: 3), 1e-4, 1);

        double Difference(int leftContext) =>
            Close.RelativeError(Passes(voice, leftContext, (20, 17, true))[0], Passes(voice, leftContext, changed, (20, 17, true))[0]);
    }

    [Fact]
    public void The_first_pass_sees_the_end_of_the_prompt_alone_and_later_ones_and_an_only_one_all_of_it()
    {
        var voice = TinyS3Gen.Voice(5, 11);
        var other = voice with
        {
            SpeechTokens = [9, 9, 9, .. voice.SpeechTokens.Skip(3)],
            Mel = [.. voice.Mel.Take(6 * 4).Select(x => x + 1), .. voice.Mel.Skip(6 * 4)],
        };
        var (first, whole) = (Begin(voice, 2), Begin(voice, 5));
        Assert.Equal(whole[0].shape, first[0].shape);
        AssertSame(Begin(other, 2)[0], first[0]);
        Assert.InRange(Close.RelativeError(whole[0], first[0]), 1e-4, 1);
        Assert.InRange(Close.RelativeError(Begin(other, 2)[1], first[1]), 1e-4, 1);
        AssertSame(Passes(voice, Unlimited, (13, 0, true))[0], Passes(voice, Unlimited, 2, Tokens(40), (13, 0, true))[0]);

        List<Tensor> Begin(S3GenPrompt voice, int firstPrompt) =>
            Passes(voice, Unlimited, firstPrompt, Tokens(40), (13, 0, false), (20, 19, true));
    }

    [Fact]
    public void Frames_made_again_go_over_from_the_old_mel_to_the_new_one()
    {
        var voice = TinyS3Gen.Voice(5, 10);
        var passes = Passes(voice, Unlimited, (13, 0, false), (20, 14, true)); // 20 frames, then 14 to 39
        var (old, gone, fresh) = (passes[0].narrow(2, 14, 6), passes[1], Passes(voice, Unlimited, (20, 14, true))[0]);
        for (var i = 0; i < 6; i++)
        {
            AssertSame(old.select(2, i) * ((6 - i) / 7.0) + fresh.select(2, i) * ((i + 1) / 7.0), gone.select(2, i));
        }

        AssertSame(fresh.narrow(2, 6, 20), gone.narrow(2, 6, 20));
        Assert.NotEqual(0, Close.RelativeError(fresh.narrow(2, 0, 6), old));
    }

    [Fact]
    public void What_has_not_been_heard_is_made_anew()
    {
        var voice = TinyS3Gen.Voice(5, 10);
        AssertSame(Passes(voice, Unlimited, (20, 0, true))[0], Passes(voice, Unlimited, (8, 0, false), (20, 0, true))[1]);
    }

    [Fact]
    public void Passes_leave_nothing_behind_and_what_is_kept_goes_with_the_stream()
    {
        using var noise = new NoiseSource(Seed);
        var before = LiveTensors.Settled();
        var stream = _model.OpenStream(TinyS3Gen.Voice(5, 11), noise, leftContext: 2);
        stream.Next(Tokens(10), 0, last: false).Dispose();
        var open = Tensor.TotalCount;
        for (var tokens = 20; tokens <= 40; tokens += 10)
        {
            stream.Next(Tokens(tokens), Math.Max(0, (2 * tokens) - 20), last: false).Dispose();
            Assert.Equal(open, Tensor.TotalCount);
        }

        stream.Dispose();
        Assert.Equal(before, Tensor.TotalCount);
    }

    [Fact]
    public void What_cannot_be_spoken_is_refused_as_in_the_whole()
    {
        Assert.Throws<RequestException>(() => Passes(TinyS3Gen.Voice(2, 4), Unlimited, [1, 11], (2, 0, true)));
        Assert.Throws<VoiceException>(() => Passes(TinyS3Gen.Voice(2, 3), Unlimited, (5, 0, true)));
        Assert.Throws<OperationCanceledException>(() =>
        {
            using var noise = new NoiseSource(Seed);
            using var stream = _model.OpenStream(TinyS3Gen.Voice(2, 4), noise, Unlimited);
            stream.Next(Tokens(5), 0, last: true, new CancellationToken(canceled: true));
        });
    }

    public void Dispose()
    {
        _scope.Dispose();
        _weights.Dispose();
    }

    private List<Tensor> Passes(S3GenPrompt voice, int leftContext, params (int Tokens, int From, bool Last)[] passes) =>
        Passes(voice, leftContext, Tokens(40), passes);

    private List<Tensor> Passes(S3GenPrompt voice, int leftContext, int[] tokens, params (int Tokens, int From, bool Last)[] passes) =>
        Passes(voice, leftContext, Unlimited, tokens, passes);

    private List<Tensor> Passes(
        S3GenPrompt voice,
        int leftContext,
        int firstPrompt,
        int[] tokens,
        params (int Tokens, int From, bool Last)[] passes
    )
    {
        using var noise = new NoiseSource(Seed);
        using var stream = _model.OpenStream(voice, noise, leftContext, firstPrompt);
        return [.. passes.Select(pass => stream.Next(tokens[..pass.Tokens], pass.From, pass.Last))];
    }

    private static int[] Tokens(int count) => [.. Enumerable.Range(0, count).Select(i => (i * i + 1) % TinyS3Gen.Standard.SpeechTokens)];

    private static void AssertSame(Tensor expected, Tensor actual)
    {
        Assert.Equal(expected.shape, actual.shape);
        Assert.True(expected.allclose(actual, rtol: 1e-5, atol: 1e-5));
    }
}
