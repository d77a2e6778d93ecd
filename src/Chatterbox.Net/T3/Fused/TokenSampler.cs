using Chatterbox.Ops.Cuda;

namespace Chatterbox.T3.Fused;

/// <summary>Chooses the next speech token of each sequence of a batch on the GPU, with random numbers that are made there too. A twin of
/// <see cref="SpeechTokenSampler"/>.</summary>
internal sealed class TokenSampler : IDisposable
{
    private const int SampleThreads = 1024,
        NoiseThreads = 256;

    private static readonly KernelSource Sampling = new(
        "t3_sample.cu",
        [.. BatchArguments.Constants, ("RING", BatchState.Ring), ("SAMPLE_THREADS", SampleThreads), ("INVALID", SpeechTokenSampler.Invalid)]
    );

    private static readonly KernelSource Noise = new(
        "t3_noise.cu",
        [.. BatchArguments.Constants, ("RING", BatchState.Ring), ("WORDS", GeneratorState.WordCount), ("THREADS", NoiseThreads)]
    );

    private static readonly SamplingStep[] PenaltyFirst =
    [
        SamplingStep.RepetitionPenalty,
        SamplingStep.Temperature,
        SamplingStep.MinP,
        SamplingStep.TopP,
    ];
    private static readonly SamplingStep[] PenaltyLast =
    [
        SamplingStep.Temperature,
        SamplingStep.TopK,
        SamplingStep.TopP,
        SamplingStep.RepetitionPenalty,
    ];

    private readonly StepWeights _weights;
    private readonly BatchState _state;
    private readonly CudaKernel _sample,
        _noise;

    /// <param name="config">The variant, for which <see cref="UnsupportedReason"/> is null.</param>
    /// <param name="weights">The model's.</param>
    /// <param name="state">The decoder's.</param>
    /// <param name="device">The GPU.</param>
    public TokenSampler(T3Config config, StepWeights weights, BatchState state, Device device)
    {
        (_weights, _state) = (weights, state);
        _sample = CudaModule.Get(Sampling, device, SizesOf(config))["sample"];
        _noise = CudaModule.Get(Noise, device, NoiseSizesOf(config))["noise"];
        Logits = zeros([BatchArguments.MostRows, config.SpeechVocabulary], ScalarType.Float32, device).DetachFromDisposeScope();
    }

    /// <summary>Logits of the last step, [rows of the step, vocabulary].</summary>
    public Tensor Logits { get; }

    /// <summary>Why tokens cannot be chosen so, or null.</summary>
    public static string? UnsupportedReason(T3Config config, Device device) =>
        !config.Sampling.Order.SequenceEqual(PenaltyFirst) && !config.Sampling.Order.SequenceEqual(PenaltyLast)
            ? "the kernels do not sample in the model's order"
            : CudaModule.UnsupportedReason(Sampling, device, SizesOf(config))
                ?? CudaModule.UnsupportedReason(Noise, device, NoiseSizesOf(config));

    /// <summary>Launches the choice of a token for each sequence of the batch, and its embedding for the next step.</summary>
    /// <param name="batch">Address of the batch, a <see cref="BatchArguments"/>.</param>
    /// <param name="sequences">Of the batch, at most.</param>
    /// <param name="stream">Where it runs.</param>
    /// <param name="overlaps">True where it follows a kernel that says when this one may begin.</param>
    /// <param name="logits">Of the batch's rows, [rows, vocabulary]; null for <see cref="Logits"/>.</param>
    public void Sample(nint batch, int sequences, CudaStream stream, bool overlaps, Tensor? logits = null) =>
        _sample.Launch(
            new((uint)sequences, SampleThreads),
            stream,
            new SampleArguments
            {
                Batch = batch,
                Settings = _state.Settings.Address(),
                Logits = (logits ?? Logits).Address(),
                Drawn = _state.Drawn.Address(),
                Positions = _state.Positions.Address(),
                Spoken = _state.Spoken.Address(),
                Noise = _state.Noise.Address(),
                Tokens = _state.Tokens.Address(),
                Embeddings = _weights.Speech.SpeechEmbeddings.Address(),
                Places = _weights.Places.Address(),
                X = _state.X.Address(),
            },
            overlaps
        );

    /// <summary>Makes random numbers for tokens to come.</summary>
    /// <param name="batch">Address of the batch, a <see cref="BatchArguments"/>.</param>
    /// <param name="sequences">Of the batch, at most.</param>
    /// <param name="ahead">Tokens beyond those drawn that there must be numbers for; at most half of the ring.</param>
    /// <param name="stream">Where it runs.</param>
    public void MakeNoise(nint batch, int sequences, int ahead, CudaStream stream) =>
        _noise.Launch(
            new((uint)sequences, NoiseThreads),
            stream,
            new NoiseArguments
            {
                Batch = batch,
                Settings = _state.Settings.Address(),
                Drawn = _state.Drawn.Address(),
                Made = _state.NoiseMade.Address(),
                Noise = _state.Noise.Address(),
                Generators = _state.Generators.Address(),
                Ahead = ahead,
            }
        );

    /// <inheritdoc/>
    public void Dispose() => Logits.Dispose();

    private static (string Name, double Value)[] SizesOf(T3Config config) =>
        [
            ("ROWS", config.MaxRows),
            ("HIDDEN", config.Backbone.HiddenSize),
            ("HEADS", config.Backbone.Heads),
            ("VOCABULARY", config.SpeechVocabulary),
            ("GPT2", config.Backbone is Gpt2Config ? 1 : 0),
            ("PENALTY_FIRST", config.Sampling.Order[0] == SamplingStep.RepetitionPenalty ? 1 : 0),
            ("START_PENALISED", config.Sampling.StartTokenIsPenalised ? 1 : 0),
        ];

    private static (string Name, double Value)[] NoiseSizesOf(T3Config config) =>
        [
            ("ROWS", config.MaxRows),
            ("HIDDEN", config.Backbone.HiddenSize),
            ("HEADS", config.Backbone.Heads),
            ("VOCABULARY", config.SpeechVocabulary),
        ];
}

// Structures that kernels read.

[KernelStruct("t3_sample.cu")]
internal struct SampleArguments
{
    public nint Batch,
        Settings,
        Logits,
        Drawn,
        Positions,
        Spoken,
        Noise,
        Tokens,
        Embeddings,
        Places,
        X;
}

[KernelStruct("t3_noise.cu")]
internal struct NoiseArguments
{
    public nint Batch,
        Settings,
        Drawn,
        Made,
        Noise,
        Generators;
    public int Ahead;
}
