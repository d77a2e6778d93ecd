using System.Runtime.InteropServices;
using Chatterbox.Ops.Cuda;

namespace Chatterbox.T3.Fused;

/// <summary>A step of one sequence as one kernel, that of t3_step.cu, whose blocks stay for all layers and the head. Its numbers are
/// those of <see cref="BatchStep"/>, bit for bit.</summary>
internal sealed class SingleStep : IDisposable
{
    private const int LeastCapability = 90,
        LeastSharedBytes = 200 * 1024;
    private const int Threads = (StepOrder.Warps + 2) * KernelSource.Lanes;

    private static readonly KernelSource Source = new("t3_step.cu", [.. StepOrder.Constants, ("THREADS", Threads)]);

    private readonly T3Config _config;
    private readonly BatchState _state;
    private readonly TokenSampler _sampler;
    private readonly CudaKernel _kernel;
    private readonly LaunchShape _shape;
    private readonly Tensor _layers;
    private readonly Tensor _exchange;
    private StepArguments _arguments;

    /// <param name="config">The variant, for which <see cref="UnsupportedReason"/> is null.</param>
    /// <param name="rows">Rows of the sequences.</param>
    /// <param name="weights">The model's.</param>
    /// <param name="state">The decoder's.</param>
    /// <param name="sampler">Chooses the tokens.</param>
    /// <param name="device">The GPU.</param>
    public SingleStep(T3Config config, int rows, StepWeights weights, BatchState state, TokenSampler sampler, Device device)
    {
        (_config, _state, _sampler) = (config, state, sampler);
        var sizes = config.Backbone;
        _kernel = CudaModule.Get(Source, device, SizesOf(config, rows, device))["step"];
        _shape = new(
            (uint)(sizes.HiddenSize / StepOrder.Outputs),
            Threads,
            CudaDriver.Attribute(DeviceAttribute.SharedBytes, device.index)
        );
        LayerArguments[] layers =
        [
            .. weights.Layers.Select(layer => new LayerArguments
            {
                Qkv = layer.Weights.Qkv.Address(),
                Out = layer.Weights.Out.Address(),
                Up = layer.Weights.Up.Address(),
                Down = layer.Weights.Down.Address(),
                AttentionNorm = layer.AttentionNorm,
                MlpNorm = layer.MlpNorm,
                OutBias = layer.OutBias,
                DownBias = layer.DownBias,
            }),
        ];
        using var inHost = tensor(MemoryMarshal.AsBytes<LayerArguments>(layers).ToArray(), ScalarType.Byte);
        _layers = inHost.to(device).DetachFromDisposeScope();

        // Zeros, which have not the tag of the first layer.
        var hidden = rows * sizes.HiddenSize;
        int[] lengths = [hidden, hidden, 3 * hidden, sizes.Heads * StepOrder.Parts * PartOf(sizes), hidden, rows * sizes.MlpSize];
        _exchange = zeros([lengths.Sum()], ScalarType.Int32, device).DetachFromDisposeScope();
        var places = lengths.Select((_, i) => _exchange.Address() + (lengths.Take(i).Sum() * sizeof(int))).ToArray();
        _arguments = new()
        {
            Layers = _layers.Address(),
            Head = weights.Speech.Head.Address(),
            HeadNorm = weights.HeadNorm,
            Cosines = weights.Cosines,
            Sines = weights.Sines,
            Logits = sampler.Logits.Address(),
            Attended = places[0],
            Fed = places[1],
            Qkv = places[2],
            Parts = places[3],
            Joined = places[4],
            Mlp = places[5],
        };
    }

    /// <summary>Why steps cannot be made so, or null.</summary>
    public static string? UnsupportedReason(T3Config config, Device device)
    {
        var sizes = config.Backbone;
        return CudaModule.Capability(device.index) < LeastCapability ? "the GPU's compute capability is below 9.0"
            : CudaDriver.Attribute(DeviceAttribute.SharedBytes, device.index) < LeastSharedBytes
                ? "the GPU's multiprocessors have too little shared memory"
            : CudaDriver.Attribute(DeviceAttribute.Multiprocessors, device.index) < sizes.HiddenSize / StepOrder.Outputs
                ? "the GPU has too few multiprocessors"
            : Enumerable
                .Range(1, config.MaxRows)
                .Select(rows => CudaModule.UnsupportedReason(Source, device, SizesOf(config, rows, device)))
                .FirstOrDefault(reason => reason is not null);
    }

    /// <summary>Launches a step, from the last token's embedding to the next token.</summary>
    /// <param name="sequence">The sequence's number.</param>
    /// <param name="stream">Where it runs.</param>
    public void Launch(int sequence, CudaStream stream)
    {
        var row = sequence * _config.MaxRows;
        _arguments.Pages = _state.Pages.Address() + (row * _state.PagesOfRow * sizeof(long));
        _arguments.Positions = _state.Positions.Address() + (row * sizeof(int));
        _arguments.X = _state.X.Address() + ((nint)row * _config.Backbone.HiddenSize * sizeof(float));

        // The step begins when the choice before it has ended. The other way round they overlap: what the choice needs besides logits it
        // loads while the step makes them.
        _kernel.Launch(_shape, stream, _arguments, together: true);
        _arguments.Round++;
        _sampler.Sample(_state.AddressOf(sequence), 1, stream, overlaps: true);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _layers.Dispose();
        _exchange.Dispose();
    }

    /// <summary>Numbers of a block's part of attention: weighted values, then their maximum and sum, twice.</summary>
    private static int PartOf(BackboneConfig sizes) => sizes.HeadDim + 4;

    private static (string Name, double Value)[] SizesOf(T3Config config, int rows, Device device) =>
        [
            ("ROWS", rows),
            ("LAYERS", config.Backbone.Layers),
            ("HIDDEN", config.Backbone.HiddenSize),
            ("MLP", config.Backbone.MlpSize),
            ("HEADS", config.Backbone.Heads),
            ("PART", PartOf(config.Backbone)),
            ("VOCABULARY", config.SpeechVocabulary),
            ("PAGES", KvPages.CountFor(config.MaxLength)),
            ("GPT2", config.Backbone is Gpt2Config ? 1 : 0),
            ("SHARED_BYTES", CudaDriver.Attribute(DeviceAttribute.SharedBytes, device.index)),
        ];
}

// Structures that the kernel reads.

[KernelStruct("t3_step.cuh", "Layer")]
internal struct LayerArguments
{
    public nint Qkv,
        Out,
        Up,
        Down;
    public NormArguments AttentionNorm,
        MlpNorm;
    public nint OutBias,
        DownBias;
}

[KernelStruct("t3_step.cuh")]
internal struct StepArguments
{
    public nint Layers,
        Head;
    public NormArguments HeadNorm;
    public nint Cosines,
        Sines,
        Pages;
    public int Round;
    public nint Positions,
        X,
        Logits;
    public nint Attended,
        Fed,
        Qkv,
        Parts,
        Joined,
        Mlp;
}
