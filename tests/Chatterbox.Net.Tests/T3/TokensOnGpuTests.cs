using Chatterbox.Models;
using Chatterbox.Ops;
using Chatterbox.T3;
using Chatterbox.T3.Fused;
using Chatterbox.Tests.Parity;
using Chatterbox.Weights;

namespace Chatterbox.Tests.T3;

/// <summary>What bfloat16 does to the tokens of a seed, at full size: the fused steps beside the plain operations in float32,
/// over a thousand steps.</summary>
public class TokensOnGpuTests
{
    private const int Steps = 1000;
    private const double Temperature = 0.8;

    private static readonly int[] Text = [.. Enumerable.Range(0, 40).Select(k => ((7 * k) % 600) + 20)];

    [Theory]
    [InlineData("t3_cfg", 1)]
    [InlineData("t3_cfg", 2)]
    [InlineData("t3_turbo_v1", 1)]
    public void Where_tokens_part_the_choice_was_as_close_as_the_logits_are(string file, long seed)
    {
        var device = Gpu.Required();
        var config = file == "t3_cfg" ? T3Config.English : T3Config.Turbo;
        var options = new SamplingOptions
        {
            Temperature = Temperature,
            RepetitionPenalty = 1,
            TopP = 1,
            MaxSpeechTokens = Steps,
        }; // no filter: what a draw is decided by
        options = file == "t3_cfg" ? options with { MinP = 0 } : options with { TopK = 0 };
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var ours = Speak(file, config, options, seed, device, ScalarType.BFloat16);
        var theirs = Speak(file, config, options, seed, device, ScalarType.Float32);
        var parting = ours.Tokens.Zip(theirs.Tokens).TakeWhile(pair => pair.First == pair.Second).Count();
        if (parting == Math.Min(ours.Tokens.Count, theirs.Tokens.Count))
        {
            Close.Report($"{file}, seed {seed}: {parting} tokens, all the same");
            return;
        }

        // A token is drawn as the one whose probability is the largest multiple of its own exponential number.
        using var noise = new NoiseSource(seed);
        var draw = empty(1, config.SpeechVocabulary);
        for (var step = 0; step <= parting; step++)
        {
            noise.Exponential(draw);
        }

        var (token, other) = (ours.Tokens[parting], theirs.Tokens[parting]);
        var (scores, plainScores) = (Score(ours.Logits[parting]), Score(theirs.Logits[parting]));
        double Lead(Tensor of) => (of[0, other] - of[0, token] - draw[0, other].log() + draw[0, token].log()).item<float>();
        var error = (scores - plainScores).abs().max().item<float>();
        var probabilities = softmax(plainScores, -1);
        Close.Report(
            $"{file}, seed {seed}: {parting} tokens the same; then {token} for {other}, of probability "
                + $"{probabilities[0, token].item<float>():E1} and {probabilities[0, other].item<float>():E1}; "
                + $"in float32 that draw was decided by a factor of {Math.Exp(Lead(plainScores)):0.0000}; scores differ by up to {error:E1}"
        );
        Assert.True(Lead(plainScores) >= 0, "the draws were not made from the same noise");
        Assert.True(Lead(plainScores) <= 2 * error, "the logits' error does not explain the other token");

        Tensor Score(Tensor logits) =>
            SpeechTokenSampler.Guide(logits, SamplingSettings.Resolve(options, config).CfgWeight).Div(Temperature);
    }

    private static (List<int> Tokens, List<Tensor> Logits) Speak(
        string file,
        T3Config config,
        SamplingOptions options,
        long seed,
        Device device,
        ScalarType dtype
    )
    {
        using var store = new WeightStore(SyntheticTensors.FullSize(file), device, dtype);
        var model = new T3Model(config, store.Root, TorchOps.Of(device));
        Assert.Equal(dtype == ScalarType.BFloat16, model.NotFusedReason is null);
        var voice = new T3Prompt(
            [.. Enumerable.Range(0, 256).Select(i => (float)Math.Sin(i) / 16)],
            [.. Enumerable.Range(0, config.PromptTokens).Select(i => i * 37 % 6561)]
        );
        using var noise = new NoiseSource(seed);
        using var decoder = model.CreateDecoder();
        using var sequence = decoder.Start(Text, voice, options, noise);
        var logits = new List<Tensor>();
        if (decoder is FusedT3Decoder ahead)
        {
            ahead.Ahead = 0; // or the logits would be a later token's
        }

        while (!sequence.Finished)
        {
            decoder.Step(sequence);
            logits.Add(LogitsOf(sequence).cpu()); // that the token was drawn from
        }

        return ([.. sequence.SpeechTokens], logits);

        Tensor LogitsOf(T3Sequence of) =>
            of is not FusedT3Sequence fused ? ((PlainT3Sequence)of).Logits
            : fused.SpeechTokens.Count == 1 ? fused.FirstLogits!
            : ((FusedT3Decoder)decoder).Logits.narrow(0, 0, fused.Rows);
    }
}
