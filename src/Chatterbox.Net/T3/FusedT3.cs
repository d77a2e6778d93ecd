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

/// <summary>A norm and the bias of the product behind it, as the kernels take them; t3.cuh says how.</summary>
internal struct NormArguments
{
    public nint Gain, MeanFactor, Shift;
    public float Eps;
}

/// <summary>A layer's weights with the norms folded, and its other biases in float32 (0: none).</summary>
internal sealed record StepLayer(LayerWeights Weights, NormArguments AttentionNorm, NormArguments MlpNorm, nint OutBias, nint DownBias);

/// <summary>What the kernels of a step read besides a sequence's own buffers.</summary>
/// <param name="Layers">First to last.</param>
/// <param name="Head">[speech vocabulary, hidden].</param>
/// <param name="HeadNorm">The norm in front of the head.</param>
/// <param name="Cosines">Of the rotary positions, [positions, headDim / 2] in float32; 0 where there are none.</param>
/// <param name="Sines">The same.</param>
internal sealed record StepWeights(IReadOnlyList<StepLayer> Layers, Tensor Head, NormArguments HeadNorm, nint Cosines, nint Sines);

/// <summary>T3's steps on a GPU, from the last speech token to the next, sampling included. A twin of
/// <see cref="T3Model.Forward"/> and <see cref="SpeechTokenSampler"/>, which do it where this does not fit.</summary>
internal sealed class FusedT3 : IDisposable
{
    private const string Sampling = "t3_sample.cu";
    private const int SampleThreads = 1024;   // as in the source

    private static readonly SamplingStep[] PenaltyFirst = [SamplingStep.RepetitionPenalty, SamplingStep.Temperature, SamplingStep.MinP, SamplingStep.TopP];
    private static readonly SamplingStep[] PenaltyLast = [SamplingStep.Temperature, SamplingStep.TopK, SamplingStep.TopP, SamplingStep.RepetitionPenalty];

    private readonly T3Config _config;
    private readonly Device _device;
    private readonly SpeechWeights _speech;
    private readonly Tensor _places;
    private readonly StepWeights _weights;
    private readonly List<Tensor> _owned = [];
    private readonly Dictionary<int, CudaModule> _sampling = [];
    private readonly Dictionary<(int Rows, bool Persistent), Stack<FusedSteps>> _free = [];

    private FusedT3(T3Config config, BackboneWeights backbone, SpeechWeights speech)
    {
        using var scope = NewDisposeScope();
        _config = config;
        _device = speech.Head.device;
        _speech = speech;
        _places = speech.SpeechPositions ?? backbone.Positions!;
        var (cosines, sines) = (default(nint), default(nint));
        if (config.Backbone is LlamaConfig llama)
        {
            var angles = outer(Arithmetic.Range(0, config.MaxLength), RotaryTable.Frequencies(llama));   // [positions, headDim / 2]
            cosines = Own(angles.cos().to(_device)).Address();
            sines = Own(angles.sin().to(_device)).Address();
        }

        _weights = new(
            [.. backbone.Layers.Select(weights => new StepLayer(
                weights, Fold(weights.AttentionNorm, weights.Qkv, weights.QkvBias), Fold(weights.MlpNorm, weights.Up, weights.UpBias),
                Wide(weights.OutBias), Wide(weights.DownBias)))],
            speech.Head, Fold(backbone.Norm, speech.Head, speech.HeadBias), cosines, sines);
        WhyNotPersistent = PersistentStep.WhyNot(config, _device);
        foreach (var rows in RowsOf(config))
        {
            _sampling[rows] = CudaModule.Get(Sampling, _device, SizesOf(config, rows));
            (_free[(rows, true)], _free[(rows, false)]) = (new(), new());
        }

        Persistent = WhyNotPersistent is null;
    }

    /// <summary>Why a step is a graph of kernels and not a single one; null where it is a single one.</summary>
    public string? WhyNotPersistent { get; }

    /// <summary>True where the steps of sequences that begin from now on are a single kernel each.</summary>
    /// <remarks>Set by tests, which compare both ways.</remarks>
    public bool Persistent { get; set; }

    /// <summary>The fused steps of a model, or why the plain operations have to do.</summary>
    /// <param name="config">The variant.</param>
    /// <param name="backbone">The backbone's weights.</param>
    /// <param name="speech">What is around it.</param>
    public static (FusedT3? Fused, string? WhyNot) TryCreate(T3Config config, BackboneWeights backbone, SpeechWeights speech)
    {
        var device = speech.Head.device;
        var whyNot = CudaModule.WhyNot(device) ?? (
            speech.Head.dtype != ScalarType.BFloat16 ? "the weights are not in bfloat16"
            : !config.Sampling.Order.SequenceEqual(PenaltyFirst) && !config.Sampling.Order.SequenceEqual(PenaltyLast) ? "the kernels do not sample in the model's order"
            : RowsOf(config).Select(rows => CudaModule.WhyNot(Sampling, device, SizesOf(config, rows))).FirstOrDefault(reason => reason is not null)
                ?? (PersistentStep.WhyNot(config, device) is null ? null : GraphedStep.WhyNot(config, device)));
        return whyNot is null ? (new(config, backbone, speech), null) : (null, whyNot);
    }

    /// <summary>The batches that a sequence can be.</summary>
    public static IEnumerable<int> RowsOf(T3Config config) => Enumerable.Range(1, config.MaxRows);

    /// <summary>Room for one sequence; it comes back when it is disposed.</summary>
    /// <param name="rows">Rows of the sequence's batch.</param>
    public FusedSteps Rent(int rows) => _free[(rows, Persistent)].TryPop(out var free) ? free : new(this, _config, rows, Persistent, _device);

    /// <summary>Takes the room for a sequence back.</summary>
    internal void Return(FusedSteps steps) => _free[(steps.Rows, steps.Persistent)].Push(steps);

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var steps in _free.Values.SelectMany(free => free))
        {
            steps.Free();
        }

        _owned.ForEach(tensor => tensor.Dispose());
    }

    /// <summary>What makes the steps of a sequence.</summary>
    /// <param name="buffers">Of the sequence.</param>
    /// <param name="persistent">True for a single kernel.</param>
    internal IStep CreateStep(StepBuffers buffers, bool persistent) =>
        persistent ? new PersistentStep(this, _config, _weights, buffers, _device) : new GraphedStep(this, _config, _weights, buffers, _device);

    /// <summary>Launches the choice of a token from the logits, and its embedding for the next step.</summary>
    /// <param name="buffers">Where the sequence stands.</param>
    /// <param name="stream">Where to launch.</param>
    /// <param name="overlaps">True where a kernel that says when this one may begin is in front.</param>
    internal void Sample(StepBuffers buffers, CudaStream stream, bool overlaps) => _sampling[buffers.Rows]["sample"].Launch(
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
        overlaps);

    private static (string Name, double Value)[] SizesOf(T3Config config, int rows) =>
    [
        ("ROWS", rows),
        ("HIDDEN", config.Backbone.HiddenSize),
        ("HEADS", config.Backbone.Heads),
        ("VOCABULARY", config.SpeechVocabulary),
        ("GPT2", config.Backbone is Gpt2Config ? 1 : 0),
        ("PENALTY_FIRST", config.Sampling.Order[0] == SamplingStep.RepetitionPenalty ? 1 : 0),
        ("START_PENALISED", config.Sampling.StartTokenIsPenalised ? 1 : 0),
    ];

    /// <summary>Brings a norm behind the product that follows it; t3.cuh says how.</summary>
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

    private Tensor Own(Tensor tensor)
    {
        _owned.Add(tensor.DetachFromDisposeScope());
        return tensor;
    }

    private nint Wide(Tensor? bias) => bias is null ? 0 : Own(bias.to(ScalarType.Float32)).Address();
}
