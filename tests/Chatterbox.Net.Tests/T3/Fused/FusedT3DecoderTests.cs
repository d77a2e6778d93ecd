using Chatterbox.Ops;
using Chatterbox.T3;
using Chatterbox.T3.Fused;
using Chatterbox.Tests.Parity;

namespace Chatterbox.Tests.T3.Fused;

/// <summary>The fused decoder against the plain one, in float32 on the CPU with the same weights.</summary>
public class FusedT3DecoderTests
{
    internal static readonly T3Prompt Voice = new(
        [.. Enumerable.Range(0, 256).Select(i => (i % 5 * 0.2f) - 0.4f)],
        [3, 14, 15, 9, 26, 5, 35]
    );

    public static TheoryData<string, int, double, bool> Shapes =>
        [
            .. new (string, int, double)[]
            {
                ("llama", 256, 0.5),
                ("llama", 512, 0.5),
                ("llama", 512, 0),
                ("llama", 1024, 0.5),
                ("gpt2", 256, 0),
                ("gpt2", 768, 0),
                ("gpt2", 1024, 0),
            }.SelectMany(shape => new[] { (shape.Item1, shape.Item2, shape.Item3, true), (shape.Item1, shape.Item2, shape.Item3, false) }),
        ];

    public static TheoryData<string, int, SamplingOptions> Samplings =>
        [
            .. new (string, SamplingOptions)[]
            {
                ("llama", new()),
                ("llama", new() { Temperature = 0 }),
                (
                    "llama",
                    new()
                    {
                        Temperature = 1.5,
                        MinP = 0.2,
                        RepetitionPenalty = 2,
                    }
                ),
                ("llama", new() { TopP = 0.7, MinP = 0 }),
                ("llama", new() { CfgWeight = 0, TopP = 0.9 }),
                ("gpt2", new()),
                ("gpt2", new() { Temperature = 0, RepetitionPenalty = 1.5 }),
                ("gpt2", new() { TopK = 5 }),
                ("gpt2", new() { TopK = 0, TopP = 0.5 }),
                ("gpt2", new() { TopP = 1e-9 }),
                (
                    "gpt2",
                    new()
                    {
                        TopK = 40,
                        TopP = 1,
                        Temperature = 2,
                    }
                ),
            }.SelectMany(sampling => new[] { (sampling.Item1, 1300, sampling.Item2), (sampling.Item1, 8194, sampling.Item2) }),
        ];

    [Theory, InlineData("llama"), InlineData("gpt2")]
    public void Logits_that_are_not_finite_make_a_sequence_invalid(string backbone)
    {
        var device = Gpu.Required();
        using var model = TinyT3.Rounded(
            Config(backbone, 256),
            ScalarType.BFloat16,
            device,
            name => name == "text_emb.weight" ? float.PositiveInfinity : 1
        );
        using var decoder = Decoder(model);
        using var mode = inference_mode();
        using var noise = new NoiseSource(7);
        using var invalid = decoder.Start(TinyT3.Text, Voice, new() { MaxSpeechTokens = 20 }, noise);
        while (!invalid.Finished)
        {
            decoder.Step(invalid);
        }

        Assert.True(invalid.IsInvalid);
        Assert.Empty(invalid.SpeechTokens);
        Assert.Throws<InvalidOutputException>(invalid.ThrowIfInvalid);
    }

    [Theory, MemberData(nameof(Shapes))]
    public void Every_step_has_the_logits_of_the_plain_operations(string backbone, int hidden, double guidance, bool oneKernel)
    {
        var device = Gpu.Required();
        using var fused = TinyT3.Rounded(Config(backbone, hidden), ScalarType.BFloat16, device);
        using var plain = TinyT3.Rounded(Config(backbone, hidden), ScalarType.Float32, CPU);
        using var decoder = Decoder(fused);
        Choose(decoder, oneKernel);

        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var options = new SamplingOptions { CfgWeight = guidance, MaxSpeechTokens = 200 };
        using var noise = new NoiseSource(7);
        using var plainDecoder = new PlainT3Decoder(plain.Model, 1);
        decoder.Ahead = 0;
        using var sequence = decoder.Start(TinyT3.Text, Voice, options, noise);
        using var reference = plainDecoder.Start(TinyT3.Text, Voice, options, noise);
        decoder.Step(sequence);
        var worst = 0.0;
        while (!sequence.Finished)
        {
            plainDecoder.Feed(reference, tensor(new long[] { sequence.SpeechTokens[^1] }, 1, 1));
            decoder.Step(sequence);
            worst = Math.Max(worst, Close.RelativeError(reference.Logits, decoder.Logits.narrow(0, 0, reference.Logits.size(0))));
        }

        // The prefill, in bfloat16 throughout, has left keys and values that are further from those in float32 than the steps are.
        Close.AssertWithin($"{sequence.SpeechTokens.Count} steps", worst, 2e-2);
    }

    [Theory, MemberData(nameof(Samplings))]
    public void A_seed_draws_the_tokens_that_the_plain_sampler_draws(string backbone, int vocabulary, SamplingOptions options)
    {
        const int Tokens = 120;
        var device = Gpu.Required();
        var config = Config(backbone, 256) with { SpeechVocabulary = vocabulary };
        using var fused = TinyT3.Rounded(config, ScalarType.BFloat16, device);
        using var decoder = Decoder(fused);
        decoder.Ahead = 0;
        options = options with { MaxSpeechTokens = Tokens };
        var settings = SamplingSettings.Resolve(options, config);
        using var mode = inference_mode();
        for (var seed = 0; seed < 3; seed++)
        {
            using var noise = new NoiseSource(seed);
            using var plainNoise = new NoiseSource(seed);
            using var sampler = new SpeechTokenSampler(config, settings, plainNoise, CPU);
            using var sequence = (FusedT3Sequence)decoder.Start(TinyT3.Text, Voice, options, noise);
            while (!sequence.Finished)
            {
                using var scope = NewDisposeScope();
                decoder.Step(sequence);
                var logits = sequence.SpeechTokens.Count == 1 ? sequence.FirstLogits! : decoder.Logits.narrow(0, 0, settings.Rows);
                Assert.Equal((int)sampler.Next(logits.cpu()).item<long>(), sequence.SpeechTokens[^1]);
            }

            Assert.Equal(plainNoise.Normal([8]), noise.Normal([8])); // both have drawn as much
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Numbers_drawn_beyond_the_last_token_are_given_back(bool cancelled)
    {
        var device = Gpu.Required();
        var config = Config("gpt2", 256);
        using var fused = TinyT3.Rounded(config, ScalarType.BFloat16, device);
        using var decoder = Decoder(fused);
        var options = new SamplingOptions
        {
            Temperature = 5,
            TopK = 0,
            TopP = 1,
            MaxSpeechTokens = 600,
        }; // ends by chance
        var (seed, noise, tokens) = Enumerable
            .Range(0, 20)
            .Select(Speak)
            .First(spoken => cancelled || spoken.Tokens[^1] == config.StopSpeechToken);

        using var row = empty(1, config.SpeechVocabulary);
        using var fresh = new NoiseSource(seed);
        foreach (var _ in tokens)
        {
            fresh.Exponential(row);
        }

        Assert.Equal(fresh.Normal([8]), noise.Normal([8]));

        (int Seed, NoiseSource Noise, int[] Tokens) Speak(int seed)
        {
            var noise = new NoiseSource(seed);
            using var sequence = decoder.Start(TinyT3.Text, Voice, options, noise);
            while (!sequence.Finished && !(cancelled && sequence.SpeechTokens.Count == 50))
            {
                decoder.Step(sequence);
            }

            return (seed, noise, [.. sequence.SpeechTokens]);
        }
    }

    [Theory, InlineData(double.NaN), InlineData(double.PositiveInfinity)]
    public void A_logit_that_is_not_finite_makes_the_sequence_invalid_and_the_plain_operations_continue_it(double value)
    {
        var device = Gpu.Required();
        using var model = TinyT3.Rounded(Config("llama", 256), ScalarType.BFloat16, device);
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var noise = new NoiseSource(7);
        using (var decoder = Decoder(model))
        {
            model.Model.Speech.Head[5].Fill(value);
            using var sequence = decoder.Start(TinyT3.Text, Voice, new() { MaxSpeechTokens = 20 }, noise);
            decoder.Step(sequence);
            Assert.True(sequence.IsInvalid);
            Assert.Empty(sequence.SpeechTokens);
        }

        using var plain = new PlainT3Decoder(model.Model.Plain(), capacity: 1);
        Assert.NotNull(model.Model.Plain().NotFusedReason);
        Assert.InRange(plain.Generate(TinyT3.Text, Voice, new() { MaxSpeechTokens = 20 }, noise).SpeechTokens.Length, 1, 20);
    }

    [Fact]
    public void Sequences_that_come_and_go_leave_nothing_behind()
    {
        var device = Gpu.Required();
        using var model = TinyT3.Rounded(Config("llama", 256), ScalarType.BFloat16, device);
        using var decoder = Decoder(model);
        long before = 0;
        for (var i = 0; i < 50; i++)
        {
            using var noise = new NoiseSource(i);
            decoder.Generate(
                TinyT3.Text,
                Voice,
                new() { MaxSpeechTokens = 10 + i },
                noise,
                cancellationToken: TestContext.Current.CancellationToken
            );
            before = i == 5 ? LiveTensors.Settled() : before;
        }

        Assert.InRange(Tensor.TotalCount, 0, before + 2); // blocks of the cache, kept for the next
        Assert.Equal(0, decoder.Pages.InUse);
    }

    [Fact]
    public void A_sequence_that_the_cache_has_no_room_for_is_refused()
    {
        var device = Gpu.Required();
        var config = Config("gpt2", 256);
        using var model = TinyT3.Rounded(config, ScalarType.BFloat16, device);
        using var decoder = new FusedT3Decoder(
            model.Model,
            capacity: 4,
            cacheBytes: 12 * new KvPages(config.Backbone, device, 0).PageBytes
        );
        using var noise = new NoiseSource(1);
        var first = decoder.Start(TinyT3.Text, Voice, new() { MaxSpeechTokens = 600 }, noise);
        var refused = Assert.Throws<UnavailableException>(() => decoder.Start(TinyT3.Text, Voice, new() { MaxSpeechTokens = 600 }, noise));
        Assert.Contains("free pages", refused.Message, StringComparison.Ordinal);
        first.Dispose();
        decoder.Start(TinyT3.Text, Voice, new() { MaxSpeechTokens = 600 }, noise).Dispose();
    }

    internal static FusedT3Decoder Decoder(TinyT3 model, int capacity = 4)
    {
        Assert.Null(model.Model.NotFusedReason);
        return new(model.Model, capacity, cacheBytes: 1L << 32);
    }

    internal static void Choose(FusedT3Decoder decoder, bool oneKernel)
    {
        Assert.SkipWhen(oneKernel && decoder.SingleUnsupportedReason is not null, $"not as one kernel: {decoder.SingleUnsupportedReason}");
        decoder.UsesSingleStep = oneKernel;
    }

    internal static T3Config Config(string backbone, int hidden, int speechTokens = 600) =>
        backbone == "llama"
            ? Sized(
                TinyT3.LlamaConfig,
                new LlamaConfig(Layers: 3, HiddenSize: hidden, Heads: hidden / 64, MlpSize: 4 * hidden),
                speechTokens
            )
            : Sized(
                TinyT3.Gpt2Config,
                new Gpt2Config(Layers: 3, HiddenSize: hidden, Heads: hidden / 64, MlpSize: 4 * hidden) { Positions = speechTokens + 100 },
                speechTokens
            );

    private static T3Config Sized(T3Config config, BackboneConfig backbone, int speechTokens) =>
        config with
        {
            Backbone = backbone,
            SpeechVocabulary = 1300, // more than a thread of the sampler each
            MaxSpeechTokens = speechTokens,
            SpeakerSize = 256,
        };
}
