using Chatterbox.T3;
using Chatterbox.Tests.Parity;

namespace Chatterbox.Tests.T3;

/// <summary>The fused kernels of T3's steps against the plain operations, in float32 on the CPU with the same weights.</summary>
public class FusedT3Tests
{
    private static readonly T3Prompt Voice = new([.. Enumerable.Range(0, 256).Select(i => (i % 5 * 0.2f) - 0.4f)], [3, 14, 15, 9, 26, 5, 35]);

    public static TheoryData<string, int, double, bool> Shapes => [.. new (string, int, double)[]
    {
        ("llama", 256, 0.5),
        ("llama", 512, 0.5),
        ("llama", 512, 0),
        ("llama", 1024, 0.5),
        ("gpt2", 256, 0),
        ("gpt2", 768, 0),
        ("gpt2", 1024, 0),
    }.SelectMany(shape => new[] { (shape.Item1, shape.Item2, shape.Item3, true), (shape.Item1, shape.Item2, shape.Item3, false) })];

    public static TheoryData<string, int, SamplingOptions> Samplings => [.. new (string, SamplingOptions)[]
    {
        ("llama", new()),
        ("llama", new() { Temperature = 0 }),
        ("llama", new() { Temperature = 1.5, MinP = 0.2, RepetitionPenalty = 2 }),
        ("llama", new() { TopP = 0.7, MinP = 0 }),
        ("llama", new() { CfgWeight = 0, TopP = 0.9 }),
        ("gpt2", new()),
        ("gpt2", new() { Temperature = 0, RepetitionPenalty = 1.5 }),
        ("gpt2", new() { TopK = 5 }),
        ("gpt2", new() { TopK = 0, TopP = 0.5 }),
        ("gpt2", new() { TopP = 1e-9 }),
        ("gpt2", new() { TopK = 40, TopP = 1, Temperature = 2 }),
    }.SelectMany(sampling => new[] { (sampling.Item1, 1300, sampling.Item2), (sampling.Item1, 8194, sampling.Item2) })];

    [Theory, MemberData(nameof(Shapes))]
    public void Every_step_has_the_logits_of_the_plain_operations(string backbone, int hidden, double guidance, bool persistent)
    {
        var device = Gpu.Required();
        using var fused = TinyT3.Rounded(Config(backbone, hidden), ScalarType.BFloat16, device);
        using var plain = TinyT3.Rounded(Config(backbone, hidden), ScalarType.Float32, CPU);
        Assert.Null(fused.Model.WhyNotFused);
        Assert.Null(plain.Model.Fused);
        Choose(fused, persistent);

        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var options = new SamplingOptions { CfgWeight = guidance, MaxSpeechTokens = 200 };
        using var noise = new NoiseSource(7);
        using var decoder = new T3Decoder(fused.Model);
        using var plainDecoder = new T3Decoder(plain.Model);
        using var sequence = decoder.Start(TinyT3.Text, Voice, options, noise);
        using var reference = plainDecoder.Start(TinyT3.Text, Voice, options, noise);
        Close.AssertWithin("prefill, in bfloat16 throughout", Close.RelativeError(reference.Logits, sequence.Logits), 5e-2);

        // From here on it is the kernels that differ: both go on from the same keys and values.
        var length = reference.Rows.Start;
        var rows = sequence.Rows.Count;
        sequence.Cache.Keys.narrow(2, 0, length).copy_(reference.Cache.Keys.narrow(1, 0, rows).narrow(2, 0, length));
        sequence.Cache.Values.narrow(2, 0, length).copy_(reference.Cache.Values.narrow(1, 0, rows).narrow(2, 0, length));
        cuda.synchronize();
        sequence.Steps!.Ahead = 0;
        decoder.Step(sequence);
        var worst = 0.0;
        while (!sequence.Finished)
        {
            plainDecoder.Feed(reference, tensor(new long[] { sequence.SpeechTokens[^1] }, 1, 1));
            decoder.Step(sequence);
            worst = Math.Max(worst, Close.RelativeError(reference.Logits, sequence.Steps.Logits));
        }

        Close.AssertWithin($"{sequence.SpeechTokens.Count} steps", worst, 5e-3);
    }

    [Theory]
    [InlineData("llama", 256, 0.5)]
    [InlineData("llama", 1024, 0)]
    [InlineData("llama", 1024, 0.5)]
    [InlineData("gpt2", 768, 0)]
    [InlineData("gpt2", 1024, 0)]
    public void One_kernel_makes_the_step_of_the_graph_however_much_is_in_the_cache(string backbone, int hidden, double guidance)
    {
        const int longest = 1400;
        var device = Gpu.Required();
        var config = Config(backbone, hidden, longest + 100);
        using var model = TinyT3.Rounded(config, ScalarType.BFloat16, device);
        Choose(model, persistent: true);
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var settings = SamplingSettings.Resolve(new() { CfgWeight = guidance, Temperature = 0 }, config);
        using var noise = new NoiseSource(1);
        var cache = noise.Normal([2, config.Backbone.Layers, settings.Rows, longest, config.Backbone.Heads, config.Backbone.HeadDim], device).to(ScalarType.BFloat16);
        var logits = noise.Normal([settings.Rows, config.SpeechVocabulary], device);
        foreach (var length in new[] { 1, 2, 9, 63, 64, 65, 511, 513, 1000, longest })
        {
            Close.AssertWithin($"{length} positions", Close.RelativeError(Step(length, persistent: false), Step(length, persistent: true)), 1e-3);
        }

        Tensor Step(int length, bool persistent)
        {
            model.Model.Fused!.Persistent = persistent;
            using var steps = model.Model.Fused.Rent(settings.Rows);
            steps.Ahead = 0;
            steps.Cache.Reserve(config.MaxLength);
            steps.Cache.Keys.narrow(2, 0, length).copy_(cache[0].narrow(2, 0, length));
            steps.Cache.Values.narrow(2, 0, length).copy_(cache[1].narrow(2, 0, length));
            steps.Begin(logits, length, settings, config.StartSpeechToken, noise);
            _ = steps.Next(config.StopSpeechToken);   // of the logits given
            _ = steps.Next(config.StopSpeechToken);   // of a step's
            return steps.Logits.clone();
        }
    }

    [Theory, MemberData(nameof(Samplings))]
    public void The_same_noise_draws_the_same_token_as_the_plain_sampler(string backbone, int vocabulary, SamplingOptions options)
    {
        var device = Gpu.Required();
        var config = Config(backbone, 256) with { SpeechVocabulary = vocabulary };
        using var fused = TinyT3.Rounded(config, ScalarType.BFloat16, device);
        Assert.Null(fused.Model.WhyNotFused);
        var settings = SamplingSettings.Resolve(options with { MaxSpeechTokens = 1 }, config);
        var steps = fused.Model.Fused!.Rent(settings.Rows);
        steps.Cache.Reserve(256);

        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        for (var seed = 0; seed < 100; seed++)
        {
            using var chance = new NoiseSource(1000 + seed);
            var logits = chance.Normal([settings.Rows, config.SpeechVocabulary]) * (1 + (seed % 7));
            using var noise = new NoiseSource(seed);
            using var plainNoise = new NoiseSource(seed);
            using var sampler = new SpeechTokenSampler(config, settings, plainNoise, CPU);
            steps.Begin(logits.to(device), 10, settings, config.StartSpeechToken, noise);
            Assert.Equal((int)sampler.Next(logits).item<long>(), steps.Next(config.StopSpeechToken));
            Assert.Equal(plainNoise.Normal([4]), noise.Normal([4]));   // both have drawn as much
        }

        steps.Dispose();
    }

    [Fact]
    public void What_is_drawn_ahead_of_the_stop_token_is_given_back()
    {
        var device = Gpu.Required();
        var config = Config("gpt2", 256);
        using var fused = TinyT3.Rounded(config, ScalarType.BFloat16, device);
        var options = new SamplingOptions { Temperature = 5, TopK = 0, TopP = 1, MaxSpeechTokens = 600 };   // ends by chance
        var (seed, noise, tokens) = Enumerable.Range(0, 20).Select(seed => Speak(seed)).First(spoken => spoken.Tokens[^1] == config.StopSpeechToken);

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
            return (seed, noise, fused.Model.Generate(TinyT3.Text, Voice, options, noise).SpeechTokens);
        }
    }

    [Theory]
    [InlineData("llama", true)]
    [InlineData("llama", false)]
    [InlineData("gpt2", true)]
    [InlineData("gpt2", false)]
    public void Every_run_has_the_same_logits(string backbone, bool persistent)
    {
        var device = Gpu.Required();
        using var model = TinyT3.Rounded(Config(backbone, 1024), ScalarType.BFloat16, device);
        Choose(model, persistent);
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var decoder = new T3Decoder(model.Model);
        var runs = Enumerable.Range(0, 5).Select(_ => Logits()).ToArray();
        Assert.All(runs, logits => Assert.True(logits.equal(runs[0]).all().item<bool>()));

        Tensor Logits()
        {
            using var noise = new NoiseSource(3);
            using var sequence = decoder.Start(TinyT3.Text, Voice, new() { MaxSpeechTokens = 100 }, noise);
            sequence.Steps!.Ahead = 0;
            while (!sequence.Finished)
            {
                decoder.Step(sequence);
            }

            return sequence.Steps.Logits.cpu();
        }
    }

    [Theory]
    [InlineData("llama", true)]
    [InlineData("llama", false)]
    [InlineData("gpt2", true)]
    [InlineData("gpt2", false)]
    public void Long_speech_is_the_same_whether_or_not_there_was_room_for_it(string backbone, bool persistent)
    {
        var device = Gpu.Required();
        using var model = TinyT3.Rounded(Config(backbone, 256), ScalarType.BFloat16, device);
        Choose(model, persistent);
        using var decoder = new T3Decoder(model.Model);
        var (seed, grown) = Enumerable.Range(0, 20).Select(seed => (seed, Spoken: Speak(seed))).First(run => run.Spoken.Grew);
        using (var steps = model.Model.Fused!.Rent(SamplingSettings.Resolve(new(), model.Model.Config).Rows))
        {
            steps.Cache.Reserve(1000);
        }

        var roomy = Speak(seed);
        Assert.False(roomy.Grew);
        Assert.Equal(roomy.Tokens, grown.Tokens);

        (int[] Tokens, bool Grew) Speak(int seed)
        {
            using var noise = new NoiseSource(seed);
            using var sequence = decoder.Start(TinyT3.Text, Voice, new() { MaxSpeechTokens = 600 }, noise);
            while (!sequence.Finished)
            {
                decoder.Step(sequence);
            }

            return ([.. sequence.SpeechTokens], sequence.Steps!.Cache != sequence.Cache);
        }
    }

    [Theory]
    [InlineData("llama", true, true)]
    [InlineData("llama", true, false)]
    [InlineData("llama", false, false)]
    [InlineData("gpt2", true, true)]
    [InlineData("gpt2", false, false)]
    public async Task Sequences_that_share_the_GPU_are_as_alone(string backbone, bool firstPersistent, bool secondPersistent)
    {
        var device = Gpu.Required();
        using var first = TinyT3.Rounded(Config(backbone, 256), ScalarType.BFloat16, device);
        using var second = TinyT3.Rounded(Config(backbone, 1024), ScalarType.BFloat16, device);
        Choose(first, firstPersistent);
        Choose(second, secondPersistent);
        var alone = Enumerable.Range(0, 6).Select(seed => (Speak(first, seed), Speak(second, seed))).ToArray();

        var both = await Task.WhenAll(
            Task.Factory.StartNew(() => Enumerable.Range(0, 6).Select(seed => Speak(first, seed)).ToArray(), TaskCreationOptions.LongRunning),
            Task.Factory.StartNew(() => Enumerable.Range(0, 6).Select(seed => Speak(second, seed)).ToArray(), TaskCreationOptions.LongRunning));
        Assert.Equal(alone.Select(pair => pair.Item1), both[0]);
        Assert.Equal(alone.Select(pair => pair.Item2), both[1]);

        static int[] Speak(TinyT3 model, int seed)
        {
            using var noise = new NoiseSource(seed);
            return model.Model.Generate(TinyT3.Text, Voice, new() { MaxSpeechTokens = 100 }, noise).SpeechTokens;
        }
    }

    [Fact]
    public void Sequences_that_come_and_go_leave_nothing_behind()
    {
        var device = Gpu.Required();
        using var model = TinyT3.Rounded(Config("llama", 256), ScalarType.BFloat16, device);
        long before = 0;
        for (var i = 0; i < 50; i++)
        {
            using var noise = new NoiseSource(i);
            model.Model.Generate(TinyT3.Text, Voice, new() { MaxSpeechTokens = 10 + i }, noise, cancel: TestContext.Current.CancellationToken);
            before = i == 5 ? LiveTensors.Settled() : before;
        }

        Assert.Equal(before, Tensor.TotalCount);
    }

    private static void Choose(TinyT3 model, bool persistent)
    {
        Assert.SkipWhen(persistent && model.Model.Fused!.WhyNotPersistent is not null, $"not as one kernel: {model.Model.Fused!.WhyNotPersistent}");
        model.Model.Fused!.Persistent = persistent;
    }

    internal static T3Config Config(string backbone, int hidden, int speechTokens = 600) => backbone == "llama"
        ? Sized(TinyT3.LlamaConfig, new LlamaConfig(Layers: 3, HiddenSize: hidden, Heads: hidden / 64, MlpSize: 4 * hidden), speechTokens)
        : Sized(TinyT3.Gpt2Config, new Gpt2Config(Layers: 3, HiddenSize: hidden, Heads: hidden / 64, MlpSize: 4 * hidden) { Positions = speechTokens + 100 }, speechTokens);

    private static T3Config Sized(T3Config config, BackboneConfig backbone, int speechTokens) => config with
    {
        Backbone = backbone,
        SpeechVocabulary = 1300,     // more than a thread of the sampler each
        MaxSpeechTokens = speechTokens,
        SpeakerSize = 256,
    };
}
