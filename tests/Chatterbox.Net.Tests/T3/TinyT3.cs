using Chatterbox.Models;
using Chatterbox.Ops;
using Chatterbox.Ops.Cpu;
using Chatterbox.T3;
using Chatterbox.Weights;

namespace Chatterbox.Tests.T3;

/// <summary>Models of the real architecture and the smallest sizes, with weights made from the real files' names.</summary>
internal sealed class TinyT3 : IDisposable
{
    private readonly WeightStore _weights;

    private TinyT3(
        string file,
        T3Config full,
        T3Config config,
        Func<string, float>? scale,
        ScalarType dtype,
        Device? device = null,
        bool rounded = false,
        WeightFormat? cpuFormat = null
    )
    {
        var source = Shrink(file, full, config, scale ?? (_ => 1));
        _weights = new(rounded ? new RoundedTensors(source) : source, device, dtype);
        Model = new(config, _weights.Root, TorchOps.Of(device ?? CPU), cpuFormat: cpuFormat);
        _weights.ThrowIfFaulty();
    }

    public static T3Config LlamaConfig { get; } =
        T3Config.English with
        {
            Backbone = new LlamaConfig(Layers: 2, HiddenSize: 16, Heads: 2, MlpSize: 24),
            TextVocabulary = 40,
            StartTextToken = 38,
            StopTextToken = 39,
            MaxTextTokens = 18,
            SpeechVocabulary = 60,
            SpeechCodes = 50,
            StartSpeechToken = 50,
            StopSpeechToken = 51,
            MaxSpeechTokens = 44,
            SpeakerSize = 6,
            PromptTokens = 9,
            Perceiver = new(Queries: 4, Heads: 2),
            Sampling = Limited(T3Config.English.Sampling),
        };

    public static T3Config Gpt2Config { get; } =
        T3Config.Turbo with
        {
            Backbone = new Gpt2Config(Layers: 2, HiddenSize: 16, Heads: 2, MlpSize: 24) { Positions = 90 },
            TextVocabulary = 40,
            MaxTextTokens = 18,
            SpeechVocabulary = 52,
            SpeechCodes = 50,
            StartSpeechToken = 50,
            StopSpeechToken = 51,
            MaxSpeechTokens = 44,
            SpeakerSize = 6,
            PromptTokens = 9,
            Sampling = Limited(T3Config.Turbo.Sampling),
        };

    public static T3Config FlashConfig { get; } =
        LlamaConfig with
        {
            StartTokens = T3Config.Flash.StartTokens,
            GuidanceKeepsVoice = T3Config.Flash.GuidanceKeepsVoice,
            Sampling = Limited(T3Config.Flash.Sampling),
        };

    public T3Model Model { get; }

    public WeightScope Weights => _weights.Root;

    public static T3Prompt Voice { get; } = new([0.5f, -0.5f, 0.1f, 0.3f, -0.2f, 0.6f], [3, 14, 15, 9, 26, 5, 35]);

    public static int[] Text { get; } = [1, 6, 18, 0, 33, 33, 9];

    /// <param name="config">Made from <see cref="LlamaConfig"/>, which is the default.</param>
    /// <param name="scale">Factor on each tensor by name.</param>
    /// <param name="dtype">Element type of the weights.</param>
    /// <param name="cpuFormat">How the CPU's fast steps keep them; null for the plain operations.</param>
    public static TinyT3 Llama(
        T3Config? config = null,
        Func<string, float>? scale = null,
        ScalarType dtype = ScalarType.Float32,
        WeightFormat? cpuFormat = null
    ) => new("t3_cfg", T3Config.English, config ?? LlamaConfig, scale, dtype, cpuFormat: cpuFormat);

    /// <inheritdoc cref="Llama"/>
    public static TinyT3 Gpt2(
        T3Config? config = null,
        Func<string, float>? scale = null,
        ScalarType dtype = ScalarType.Float32,
        WeightFormat? cpuFormat = null
    ) => new("t3_turbo_v1", T3Config.Turbo, config ?? Gpt2Config, scale, dtype, cpuFormat: cpuFormat);

    /// <summary>One whose speech comes in blocks, and never stops by itself.</summary>
    public static TinyT3 Flash(Func<T3Config, T3Config>? change = null, Func<string, float>? scale = null) =>
        new(
            "t3_flash",
            T3Config.Flash,
            (change ?? (config => config))(FlashConfig with { StopSpeechToken = FlashConfig.MaskToken + 1 }),
            scale,
            ScalarType.Float32
        );

    public static TinyT3 Of(
        string backbone,
        Func<T3Config, T3Config>? change = null,
        Func<string, float>? scale = null,
        ScalarType dtype = ScalarType.Float32,
        WeightFormat? cpuFormat = null
    )
    {
        change ??= config => config;
        return backbone == "llama"
            ? Llama(change(LlamaConfig), scale, dtype, cpuFormat)
            : Gpt2(change(Gpt2Config), scale, dtype, cpuFormat);
    }

    /// <summary>The sizes of another configuration on some device, of weights that bfloat16 holds exactly.</summary>
    public static TinyT3 Rounded(T3Config config, ScalarType dtype, Device device, Func<string, float>? scale = null) =>
        config.Backbone is LlamaConfig
            ? new("t3_cfg", T3Config.English, config, scale, dtype, device, rounded: true)
            : new("t3_turbo_v1", T3Config.Turbo, config, scale, dtype, device, rounded: true);

    public T3Result Generate(long seed, SamplingOptions? options = null, int[]? text = null, T3Prompt? voice = null)
    {
        using var noise = new NoiseSource(seed);
        using var decoder = Model.CreateDecoder();
        return decoder.Generate(
            text ?? Text,
            voice ?? Voice,
            options ?? new(),
            noise,
            cancellationToken: TestContext.Current.CancellationToken
        );
    }

    public void Dispose()
    {
        _weights.Dispose();
    }

    private static SamplerConfig Limited(SamplerConfig sampling) =>
        sampling with
        {
            Defaults = sampling.Defaults with { MaxSpeechTokens = 44 },
        };

    /// <summary>The same tensors with fewer layers and each size exchanged for the tiny one.</summary>
    private static SyntheticTensors Shrink(string file, T3Config full, T3Config tiny, Func<string, float> scaleOf)
    {
        using var source = SyntheticTensors.FullSize(file);
        Dictionary<long, long> sizes = new()
        {
            [full.Backbone.HiddenSize] = tiny.Backbone.HiddenSize,
            [3 * full.Backbone.HiddenSize] = 3 * tiny.Backbone.HiddenSize,
            [full.Backbone.MlpSize] = tiny.Backbone.MlpSize,
            [full.TextVocabulary] = tiny.TextVocabulary,
            [full.SpeechVocabulary] = tiny.SpeechVocabulary,
            [full.SpeechEmbeddings] = tiny.SpeechEmbeddings,
            [full.TextPositions] = tiny.TextPositions,
            [full.SpeechPositions] = tiny.SpeechPositions,
            [full.SpeakerSize] = tiny.SpeakerSize,
            [new PerceiverConfig().Queries] = tiny.Perceiver?.Queries ?? 0,
            [new Gpt2Config().Positions] = (tiny.Backbone as Gpt2Config)?.Positions ?? 0,
        };

        // Fewer inputs a neuron need larger weights to carry as much.
        var fanIn = MathF.Sqrt((float)full.Backbone.HiddenSize / tiny.Backbone.HiddenSize);
        return new(
            $"tiny {file}",
            source
                .Tensors.Keys.Where(name => Layer(name) < tiny.Backbone.Layers)
                .ToDictionary(
                    name => name,
                    name =>
                    {
                        var tensor = source[name];
                        var shape = tensor.Info.Shape.Select(size => sizes.GetValueOrDefault(size, size)).ToArray();
                        var scale =
                            tensor.Scale
                            * scaleOf(name)
                            * (name.StartsWith("tfmr.", StringComparison.Ordinal) && shape.Length == 2 ? fanIn : 1);
                        return new SyntheticTensor(new(tensor.Info.DType, shape), tensor.Offset * scaleOf(name), scale);
                    }
                )
        );
    }

    private static int Layer(string name)
    {
        var parts = name.Split('.');
        return parts[0] == "tfmr" && int.TryParse(parts[2], out var layer) ? layer : 0;
    }
}

/// <summary>Tensors of another source, rounded to what bfloat16 holds.</summary>
internal sealed class RoundedTensors(ITensorSource source) : ITensorSource
{
    public string Name => source.Name;

    public IReadOnlyDictionary<string, TensorInfo> Tensors => source.Tensors;

    public Tensor Read(string name)
    {
        using var exact = source.Read(name);
        return exact.is_floating_point()
            ? exact.to(ScalarType.BFloat16).to(exact.dtype).DetachFromDisposeScope()
            : exact.alias().DetachFromDisposeScope();
    }

    public void Dispose() => source.Dispose();
}
