using Chatterbox.Ops.Cuda;

namespace Chatterbox.T3;

/// <summary>The weights of one decoder layer, for <see cref="FusedT3"/>. A shift or bias is null where the backbone has none.</summary>
/// <param name="AttentionNorm">The norm in front of attention.</param>
/// <param name="Qkv">Queries, keys and values, [3 · hidden, hidden].</param>
/// <param name="QkvBias">[3 · hidden].</param>
/// <param name="Out">Attention's way out, [hidden, hidden].</param>
/// <param name="OutBias">[hidden].</param>
/// <param name="MlpNorm">The norm in front of the MLP.</param>
/// <param name="Up">[MLP, hidden]; with gates, those first, [2 · MLP, hidden].</param>
/// <param name="UpBias">[MLP].</param>
/// <param name="Down">[hidden, MLP].</param>
/// <param name="DownBias">[hidden].</param>
internal sealed record LayerWeights(
    NormWeights AttentionNorm, Tensor Qkv, Tensor? QkvBias, Tensor Out, Tensor? OutBias,
    NormWeights MlpNorm, Tensor Up, Tensor? UpBias, Tensor Down, Tensor? DownBias);

/// <summary>Scale of a norm, and shift of a layer norm: [hidden] each.</summary>
internal sealed record NormWeights(Tensor Gain, Tensor? Shift);

/// <summary>What a backbone is made of, for <see cref="FusedT3"/>.</summary>
/// <param name="Layers">First to last.</param>
/// <param name="Norm">The norm behind them.</param>
/// <param name="Positions">A learned table of positions of everything, [positions, hidden], or null.</param>
internal sealed record BackboneWeights(IReadOnlyList<LayerWeights> Layers, NormWeights Norm, Tensor? Positions);

/// <summary>What is around the backbone, for <see cref="FusedT3"/>.</summary>
/// <param name="SpeechEmbeddings">[speech vocabulary, hidden].</param>
/// <param name="SpeechPositions">A learned table of the positions of speech, [positions, hidden], or null.</param>
/// <param name="Head">[speech vocabulary, hidden].</param>
/// <param name="HeadBias">[speech vocabulary], or null.</param>
internal sealed record SpeechWeights(Tensor SpeechEmbeddings, Tensor? SpeechPositions, Tensor Head, Tensor? HeadBias);

/// <summary>T3's steps on a GPU: each a CUDA graph of the kernels of t3.cu, from the last speech token to the next, sampling
/// included. A twin of <see cref="T3Model.Forward"/> and <see cref="SpeechTokenSampler"/>, which do it where this does not fit.</summary>
internal sealed class FusedT3 : IDisposable
{
    // As in the source.
    private const int WarpSize = 32, AttentionThreads = 256, SampleThreads = 1024;
    private const int ProductWarps = 4, ProductOutputs = 2, OutWarps = 8, UpPairs = 2, DownWarps = 4, DownOutputs = 2;

    /// <summary>Blocks that share a row's head in attention.</summary>
    public const int Splits = 4;

    private const string Source = "t3.cu";

    private static readonly SamplingStep[] PenaltyFirst = [SamplingStep.RepetitionPenalty, SamplingStep.Temperature, SamplingStep.MinP, SamplingStep.TopP];
    private static readonly SamplingStep[] PenaltyLast = [SamplingStep.Temperature, SamplingStep.TopK, SamplingStep.TopP, SamplingStep.RepetitionPenalty];

    private readonly T3Config _config;
    private readonly Device _device;
    private readonly Layer[] _layers;
    private readonly SpeechWeights _speech;
    private readonly Tensor _places;
    private readonly NormArguments _headNorm;
    private readonly Tensor? _cosines;
    private readonly Tensor? _sines;
    private readonly List<Tensor> _owned = [];
    private readonly Dictionary<int, CudaModule> _modules = [];
    private readonly Dictionary<int, Stack<FusedSteps>> _free = [];
    private readonly bool _overlaps;

    private FusedT3(T3Config config, BackboneWeights backbone, SpeechWeights speech)
    {
        using var scope = NewDisposeScope();
        _config = config;
        _device = speech.Head.device;
        _speech = speech;
        _places = speech.SpeechPositions ?? backbone.Positions!;
        _overlaps = CudaModule.Capability(_device.index) >= 90;
        _layers = [.. backbone.Layers.Select(weights => new Layer(
            weights, Fold(weights.AttentionNorm, weights.Qkv, weights.QkvBias), Fold(weights.MlpNorm, weights.Up, weights.UpBias),
            Wide(weights.OutBias), Wide(weights.DownBias)))];
        _headNorm = Fold(backbone.Norm, speech.Head, speech.HeadBias);
        if (config.Backbone is LlamaConfig llama)
        {
            var angles = outer(Arithmetic.Range(0, config.MaxLength), RotaryTable.Frequencies(llama));   // [positions, headDim / 2]
            _cosines = Own(angles.cos().to(_device));
            _sines = Own(angles.sin().to(_device));
        }

        foreach (var rows in RowsOf(config))
        {
            _modules[rows] = CudaModule.Get(Source, _device, SizesOf(config, rows));
            _free[rows] = new();
        }
    }

    /// <summary>The fused steps of a model, or why the plain operations have to do.</summary>
    /// <param name="config">The variant.</param>
    /// <param name="backbone">The backbone's weights.</param>
    /// <param name="speech">What is around it.</param>
    public static (FusedT3? Fused, string? WhyNot) TryCreate(T3Config config, BackboneWeights backbone, SpeechWeights speech)
    {
        var (device, sizes) = (speech.Head.device, config.Backbone);
        var whyNot = CudaModule.WhyNot(device) ?? (
            speech.Head.dtype != ScalarType.BFloat16 ? "the weights are not in bfloat16"
            : sizes.HiddenSize % 256 != 0 || sizes.HeadDim != 64 || sizes.MlpSize % 1024 != 0 ? "the kernels are not made for the model's sizes"
            : !config.Sampling.Order.SequenceEqual(PenaltyFirst) && !config.Sampling.Order.SequenceEqual(PenaltyLast) ? "the kernels do not sample in the model's order"
            : RowsOf(config).Select(rows => CudaModule.WhyNot(Source, device, SizesOf(config, rows))).FirstOrDefault(reason => reason is not null));
        return whyNot is null ? (new(config, backbone, speech), null) : (null, whyNot);
    }

    /// <summary>Room for one sequence; it comes back when it is disposed.</summary>
    /// <param name="rows">Rows of the sequence's batch.</param>
    public FusedSteps Rent(int rows) => _free[rows].TryPop(out var free) ? free : new(this, _config, rows, _device);

    /// <summary>Takes the room for a sequence back.</summary>
    internal void Return(FusedSteps steps) => _free[steps.Rows].Push(steps);

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var steps in _free.Values.SelectMany(free => free))
        {
            steps.Free();
        }

        _owned.ForEach(tensor => tensor.Dispose());
    }

    /// <summary>Launches the kernels from the last token's embedding to the next token's logits.</summary>
    internal void Forward(StepBuffers buffers, CudaStream stream)
    {
        var (rows, kernels, sizes) = (buffers.Rows, _modules[buffers.Rows], _config.Backbone);
        var hidden = sizes.HiddenSize;
        var overlaps = false;   // the first has none in front
        foreach (var (index, layer) in _layers.Index())
        {
            var weights = layer.Weights;
            Product(weights.Qkv, layer.AttentionNorm, buffers.Qkv, 3 * hidden);
            Launch("attention", new(((uint)sizes.Heads, (uint)rows, Splits), AttentionThreads), new AttentionArguments
            {
                Qkv = buffers.Qkv.Address(),
                Keys = LayerOf(buffers.Cache.Keys, index),
                Values = LayerOf(buffers.Cache.Values, index),
                Positions = buffers.Positions,
                Slots = buffers.Slots,
                Cosines = _cosines?.Address() ?? 0,
                Sines = _sines?.Address() ?? 0,
                Partial = buffers.Partial.Address(),
                Capacity = buffers.Cache.Capacity,
            });
            Launch("attention_out", new(hidden / OutWarps, OutWarps * WarpSize), new OutArguments
            {
                Weight = weights.Out.Address(),
                Bias = layer.OutBias,
                Partial = buffers.Partial.Address(),
                X = buffers.X.Address(),
            });
            Launch("mlp_up", new(weights.Up.shape[0] / (2 * UpPairs) / ProductWarps, ProductWarps * WarpSize), new UpArguments
            {
                Weight = weights.Up.Address(),
                Norm = layer.MlpNorm,
                X = buffers.X.Address(),
                Y = buffers.Mlp.Address(),
            });
            Launch("mlp_down", new(hidden / DownOutputs, DownWarps * WarpSize), new DownArguments
            {
                Weight = weights.Down.Address(),
                Bias = layer.DownBias,
                Y = buffers.Mlp.Address(),
                X = buffers.X.Address(),
            });
        }

        Product(_speech.Head, _headNorm, buffers.Logits, _config.SpeechVocabulary);

        void Product(Tensor weight, NormArguments norm, Tensor y, int outputs)
        {
            const int PerBlock = ProductOutputs * ProductWarps;
            Launch("product", new((outputs + PerBlock - 1) / PerBlock, ProductWarps * WarpSize), new ProductArguments
            {
                Weight = weight.Address(),
                Norm = norm,
                X = buffers.X.Address(),
                Y = y.Address(),
                Outputs = outputs,
            });
        }

        void Launch<T>(string kernel, LaunchShape shape, T arguments)
            where T : unmanaged
        {
            kernels[kernel].Launch(shape, stream, arguments, overlaps);
            overlaps = _overlaps;
        }
    }

    /// <summary>Launches the choice of a token from the logits, and its embedding for the next step.</summary>
    /// <param name="buffers">Where the sequence stands.</param>
    /// <param name="stream">Where to launch.</param>
    /// <param name="overlaps">True where a kernel of the same step is in front.</param>
    internal void Sample(StepBuffers buffers, CudaStream stream, bool overlaps) => _modules[buffers.Rows]["sample"].Launch(
        new(1, SampleThreads),
        stream,
        new SampleArguments
        {
            Logits = buffers.Logits.Address(),
            Settings = buffers.Settings.Address(),
            State = buffers.State.Address(),
            Spoken = buffers.Spoken.Address(),
            Noise = buffers.Noise.Address(),
            Tokens = buffers.Tokens.Address(),
            Ring = StepBuffers.Ring,
            Embeddings = _speech.SpeechEmbeddings.Address(),
            Places = _places.Address(),
            X = buffers.X.Address(),
        },
        overlaps && _overlaps);

    /// <summary>The batches that a sequence can be.</summary>
    private static IEnumerable<int> RowsOf(T3Config config) => Enumerable.Range(1, config.MaxRows);

    private static (string Name, double Value)[] SizesOf(T3Config config, int rows) =>
    [
        ("ROWS", rows),
        ("HIDDEN", config.Backbone.HiddenSize),
        ("MLP", config.Backbone.MlpSize),
        ("HEADS", config.Backbone.Heads),
        ("VOCABULARY", config.SpeechVocabulary),
        ("SPLITS", Splits),
        ("UP_PAIRS", UpPairs),
        ("GPT2", config.Backbone is Gpt2Config ? 1 : 0),
        ("PENALTY_FIRST", config.Sampling.Order[0] == SamplingStep.RepetitionPenalty ? 1 : 0),
        ("START_PENALISED", config.Sampling.StartTokenIsPenalised ? 1 : 0),
    ];

    /// <summary>Brings a norm behind the product that follows it; t3.cu says how.</summary>
    private NormArguments Fold(NormWeights norm, Tensor weight, Tensor? bias)
    {
        using var scope = NewDisposeScope();
        var gain = Own(norm.Gain.to(ScalarType.Float32));
        if (norm.Shift is null)
        {
            return new() { Gain = gain.Address(), Eps = (float)_config.Backbone.NormEps };
        }

        var wide = weight.to(ScalarType.Float32);
        var shift = wide.mv(norm.Shift.to(ScalarType.Float32));
        return new()
        {
            Gain = gain.Address(),
            MeanFactor = Own(wide.mv(gain)).Address(),
            Shift = Own(bias is null ? shift : shift.Add(bias.to(ScalarType.Float32))).Address(),
            Eps = (float)_config.Backbone.NormEps,
        };
    }

    private static nint LayerOf(Tensor cache, int layer) => cache.Address() + (nint)(layer * cache.stride(0) * cache.ElementSize);

    private Tensor Own(Tensor tensor)
    {
        _owned.Add(tensor.DetachFromDisposeScope());
        return tensor;
    }

    private nint Wide(Tensor? bias) => bias is null ? 0 : Own(bias.to(ScalarType.Float32)).Address();

    private sealed record Layer(LayerWeights Weights, NormArguments AttentionNorm, NormArguments MlpNorm, nint OutBias, nint DownBias);
}
