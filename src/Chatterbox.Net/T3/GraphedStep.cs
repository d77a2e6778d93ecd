using Chatterbox.Ops.Cuda;

namespace Chatterbox.T3;

/// <summary>A step as a CUDA graph of many kernels, those of t3.cu.</summary>
internal sealed class GraphedStep : IStep
{
    private const string Source = "t3.cu";

    // As in the source.
    private const int WarpSize = 32, AttentionThreads = 256;
    private const int ProductWarps = 4, ProductOutputs = 2, OutWarps = 8, UpPairs = 2, DownWarps = 4, DownOutputs = 2;
    private const int Splits = 4;   // blocks that share a row's head in attention

    private readonly FusedT3 _t3;
    private readonly T3Config _config;
    private readonly StepWeights _weights;
    private readonly StepBuffers _buffers;
    private readonly CudaModule _kernels;
    private readonly bool _canOverlap;
    private readonly Tensor _qkv;
    private readonly Tensor _partial;
    private readonly Tensor _mlp;
    private CudaGraph? _graph;
    private (nint Keys, nint Values, int Capacity) _recordedFor;

    /// <param name="t3">Samples.</param>
    /// <param name="config">The variant, which <see cref="WhyNot"/> has nothing against.</param>
    /// <param name="weights">The model's.</param>
    /// <param name="buffers">The sequence's.</param>
    /// <param name="device">The GPU.</param>
    public GraphedStep(FusedT3 t3, T3Config config, StepWeights weights, StepBuffers buffers, Device device)
    {
        (_t3, _config, _weights, _buffers) = (t3, config, weights, buffers);
        var (sizes, rows) = (config.Backbone, buffers.Rows);
        _kernels = CudaModule.Get(Source, device, SizesOf(config, rows));
        _canOverlap = CudaModule.Capability(device.index) >= 90;
        _qkv = empty([rows, 3 * sizes.HiddenSize], ScalarType.Float32, device).DetachFromDisposeScope();
        _partial = empty([rows, sizes.Heads, Splits, 2 + sizes.HeadDim], ScalarType.Float32, device).DetachFromDisposeScope();
        _mlp = empty([rows, sizes.MlpSize], ScalarType.Float32, device).DetachFromDisposeScope();
    }

    /// <summary>Why steps cannot be made so, or null.</summary>
    public static string? WhyNot(T3Config config, Device device)
    {
        var sizes = config.Backbone;
        return sizes.HiddenSize % 256 != 0 || sizes.HeadDim != 64 || sizes.MlpSize % 1024 != 0 ? "the kernels are not made for the model's sizes"
            : FusedT3.RowsOf(config).Select(rows => CudaModule.WhyNot(Source, device, SizesOf(config, rows))).FirstOrDefault(reason => reason is not null);
    }

    /// <inheritdoc/>
    public void Begin()
    {
        var recorded = (_buffers.Cache.Keys.Address(), _buffers.Cache.Values.Address(), _buffers.Cache.Capacity);
        if (_graph is null || _recordedFor != recorded)
        {
            _graph?.Dispose();
            _graph = CudaGraph.Record(stream =>
            {
                Forward(stream);
                _t3.Sample(_buffers, stream, overlaps: _canOverlap);
            });
            _recordedFor = recorded;
        }
    }

    /// <inheritdoc/>
    public void Launch(CudaStream stream) => _graph!.Launch(stream);

    /// <inheritdoc/>
    public void Dispose()
    {
        _graph?.Dispose();
        _qkv.Dispose();
        _partial.Dispose();
        _mlp.Dispose();
    }

    // From the last token's embedding to the next token's logits.
    private void Forward(CudaStream stream)
    {
        var (buffers, sizes, hidden) = (_buffers, _config.Backbone, _config.Backbone.HiddenSize);
        var overlaps = false;   // the first has none in front
        foreach (var (index, layer) in _weights.Layers.Index())
        {
            var weights = layer.Weights;
            Product(weights.Qkv, layer.AttentionNorm, _qkv, 3 * hidden);
            Launch("attention", new(((uint)sizes.Heads, (uint)buffers.Rows, Splits), AttentionThreads), new AttentionArguments
            {
                Qkv = _qkv.Address(),
                Keys = LayerOf(buffers.Cache.Keys, index),
                Values = LayerOf(buffers.Cache.Values, index),
                Positions = buffers.Positions,
                Slots = buffers.Slots,
                Cosines = _weights.Cosines,
                Sines = _weights.Sines,
                Partial = _partial.Address(),
                Capacity = buffers.Cache.Capacity,
            });
            Launch("attention_out", new(hidden / OutWarps, OutWarps * WarpSize), new OutArguments
            {
                Weight = weights.Out.Address(),
                Bias = layer.OutBias,
                Partial = _partial.Address(),
                X = buffers.X.Address(),
            });
            Launch("mlp_up", new(weights.Up.shape[0] / (2 * UpPairs) / ProductWarps, ProductWarps * WarpSize), new UpArguments
            {
                Weight = weights.Up.Address(),
                Norm = layer.MlpNorm,
                X = buffers.X.Address(),
                Y = _mlp.Address(),
            });
            Launch("mlp_down", new(hidden / DownOutputs, DownWarps * WarpSize), new DownArguments
            {
                Weight = weights.Down.Address(),
                Bias = layer.DownBias,
                Y = _mlp.Address(),
                X = buffers.X.Address(),
            });
        }

        Product(_weights.Head, _weights.HeadNorm, buffers.Logits, _config.SpeechVocabulary);

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
            _kernels[kernel].Launch(shape, stream, arguments, overlaps);
            overlaps = _canOverlap;
        }
    }

    private static (string Name, double Value)[] SizesOf(T3Config config, int rows) =>
    [
        ("ROWS", rows),
        ("HIDDEN", config.Backbone.HiddenSize),
        ("MLP", config.Backbone.MlpSize),
        ("HEADS", config.Backbone.Heads),
        ("SPLITS", Splits),
        ("UP_PAIRS", UpPairs),
        ("GPT2", config.Backbone is Gpt2Config ? 1 : 0),
    ];

    private static nint LayerOf(Tensor cache, int layer) => cache.Address() + (nint)(layer * cache.stride(0) * cache.ElementSize);
}

// The parameters of the kernels, laid out as in t3.cu.

internal struct ProductArguments
{
    public nint Weight;
    public NormArguments Norm;
    public nint X, Y;
    public int Outputs;
}

internal struct AttentionArguments
{
    public nint Qkv, Keys, Values, Positions, Slots, Cosines, Sines, Partial;
    public int Capacity;
}

internal struct OutArguments
{
    public nint Weight, Bias, Partial, X;
}

internal struct UpArguments
{
    public nint Weight;
    public NormArguments Norm;
    public nint X, Y;
}

internal struct DownArguments
{
    public nint Weight, Bias, Y, X;
}
