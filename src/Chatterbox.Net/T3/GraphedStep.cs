using Chatterbox.Ops.Cuda;

namespace Chatterbox.T3;

/// <summary>A step as a CUDA graph of many kernels, those of t3.cu.</summary>
internal sealed class GraphedStep : IStep
{
    private readonly FusedT3 _t3;
    private readonly T3Config _config;
    private readonly StepWeights _weights;
    private readonly StepBuffers _buffers;
    private readonly StepKernels _kernels;
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
        _kernels = new(sizes, rows, device);
        _qkv = empty([rows, 3 * sizes.HiddenSize], ScalarType.Float32, device).DetachFromDisposeScope();
        _partial = empty([rows, sizes.Heads, StepKernels.Splits, 2 + sizes.HeadDim], ScalarType.Float32, device).DetachFromDisposeScope();
        _mlp = empty([rows, sizes.MlpSize], ScalarType.Float32, device).DetachFromDisposeScope();
    }

    /// <summary>Why steps cannot be made so, or null.</summary>
    public static string? WhyNot(T3Config config, Device device) =>
        FusedT3.RowsOf(config).Select(rows => StepKernels.WhyNot(config.Backbone, rows, device)).FirstOrDefault(reason => reason is not null);

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
                _t3.Sample(_buffers, stream, _kernels.CanOverlap);
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
        var (buffers, hidden) = (_buffers, _config.Backbone.HiddenSize);
        foreach (var (index, layer) in _weights.Layers.Index())
        {
            var weights = layer.Weights;
            _kernels.Multiply(
                stream,
                new()
                {
                    Weight = weights.Qkv.Address(),
                    Norm = layer.AttentionNorm,
                    X = buffers.X.Address(),
                    Y = _qkv.Address(),
                    Outputs = 3 * hidden,
                },
                overlaps: index > 0);
            _kernels.Attend(
                stream,
                new()
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
                },
                overlaps: true);
            _kernels.AddAttended(stream, new() { Weight = weights.Out.Address(), Bias = layer.OutBias, Partial = _partial.Address(), X = buffers.X.Address() }, overlaps: true);
            _kernels.Widen(stream, new() { Weight = weights.Up.Address(), Norm = layer.MlpNorm, X = buffers.X.Address(), Y = _mlp.Address() }, overlaps: true);
            _kernels.AddWidened(stream, new() { Weight = weights.Down.Address(), Bias = layer.DownBias, Y = _mlp.Address(), X = buffers.X.Address() }, overlaps: true);
        }

        _kernels.Multiply(
            stream,
            new()
            {
                Weight = _weights.Head.Address(),
                Norm = _weights.HeadNorm,
                X = buffers.X.Address(),
                Y = buffers.Logits.Address(),
                Outputs = _config.SpeechVocabulary,
            },
            overlaps: true);
    }

    private static nint LayerOf(Tensor cache, int layer) => cache.Address() + (nint)(layer * cache.stride(0) * cache.ElementSize);
}
