using Chatterbox.Ops.Cuda;

namespace Chatterbox.T3.Fused;

/// <summary>A step of any number of sequences: the kernels of t3_batch.cu as a CUDA graph, for the batch that
/// <see cref="BatchState.Batch"/> holds as it runs.</summary>
internal sealed class BatchStep : IDisposable
{
    private const int OverlapCapability = 90;
    private const int Warps = StepOrder.Warps,
        Threads = Warps * KernelSource.Lanes,
        BlockOutputs = 32;
    private const int Sums = 4; // blocks that make the sums of the same outputs, each of two warps' shares
    private const int MostRows = BatchArguments.MostRows;

    private static readonly KernelSource Source = new(
        "t3_batch.cu",
        [
            .. StepOrder.Constants,
            .. BatchArguments.Constants,
            ("RING", BatchState.Ring),
            ("GENERATOR", BatchState.GeneratorWords),
            ("MOST_PAGES", PlanArguments.MostPages),
            ("THREADS", Threads),
            ("BLOCK_OUTPUTS", BlockOutputs),
        ]
    );

    private readonly T3Config _config;
    private readonly StepWeights _weights;
    private readonly BatchState _state;
    private readonly TokenSampler _sampler;
    private readonly CudaModule _kernels;
    private readonly bool _overlaps;
    private readonly List<Tensor> _owned = [];
    private readonly Tensor _residual,
        _sums,
        _normed,
        _statistics,
        _qkv,
        _attended,
        _mlp;
    private readonly Dictionary<int, CudaGraph> _graphs = [];

    /// <param name="config">The variant, for which <see cref="UnsupportedReason"/> is null.</param>
    /// <param name="weights">The model's.</param>
    /// <param name="state">The decoder's.</param>
    /// <param name="sampler">Chooses the tokens.</param>
    /// <param name="device">The GPU.</param>
    public BatchStep(T3Config config, StepWeights weights, BatchState state, TokenSampler sampler, Device device)
    {
        (_config, _weights, _state, _sampler) = (config, weights, state, sampler);
        _kernels = CudaModule.Get(Source, device, SizesOf(config));
        _overlaps = CudaModule.Capability(device.index) >= OverlapCapability;
        var (hidden, mlp) = (config.Backbone.HiddenSize, config.Backbone.MlpSize);
        _residual = Own(MostRows, hidden);
        _sums = Own(Warps, MostRows, hidden);
        _normed = Own(MostRows, hidden); // as two numbers of 16 bits each
        _statistics = Own(MostRows, 2);
        _qkv = Own(MostRows, 3 * hidden);
        _attended = Own(MostRows, hidden);
        _mlp = Own(MostRows, mlp);

        Tensor Own(params long[] shape)
        {
            _owned.Add(zeros(shape, ScalarType.Float32, device).DetachFromDisposeScope());
            return _owned[^1];
        }
    }

    /// <summary>Why steps cannot be made so, or null.</summary>
    public static string? UnsupportedReason(T3Config config, Device device)
    {
        var sizes = config.Backbone;
        return sizes.HiddenSize % 256 != 0 || sizes.HiddenSize > 1024 || sizes.HeadDim != 64 || sizes.MlpSize != 4 * sizes.HiddenSize
            ? "the kernels are not made for the model's sizes"
            : CudaModule.UnsupportedReason(Source, device, SizesOf(config));
    }

    /// <summary>Launches a step: from the last tokens' embeddings to the next tokens.</summary>
    /// <param name="rows">Rows of the batch.</param>
    /// <param name="stream">Where it runs.</param>
    public void Launch(int rows, CudaStream stream)
    {
        var most = 8;
        while (most < rows)
        {
            most *= 2;
        }

        if (!_graphs.TryGetValue(most, out var graph))
        {
            _graphs[most] = graph = CudaGraph.Record(recorded => Forward(most, recorded));
        }

        graph.Launch(stream);
    }

    /// <summary>Changes the batch of the steps that follow, and pages of its sequences.</summary>
    /// <param name="plan">The batch and the pages.</param>
    /// <param name="stream">Where the steps run.</param>
    public void Plan(in PlanArguments plan, CudaStream stream) => _kernels["plan"].Launch(new(1, Threads), stream, plan);

    /// <summary>Sets a sequence to its first token.</summary>
    /// <param name="sequence">Its number.</param>
    /// <param name="length">Positions of its prefix.</param>
    /// <param name="settings">How its tokens are chosen.</param>
    /// <param name="generator">Words of its random generator, and how many of them are used up.</param>
    /// <param name="stream">Where the steps run.</param>
    public unsafe void Begin(int sequence, int length, SamplingSettings settings, ReadOnlySpan<int> generator, CudaStream stream)
    {
        var arguments = new BeginArguments
        {
            Alone = _state.Alone.Address(),
            Settings = _state.Settings.Address(),
            Positions = _state.Positions.Address(),
            Drawn = _state.Drawn.Address(),
            NoiseMade = _state.NoiseMade.Address(),
            Spoken = _state.Spoken.Address(),
            Generators = _state.Generators.Address(),
            Sequence = sequence,
            Length = length,
            Values = SettingsArguments.Of(settings, _config.StartSpeechToken),
        };
        generator.CopyTo(new(arguments.Generator, BatchState.GeneratorWords));
        _kernels["begin"].Launch(new(1, Threads), stream, arguments);
    }

    /// <summary>Copies what a prefill has left into a sequence's pages.</summary>
    /// <param name="cache">Holds it, in slots from 0 on.</param>
    /// <param name="row">The sequence's first row of the cache.</param>
    /// <param name="rows">Rows of the sequence.</param>
    /// <param name="length">Positions.</param>
    /// <param name="stream">Where it runs.</param>
    public void Keep(KvCache cache, int row, int rows, int length, CudaStream stream) =>
        _kernels["keep"]
            .Launch(
                new(((uint)(_config.Backbone.Layers * rows), 8, 1), Threads),
                stream,
                new KeepArguments
                {
                    Keys = cache.Keys.Address(),
                    Values = cache.Values.Address(),
                    Pages = _state.Pages.Address() + (row * _state.PagesOfRow * sizeof(long)),
                    Rows = rows,
                    Capacity = cache.Capacity,
                    Length = length,
                }
            );

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var graph in _graphs.Values)
        {
            graph.Dispose();
        }

        _owned.ForEach(tensor => tensor.Dispose());
    }

    private static (string Name, double Value)[] SizesOf(T3Config config) =>
        [
            ("ROWS", config.MaxRows),
            ("HIDDEN", config.Backbone.HiddenSize),
            ("MLP", config.Backbone.MlpSize),
            ("HEADS", config.Backbone.Heads),
            ("VOCABULARY", config.SpeechVocabulary),
            ("PAGES", KvPages.CountFor(config.MaxLength)),
            ("GPT2", config.Backbone is Gpt2Config ? 1 : 0),
        ];

    private void Forward(int rows, CudaStream stream)
    {
        var (sizes, batch) = (_config.Backbone, _state.Batch.Address());
        using var noise = new CudaStream();
        noise.WaitFor(stream);
        _sampler.MakeNoise(batch, rows, ahead: 1, noise);

        var gated = sizes is LlamaConfig;
        var overlaps = false; // with the kernel in front, which is one of the step
        Norm(_weights.Layers[0].AttentionNorm, bias: 0, first: true);
        foreach (var (index, layer) in _weights.Layers.Index())
        {
            Multiply("product", layer.Weights.Qkv, layer.AttentionNorm, 3 * sizes.HiddenSize, BlockOutputs, _qkv.Address(), up: 0);
            Launch(
                "attention",
                ((uint)sizes.Heads, (uint)rows, 1),
                new BatchAttentionArguments
                {
                    Batch = batch,
                    Settings = _state.Settings.Address(),
                    Positions = _state.Positions.Address(),
                    Pages = _state.Pages.Address(),
                    Qkv = _qkv.Address(),
                    Cosines = _weights.Cosines,
                    Sines = _weights.Sines,
                    Attended = _attended.Address(),
                    Layer = index,
                }
            );
            Sum("attention_out", layer.Weights.Out, _attended);
            Norm(layer.MlpNorm, layer.OutBias);
            Multiply(
                "up",
                layer.Weights.Up,
                layer.MlpNorm,
                (int)layer.Weights.Up.size(0),
                gated ? BlockOutputs / 2 : BlockOutputs,
                y: 0,
                _mlp.Address()
            );
            Sum("down", layer.Weights.Down, _mlp);
            Norm(index + 1 < _weights.Layers.Count ? _weights.Layers[index + 1].AttentionNorm : _weights.HeadNorm, layer.DownBias);
        }

        Multiply(
            "product",
            _weights.Speech.Head,
            _weights.HeadNorm,
            _config.SpeechVocabulary,
            BlockOutputs,
            _sampler.Logits.Address(),
            up: 0
        );
        stream.WaitFor(noise);
        _sampler.Sample(batch, rows, stream, overlaps: false);

        void Launch<T>(string kernel, (uint X, uint Y, uint Z) blocks, T arguments)
            where T : unmanaged
        {
            _kernels[kernel].Launch(new(blocks, Threads), stream, arguments, overlaps && _overlaps);
            overlaps = true;
        }

        void Norm(NormArguments norm, nint bias, bool first = false) =>
            Launch(
                "add_norm",
                ((uint)rows, 1, 1),
                new BatchNormArguments
                {
                    Batch = batch,
                    X = _state.X.Address(),
                    Sums = first ? 0 : _sums.Address(),
                    Bias = bias,
                    Residual = _residual.Address(),
                    Norm = norm,
                    Normed = _normed.Address(),
                    Statistics = _statistics.Address(),
                }
            );

        void Multiply(string kernel, Tensor weight, NormArguments norm, int outputs, int ofBlock, nint y, nint up) =>
            Launch(
                kernel,
                ((uint)(((kernel == "up" ? sizes.MlpSize : outputs) + ofBlock - 1) / ofBlock), 1, 1),
                new BatchProductArguments
                {
                    Batch = batch,
                    Weight = weight.Address(),
                    Norm = norm,
                    X = _normed.Address(),
                    Statistics = _statistics.Address(),
                    Y = y,
                    Up = up,
                    Outputs = outputs,
                }
            );

        void Sum(string kernel, Tensor weight, Tensor x) =>
            Launch(
                kernel,
                ((uint)(sizes.HiddenSize / BlockOutputs), Sums, 1),
                new SumArguments
                {
                    Batch = batch,
                    Weight = weight.Address(),
                    X = x.Address(),
                    Sums = _sums.Address(),
                }
            );
    }
}

// Structures that kernels read.

[KernelStruct("t3_batch.cu")]
internal unsafe struct PlanArguments
{
    public const int MostPages = 96;

    public nint Target,
        Pages;
    public int Count;
    public BatchArguments Batch;
    public fixed ulong Page[MostPages];
    public fixed uint At[MostPages];
}

[KernelStruct("t3_batch.cu")]
internal unsafe struct BeginArguments
{
    public nint Alone,
        Settings,
        Positions,
        Drawn,
        NoiseMade,
        Spoken,
        Generators;
    public int Sequence,
        Length;
    public SettingsArguments Values;
    public fixed int Generator[BatchState.GeneratorWords];
}

[KernelStruct("t3_batch.cu")]
internal struct KeepArguments
{
    public nint Keys,
        Values,
        Pages;
    public int Rows,
        Capacity,
        Length;
}

[KernelStruct("t3_batch.cu", "NormArguments")]
internal struct BatchNormArguments
{
    public nint Batch,
        X,
        Sums,
        Bias,
        Residual;
    public NormArguments Norm;
    public nint Normed,
        Statistics;
}

[KernelStruct("t3_batch.cu", "ProductArguments")]
internal struct BatchProductArguments
{
    public nint Batch,
        Weight;
    public NormArguments Norm;
    public nint X,
        Statistics,
        Y,
        Up;
    public int Outputs;
}

[KernelStruct("t3_batch.cu")]
internal struct SumArguments
{
    public nint Batch,
        Weight,
        X,
        Sums;
}

[KernelStruct("t3_batch.cu", "AttentionArguments")]
internal struct BatchAttentionArguments
{
    public nint Batch,
        Settings,
        Positions,
        Pages,
        Qkv,
        Cosines,
        Sines,
        Attended;
    public int Layer;
}
