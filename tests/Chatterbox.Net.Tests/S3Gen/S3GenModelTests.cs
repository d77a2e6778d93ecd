using Chatterbox.S3Gen;

namespace Chatterbox.Tests.S3Gen;

public class S3GenModelTests
{
    public static TheoryData<string> Variants => ["standard", "mean flow"];

    [Theory, MemberData(nameof(Variants))]
    public void The_checkpoint_is_read_whole(string variant)
    {
        var config = Config(variant);
        using var weights = TinyS3Gen.Weights(config);
        TinyS3Gen.Model(config, weights);
        weights.ThrowIfFaulty();
    }

    [Fact]
    public void The_other_variants_checkpoint_is_refused()
    {
        using var standard = TinyS3Gen.Weights(TinyS3Gen.Standard);
        TinyS3Gen.Model(TinyS3Gen.MeanFlow, standard);
        Assert.Contains(
            "'flow.decoder.estimator.time_embed_mixer.weight' [32, 64] is missing",
            Assert.Throws<CheckpointException>(standard.ThrowIfFaulty).Message
        );

        using var meanFlow = TinyS3Gen.Weights(TinyS3Gen.MeanFlow);
        TinyS3Gen.Model(TinyS3Gen.Standard, meanFlow);
        Assert.Contains(
            "'flow.decoder.estimator.time_embed_mixer.weight' is not part",
            Assert.Throws<CheckpointException>(meanFlow.ThrowIfFaulty).Message
        );
    }

    [Theory]
    [InlineData(5, 10, 3, 6)]
    [InlineData(5, 11, 3, 5)] // an odd frame at the prompt's end belongs to the first new token
    [InlineData(5, 11, 1, 1)]
    [InlineData(5, 14, 3, 2)]
    [InlineData(0, 0, 1, 2)]
    [InlineData(20, 40, 7, 14)]
    public void There_are_two_frames_a_token_less_what_the_prompt_has_over(int promptTokens, int promptFrames, int tokens, int frames)
    {
        foreach (var config in new[] { TinyS3Gen.Standard, TinyS3Gen.MeanFlow })
        {
            using var scope = NewDisposeScope();
            using var weights = TinyS3Gen.Weights(config);
            var mel = Generate(config, TinyS3Gen.Model(config, weights), Tokens(tokens), TinyS3Gen.Voice(promptTokens, promptFrames));
            Assert.Equal([1, config.MelBands, frames], mel.shape);
            Assert.True(mel.isfinite().all().item<bool>());
        }
    }

    [Theory, MemberData(nameof(Variants))]
    public void The_mel_is_the_end_of_the_integrated_flow(string variant)
    {
        var config = Config(variant);
        using var scope = NewDisposeScope();
        using var weights = TinyS3Gen.Weights(config);
        using var noise = new NoiseSource(7);
        var model = TinyS3Gen.Model(config, weights);
        var voice = TinyS3Gen.Voice(5, 11);
        var mu = model.Project(model.Encode([.. voice.SpeechTokens, .. Tokens(3)]));
        var conditions = new FlowConditions(mu, model.ProjectSpeaker(voice.XVector), model.PadPrompt(voice.Mel, 16));
        var all = model.Flow.Integrate(model.Flow.Draw(noise, 16, 6), conditions, cancellationToken: TestContext.Current.CancellationToken);
        AssertSame(all.narrow(1, 11, 5).transpose(1, 2), Generate(config, model, Tokens(3), voice, seed: 7));
    }

    [Fact]
    public void The_prompts_mel_is_padded_with_silence_of_the_flow()
    {
        using var scope = NewDisposeScope();
        using var weights = TinyS3Gen.Weights(TinyS3Gen.Standard);
        var padded = TinyS3Gen.Model(TinyS3Gen.Standard, weights).PadPrompt([1, 2, 3, 4, 5, 6, 7, 8], 3);
        AssertSame(tensor(new float[] { 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0 }).reshape(1, 3, 4), padded);
    }

    [Fact]
    public void Only_the_direction_of_the_speaker_embedding_counts()
    {
        using var scope = NewDisposeScope();
        using var weights = TinyS3Gen.Weights(TinyS3Gen.Standard);
        var model = TinyS3Gen.Model(TinyS3Gen.Standard, weights);
        AssertSame(model.ProjectSpeaker([1, 2, 3, 4, 5, 6]), model.ProjectSpeaker([2, 4, 6, 8, 10, 12]));
        Assert.True(model.ProjectSpeaker([0, 0, 0, 0, 0, 0]).isfinite().all().item<bool>());
    }

    [Theory, MemberData(nameof(Variants))]
    public void Nothing_but_the_mel_stays_alive(string variant)
    {
        var config = Config(variant);
        using var weights = TinyS3Gen.Weights(config);
        var model = TinyS3Gen.Model(config, weights);
        using var scope = NewDisposeScope();
        Generate(config, model, Tokens(3), TinyS3Gen.Voice(5, 10));
        Assert.Equal(1, scope.DisposablesCount);
    }

    [Fact]
    public void Progress_goes_up_to_one_and_cancelling_stops_between_steps()
    {
        using var scope = NewDisposeScope();
        using var weights = TinyS3Gen.Weights(TinyS3Gen.Standard);
        using var noise = new NoiseSource(1);
        using var cancellationToken = new CancellationTokenSource();
        var model = TinyS3Gen.Model(TinyS3Gen.Standard, weights);
        var shares = new List<double>();
        model.Generate(Tokens(2), TinyS3Gen.Voice(2, 4), noise, new Report(shares.Add), cancellationToken.Token);
        Assert.Equal(Enumerable.Range(1, 10).Select(step => step / 10.0), shares);

        shares.Clear();
        Assert.Throws<OperationCanceledException>(() =>
            model.Generate(Tokens(2), TinyS3Gen.Voice(2, 4), noise, new Report(CancelAtThree), cancellationToken.Token)
        );
        Assert.Equal([0.1, 0.2, 0.3], shares);

        void CancelAtThree(double share)
        {
            shares.Add(share);
            if (shares.Count == 3)
            {
                cancellationToken.Cancel();
            }
        }
    }

    [Theory]
    [InlineData(new int[0], "no speech tokens")]
    [InlineData(new[] { 1, 11 }, "Speech token 11 is not one of S3Gen's: ids go from 0 to 10")]
    [InlineData(new[] { -1 }, "Speech token -1")]
    public void Tokens_that_cannot_be_spoken_are_a_fault_of_the_request(int[] tokens, string message)
    {
        using var weights = TinyS3Gen.Weights(TinyS3Gen.Standard);
        var model = TinyS3Gen.Model(TinyS3Gen.Standard, weights);
        Assert.Contains(
            message,
            Assert.Throws<RequestException>(() => Generate(TinyS3Gen.Standard, model, tokens, TinyS3Gen.Voice(2, 4))).Message
        );
    }

    [Fact]
    public void A_voice_of_another_model_is_a_fault_of_the_voice()
    {
        using var weights = TinyS3Gen.Weights(TinyS3Gen.Standard);
        var model = TinyS3Gen.Model(TinyS3Gen.Standard, weights);
        var voice = TinyS3Gen.Voice(2, 4);
        Assert.Contains("speech token 6560", Refusal(voice with { SpeechTokens = [1, 6560] }));
        Assert.Contains("192 numbers, expected 6", Refusal(voice with { XVector = new float[192] }));
        Assert.Contains("mel has 15 numbers", Refusal(voice with { Mel = new float[15] }));
        Assert.Contains("3 frames for 2 speech tokens; expected 4 or one more", Refusal(TinyS3Gen.Voice(2, 3)));
        Assert.Contains("8 frames for 2 speech tokens", Refusal(TinyS3Gen.Voice(2, 8)));

        string Refusal(S3GenPrompt broken) =>
            Assert.Throws<VoiceException>(() => Generate(TinyS3Gen.Standard, model, Tokens(2), broken)).Message;
    }

    private static S3GenConfig Config(string variant) => variant == "standard" ? TinyS3Gen.Standard : TinyS3Gen.MeanFlow;

    private static int[] Tokens(int count) => [.. Enumerable.Range(0, count).Select(i => (i * i + 1) % TinyS3Gen.Standard.SpeechTokens)];

    private static Tensor Generate(S3GenConfig config, S3GenModel model, int[] tokens, S3GenPrompt voice, long seed = 1)
    {
        using var noise = new NoiseSource(seed);
        return model.Generate(tokens, voice, noise, cancellationToken: TestContext.Current.CancellationToken);
    }

    private static void AssertSame(Tensor expected, Tensor actual)
    {
        Assert.Equal(expected.shape, actual.shape);
        Assert.True(expected.allclose(actual, rtol: 1e-6, atol: 1e-6));
    }

    private sealed class Report(Action<double> report) : IProgress<double>
    {
        void IProgress<double>.Report(double value) => report(value);
    }
}
