using System.Globalization;
using System.Text.Json;
using Chatterbox.Models;
using Chatterbox.Ops;
using Chatterbox.Ops.Cpu;
using Chatterbox.T3;
using Chatterbox.T3.Fused;
using Chatterbox.Tests.Weights;
using Chatterbox.Weights;

namespace Chatterbox.Tests.Parity;

public class T3EnglishParityTests(T3EnglishParityTests.Model model) : IClassFixture<T3EnglishParityTests.Model>
{
    public static TheoryData<string> Files => Fixtures.All("t3-english");

    [Theory, MemberData(nameof(Files))]
    public void Prefix_and_logits_match_the_reference(string path) => T3Parity.CheckLogits(model, path);

    [Theory, MemberData(nameof(Files))]
    public void The_same_seed_gives_the_same_tokens(string path) => T3Parity.CheckSampled(model, path);

    public sealed class Model() : LoadedT3("t3_cfg", T3Config.English, "voice");
}

public class T3MultilingualParityTests(T3MultilingualParityTests.Model model) : IClassFixture<T3MultilingualParityTests.Model>
{
    public static TheoryData<string> Files => Fixtures.All("t3-multilingual");

    [Theory, MemberData(nameof(Files))]
    public void Prefix_and_logits_match_the_reference(string path) => T3Parity.CheckLogits(model, path);

    [Theory, MemberData(nameof(Files))]
    public void The_same_seed_gives_the_same_tokens(string path) => T3Parity.CheckSampled(model, path);

    public sealed class Model() : LoadedT3("t3_mtl23ls_v2", T3Config.Multilingual, "voice");
}

public class T3TurboParityTests(T3TurboParityTests.Model model) : IClassFixture<T3TurboParityTests.Model>
{
    public static TheoryData<string> Files => Fixtures.All("t3-turbo");

    [Theory, MemberData(nameof(Files))]
    public void Prefix_and_logits_match_the_reference(string path) => T3Parity.CheckLogits(model, path);

    [Theory, MemberData(nameof(Files))]
    public void The_same_seed_gives_the_same_tokens(string path) => T3Parity.CheckSampled(model, path);

    public sealed class Model() : LoadedT3("t3_turbo_v1", T3Config.Turbo, "voice-turbo");
}

public class T3NanoParityTests(T3NanoParityTests.Model model) : IClassFixture<T3NanoParityTests.Model>
{
    public static TheoryData<string> Files => Fixtures.All("t3-nano");

    [Theory, MemberData(nameof(Files))]
    public void Prefix_and_logits_match_the_reference(string path) => T3Parity.CheckLogits(model, path);

    [Theory, MemberData(nameof(Files))]
    public void The_same_seed_gives_the_same_tokens(string path) => T3Parity.CheckSampled(model, path);

    public sealed class Model() : LoadedT3("t3_nano_v1", T3Config.Nano, "voice-turbo");
}

/// <summary>Weights kept in bfloat16, as convert writes them if asked, and computed with in float32: how far the logits move.</summary>
public class T3BFloat16ParityTests(T3BFloat16ParityTests.English english, T3BFloat16ParityTests.Nano nano)
    : IClassFixture<T3BFloat16ParityTests.English>,
        IClassFixture<T3BFloat16ParityTests.Nano>
{
    private const double Tolerance = 2e-2;

    public static TheoryData<string> EnglishFiles => Fixtures.All("t3-english");

    public static TheoryData<string> NanoFiles => Fixtures.All("t3-nano");

    [Theory, MemberData(nameof(EnglishFiles))]
    public void English_logits_move_by_a_hundredth(string path) => T3Parity.CheckSteps(english, path, Tolerance);

    [Theory, MemberData(nameof(NanoFiles))]
    public void Nano_logits_move_by_less(string path) => T3Parity.CheckSteps(nano, path, Tolerance);

    public sealed class English() : LoadedT3("t3_cfg", T3Config.English, "voice", ScalarType.BFloat16);

    public sealed class Nano() : LoadedT3("t3_nano_v1", T3Config.Nano, "voice-turbo", ScalarType.BFloat16);
}

/// <summary>The fast steps of the CPU: how far the logits move by weights in 8 or 16 bits and a cache in bfloat16.</summary>
public class T3CpuEnglishParityTests(T3CpuEnglishParityTests.Model model) : IClassFixture<T3CpuEnglishParityTests.Model>
{
    public static TheoryData<string> Files => Fixtures.All("t3-english");

    [Theory, MemberData(nameof(Files))]
    public void Logits_stay_close(string path) => T3Parity.CheckSteps(model, path, CpuTolerance.Logits);

    public sealed class Model() : LoadedT3("t3_cfg", T3Config.English, "voice", cpuFormat: CpuTolerance.FormatOf(T3Config.English));
}

/// <inheritdoc cref="T3CpuEnglishParityTests"/>
public class T3CpuTurboParityTests(T3CpuTurboParityTests.Model model) : IClassFixture<T3CpuTurboParityTests.Model>
{
    public static TheoryData<string> Files => Fixtures.All("t3-turbo");

    [Theory, MemberData(nameof(Files))]
    public void Logits_stay_close(string path) => T3Parity.CheckSteps(model, path, CpuTolerance.Logits);

    public sealed class Model() : LoadedT3("t3_turbo_v1", T3Config.Turbo, "voice-turbo", cpuFormat: CpuTolerance.FormatOf(T3Config.Turbo));
}

/// <inheritdoc cref="T3CpuEnglishParityTests"/>
public class T3CpuNanoParityTests(T3CpuNanoParityTests.Model model) : IClassFixture<T3CpuNanoParityTests.Model>
{
    public static TheoryData<string> Files => Fixtures.All("t3-nano");

    [Theory, MemberData(nameof(Files))]
    public void Logits_stay_close(string path) => T3Parity.CheckSteps(model, path, CpuTolerance.Logits);

    public sealed class Model() : LoadedT3("t3_nano_v1", T3Config.Nano, "voice-turbo", cpuFormat: CpuTolerance.FormatOf(T3Config.Nano));
}

/// <summary>How far the fast steps of the CPU may be from the reference.</summary>
internal static class CpuTolerance
{
    /// <summary>Relative error of logits.</summary>
    public const double Logits = 1.5e-2;

    /// <summary>The format that is used unless CHATTERBOX_CPU_FORMAT names another, to measure that.</summary>
    public static WeightFormat FormatOf(T3Config config) =>
        Environment.GetEnvironmentVariable("CHATTERBOX_CPU_FORMAT") is { } name
            ? Enum.Parse<WeightFormat>(name)
            : CpuBackbone.FastestFormat(config.Backbone);
}

/// <summary>A full-size T3, loaded once for a class of tests; loading also proves that each tensor of the file is used or known.</summary>
public abstract class LoadedT3 : IDisposable
{
    private readonly WeightStore _weights;

    private protected LoadedT3(
        string file,
        T3Config config,
        string voice,
        ScalarType stored = ScalarType.Float32,
        WeightFormat? cpuFormat = null
    )
    {
        var full = SyntheticTensors.FullSize(file);
        _weights = new(
            stored == ScalarType.Float32
                ? full
                : new ChangedTensors(full, full.Tensors.Keys.ToDictionary(name => name, _ => (Func<Tensor, Tensor>)(x => x.to(stored)))),
            TestDevice.Device
        );
        Model = new(config, _weights.Root, TorchOps.Plain, cpuFormat: cpuFormat);
        _weights.ThrowIfFaulty();
        Voice = voice;
    }

    internal T3Model Model { get; }

    /// <summary>Name of the fixture that holds the voice.</summary>
    internal string Voice { get; }

    public void Dispose()
    {
        _weights.Dispose();
        GC.SuppressFinalize(this);
    }
}

internal static class T3Parity
{
    public static void CheckLogits(LoadedT3 t3, string path)
    {
        using var golden = Fixture.Open(path);
        using (NewDisposeScope())
        {
            var settings = SamplingSettings.Resolve(new SamplingOptions(), t3.Model.Config);
            var prefix = t3.Model.Prefix(TextTokens(golden, t3.Model.Config), Voice(t3, path), settings);
            var conditioning = golden["cond_emb"];
            Close.Assert(golden, "cond_emb", conditioning, prefix.narrow(0, 0, 1).narrow(1, 0, conditioning.shape[1]), 1e-5);
            if (golden.Metadata.ContainsKey("sampled2")) // of the Llama models only; it ends before the second start token
            {
                Close.Assert(golden, "input_embeds", golden["input_embeds"], prefix.narrow(1, prefix.shape[1] - 7, 6), 1e-5);
            }
        }

        CheckSteps(t3, path, 1e-4);
    }

    public static void CheckSteps(LoadedT3 t3, string path, double tolerance)
    {
        using var golden = Fixture.Open(path);
        using var noise = new NoiseSource(0);
        using var decoder = new PlainT3Decoder(t3.Model, capacity: 1);
        using var sequence = decoder.Start(TextTokens(golden, t3.Model.Config), Voice(t3, path), new SamplingOptions(), noise);
        using var scope = NewDisposeScope();
        Close.Assert(golden, "prefill_logits", golden["prefill_logits"], sequence.Logits, tolerance);
        var forced = JsonSerializer.Deserialize<int[]>(golden.Metadata["forced"])!;
        foreach (var (step, token) in forced.Index())
        {
            decoder.Feed(sequence, tensor(new long[] { token }, [1, 1], device: TestDevice.Device));
            Close.Assert(golden, $"step_logits[{step}]", golden["step_logits"][step], sequence.Logits, tolerance);
        }
    }

    public static void CheckSampled(LoadedT3 t3, string path)
    {
        using var golden = Fixture.Open(path);
        foreach (var sampled in new[] { "sampled", "sampled2" }.Where(golden.Metadata.ContainsKey))
        {
            var options = Settings(golden.Metadata[sampled]) with { MaxSpeechTokens = (int)golden.Integer("n_new") + Uncounted(t3) };
            using var noise = new NoiseSource(golden.Integer("seed"));
            using var decoder = t3.Model.CreateDecoder();
            var result = decoder.Generate(TextTokens(golden, t3.Model.Config), Voice(t3, path), options, noise);
            AssertEqual(golden, sampled, t3, result);
        }
    }

    /// <summary>T3's part of a recorded whole flow; the noise goes on behind it.</summary>
    /// <param name="t3">The model.</param>
    /// <param name="golden">The recorded flow.</param>
    /// <param name="path">Its path.</param>
    /// <param name="text">Fixture of the same set that holds the text and the settings.</param>
    /// <param name="noise">The request's stream.</param>
    /// <returns>The sound tokens.</returns>
    public static int[] BeginEndToEnd(LoadedT3 t3, Fixture golden, string path, string text, NoiseSource noise)
    {
        using var source = Fixture.Open(Sibling(path, text));
        var options = Settings(source.Metadata["sampled"]) with { MaxSpeechTokens = (int)golden["speech_tokens"].shape[0] };
        using var decoder = t3.Model.CreateDecoder();
        var result = decoder.Generate(TextTokens(source, t3.Model.Config), Voice(t3, path), options, noise);
        AssertEqual(golden, "speech_tokens", t3, result);
        return t3.Model.Config.SpeechCodesOf(result.SpeechTokens);
    }

    private static void AssertEqual(Fixture golden, string what, LoadedT3 t3, T3Result result)
    {
        // The reference's GPT-2 models leave the stop token out.
        var ours =
            Uncounted(t3) == 0
                ? result.SpeechTokens
                : [.. result.SpeechTokens.TakeWhile(token => token != t3.Model.Config.StopSpeechToken)];
        using var tokens = tensor(ours);
        Close.AssertEqual(golden, what, golden[what], tokens);
    }

    /// <summary>Tokens that the reference makes beyond its limit: its loop for GPT-2 begins to count after the first.</summary>
    private static int Uncounted(LoadedT3 t3) => t3.Model.Config.Guidance ? 0 : 1;

    /// <summary>The recorded text without the start and stop tokens that the model adds itself.</summary>
    public static int[] TextTokens(Fixture golden, T3Config config)
    {
        var recorded = golden["text_tokens"][0].data<long>().Select(token => (int)token);
        return config.StartTextToken is null ? [.. recorded] : [.. recorded.Skip(1).SkipLast(1)];
    }

    /// <summary>The set's recorded voice.</summary>
    public static T3Prompt Voice(LoadedT3 t3, string path)
    {
        using var voice = Fixture.Open(Sibling(path, t3.Voice));
        return new([.. voice["ve_embed"].data<float>()], [.. voice["t3_prompt_tokens"].data<long>().Select(token => (int)token)]);
    }

    /// <summary>Another fixture of the same set.</summary>
    public static string Sibling(string path, string name) =>
        Path.Combine(Path.GetDirectoryName(path)!, $"{Path.GetFileName(path).Split('-')[0]}-{name}.safetensors");

    /// <summary>Settings as the metadata gives them: <c>temperature=0.8 cfg=0.5 rep=1.2</c>.</summary>
    private static SamplingOptions Settings(string text)
    {
        var values = text.Split(' ')
            .Select(setting => setting.Split('='))
            .ToDictionary(setting => setting[0], setting => double.Parse(setting[1], CultureInfo.InvariantCulture));
        double? Value(string name) => values.TryGetValue(name, out var value) ? value : null;
        return new()
        {
            Temperature = Value("temperature"),
            CfgWeight = Value("cfg"),
            RepetitionPenalty = Value("rep"),
            MinP = Value("min_p"),
            TopP = Value("top_p"),
            TopK = (int?)Value("top_k"),
        };
    }
}
