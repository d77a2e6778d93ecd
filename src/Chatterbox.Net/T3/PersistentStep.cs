using System.Runtime.InteropServices;
using Chatterbox.Ops.Cuda;

namespace Chatterbox.T3;

/// <summary>A step as one kernel, that of t3_step.cu, whose blocks stay for all layers and the head.</summary>
internal sealed class PersistentStep : IStep
{
    private const string Source = "t3_step.cu";
    private const int LeastCapability = 90, LeastSharedBytes = 200 * 1024;
    private const int Threads = 320, Outputs = 8, Parts = 8;   // as in the source

    private readonly FusedT3 _t3;
    private readonly StepBuffers _buffers;
    private readonly CudaKernel _kernel;
    private readonly LaunchShape _shape;
    private readonly Tensor _layers;
    private readonly Tensor _exchange;
    private StepArguments _arguments;

    /// <param name="t3">Samples.</param>
    /// <param name="config">The variant, which <see cref="WhyNot"/> has nothing against.</param>
    /// <param name="weights">The model's.</param>
    /// <param name="buffers">The sequence's.</param>
    /// <param name="device">The GPU.</param>
    public PersistentStep(FusedT3 t3, T3Config config, StepWeights weights, StepBuffers buffers, Device device)
    {
        (_t3, _buffers) = (t3, buffers);
        var (sizes, rows) = (config.Backbone, buffers.Rows);
        _kernel = CudaModule.Get(Source, device, SizesOf(config, rows, device))["step"];
        _shape = new(sizes.HiddenSize / Outputs, Threads, CudaDriver.Attribute(DeviceAttribute.SharedBytes, device.index));
        LayerArguments[] layers = [.. weights.Layers.Select(layer => new LayerArguments
        {
            Qkv = layer.Weights.Qkv.Address(),
            Out = layer.Weights.Out.Address(),
            Up = layer.Weights.Up.Address(),
            Down = layer.Weights.Down.Address(),
            AttentionNorm = layer.AttentionNorm,
            MlpNorm = layer.MlpNorm,
            OutBias = layer.OutBias,
            DownBias = layer.DownBias,
        })];
        using var inHost = tensor(MemoryMarshal.AsBytes<LayerArguments>(layers).ToArray(), ScalarType.Byte);
        _layers = inHost.to(device).DetachFromDisposeScope();

        // Zeros, which have not the tag of the first layer.
        var hidden = rows * sizes.HiddenSize;
        int[] lengths = [hidden, hidden, 3 * hidden, sizes.Heads * Parts * (sizes.HeadDim + 4), hidden, rows * sizes.MlpSize];
        _exchange = zeros([lengths.Sum()], ScalarType.Int32, device).DetachFromDisposeScope();
        var places = lengths.Select((_, i) => _exchange.Address() + (lengths.Take(i).Sum() * sizeof(int))).ToArray();
        _arguments = new()
        {
            Layers = _layers.Address(),
            Head = weights.Head.Address(),
            HeadNorm = weights.HeadNorm,
            Cosines = weights.Cosines,
            Sines = weights.Sines,
            Positions = buffers.Positions,
            Slots = buffers.Slots,
            X = buffers.X.Address(),
            Logits = buffers.Logits.Address(),
            Attended = places[0],
            Fed = places[1],
            Qkv = places[2],
            Parts = places[3],
            Joined = places[4],
            Mlp = places[5],
        };
    }

    /// <summary>Why steps cannot be made so, or null.</summary>
    public static string? WhyNot(T3Config config, Device device)
    {
        var sizes = config.Backbone;
        return CudaModule.Capability(device.index) < LeastCapability ? "the GPU's compute capability is below 9.0"
            : sizes.HiddenSize % 256 != 0 || sizes.HiddenSize > 1024 || sizes.HeadDim != 64 ? "the kernel is not made for the model's sizes"
            : sizes.MlpSize != 4 * sizes.HiddenSize ? "the kernel is not made for the size of the MLP"
            : CudaDriver.Attribute(DeviceAttribute.SharedBytes, device.index) < LeastSharedBytes ? "the GPU's multiprocessors have too little shared memory"
            : CudaDriver.Attribute(DeviceAttribute.Multiprocessors, device.index) < sizes.HiddenSize / Outputs ? "the GPU has too few multiprocessors"
            : FusedT3.RowsOf(config).Select(rows => CudaModule.WhyNot(Source, device, SizesOf(config, rows, device))).FirstOrDefault(reason => reason is not null);
    }

    /// <inheritdoc/>
    public void Begin()
    {
        var cache = _buffers.Cache;
        (_arguments.Keys, _arguments.Values) = (cache.Keys.Address(), cache.Values.Address());
        (_arguments.Capacity, _arguments.LayerStride) = (cache.Capacity, cache.Keys.stride(0));
    }

    /// <inheritdoc/>
    public void Launch(CudaStream stream)
    {
        // The step begins when the choice before it has ended. The other way round they overlap: what the choice needs besides logits it
        // loads while the step makes them.
        _kernel.Launch(_shape, stream, _arguments, together: true);
        _arguments.Round++;
        _t3.Sample(_buffers, stream, overlaps: true);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _layers.Dispose();
        _exchange.Dispose();
    }

    private static (string Name, double Value)[] SizesOf(T3Config config, int rows, Device device) =>
    [
        ("ROWS", rows),
        ("LAYERS", config.Backbone.Layers),
        ("HIDDEN", config.Backbone.HiddenSize),
        ("MLP", config.Backbone.MlpSize),
        ("HEADS", config.Backbone.Heads),
        ("VOCABULARY", config.SpeechVocabulary),
        ("GPT2", config.Backbone is Gpt2Config ? 1 : 0),
        ("SHARED_BYTES", CudaDriver.Attribute(DeviceAttribute.SharedBytes, device.index)),
    ];
}

// The parameters of the kernel, laid out as in t3_step.cuh.

internal struct LayerArguments
{
    public nint Qkv, Out, Up, Down;
    public NormArguments AttentionNorm, MlpNorm;
    public nint OutBias, DownBias;
}

internal struct StepArguments
{
    public nint Layers, Head;
    public NormArguments HeadNorm;
    public nint Cosines, Sines, Keys, Values;
    public long LayerStride;
    public int Capacity, Round;
    public nint Positions, Slots, X, Logits;
    public nint Attended, Fed, Qkv, Parts, Joined, Mlp;
}
