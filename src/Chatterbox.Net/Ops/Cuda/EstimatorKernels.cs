namespace Chatterbox.Ops.Cuda;

/// <summary>A linear layer or a convolution over time as the kernels of estimator.cu want it: fp16, in tiles.</summary>
/// <param name="Weight">[chunks, taps, outputs, 64]: a chunk is 64 inputs, the last one filled up with zeros. The eight pieces of
/// eight inputs change places by the output's number, as the kernels have them in shared memory.</param>
/// <param name="Bias">[outputs], float32, or null.</param>
internal sealed record TiledWeight(Tensor Weight, Tensor? Bias) : IDisposable
{
    private const int Pieces = 8,
        Piece = 8;

    /// <summary>Chunks of inputs.</summary>
    public int Chunks => (int)Weight.shape[0];

    /// <summary>Packs a weight.</summary>
    /// <param name="weight">[outputs, inputs] or [outputs, inputs, taps], on any device.</param>
    /// <param name="bias">[outputs], or null.</param>
    /// <param name="device">The GPU.</param>
    public static TiledWeight Of(Tensor weight, Tensor? bias, Device device)
    {
        using var scope = NewDisposeScope();
        var wide = (weight.dim() == 2 ? weight.unsqueeze(2) : weight).to(device);
        var (outputs, inputs, taps) = (wide.shape[0], wide.shape[1], wide.shape[2]);
        var chunks = (inputs + (Pieces * Piece) - 1) / (Pieces * Piece);
        var pieces = nn
            .functional.pad(wide, (0, 0, 0, (chunks * Pieces * Piece) - inputs))
            .reshape(outputs, chunks, Pieces, Piece, taps)
            .permute(1, 4, 0, 2, 3)
            .to(ScalarType.Float16);
        var places = Swizzle(outputs, device).view(1, 1, outputs, Pieces, 1).expand(chunks, taps, outputs, Pieces, Piece);
        var tiles = pieces.gather(3, places).reshape(chunks, taps, outputs, Pieces * Piece).contiguous();
        return new(tiles.DetachFromDisposeScope(), bias?.to(ScalarType.Float32).to(device, copy: true).DetachFromDisposeScope());
    }

    /// <summary>Which piece of a row lies where in a tile; and where it lies: the exchange is its own inverse.</summary>
    /// <returns>[rows, 8], int64.</returns>
    public static Tensor Swizzle(long rows, Device device) =>
        tensor(
            [.. Enumerable.Range(0, (int)rows * Pieces).Select(i => (long)((i % Pieces) ^ (i / Pieces % Pieces)))],
            [rows, Pieces],
            device: device
        );

    /// <inheritdoc/>
    public void Dispose()
    {
        Weight.Dispose();
        Bias?.Dispose();
    }
}

/// <summary>Launches the kernels of estimator.cu and attention.cu on one GPU.</summary>
internal sealed class EstimatorKernels
{
    /// <summary>Heads of the attention.</summary>
    public const int Heads = 8;

    private const int Needed = 90; // compute capability
    private const int Workers = 256,
        Threads = Workers + KernelSource.Lanes; // of a block: they multiply; a warp loads
    private const int Shared = 227 * 1024; // all that a block can have
    private const int Cluster = 4; // blocks
    private const int AttentionThreads = 256,
        KeySlots = 4,
        AttentionShared = 92 * 1024; // attention.cu checks that it fits
    private const int TileFrames = 64;
    private const int Reserve = 12; // multiprocessors that clusters may leave over: an H200 has 30 of them at once

    // Frames of a cluster: eights that never lie in more than two tiles. The fewer, the sooner it is done; but only so many
    // clusters run at once.
    private static readonly int[] Sizes = [40, 48, 72, 96];

    private static readonly KernelSource Estimator = new(
        "estimator.cu",
        ("CHANNELS", MatrixProducts.Normed),
        ("HEADS", Heads),
        ("CLUSTER", Cluster),
        ("WORKERS", Workers),
        ("SHARED_BYTES", Shared)
    );

    private static readonly KernelSource Attention = new(
        "attention.cu",
        ("HEADS", Heads),
        ("KEYS", TileFrames),
        ("KEY_SLOTS", KeySlots),
        ("THREADS", AttentionThreads),
        ("SHARED_BYTES", AttentionShared)
    );

    private readonly Dictionary<int, CudaModule> _estimators; // by frames of a cluster
    private readonly CudaModule _attention;
    private readonly int _clusters; // that run at once

    /// <param name="device">The GPU.</param>
    /// <exception cref="CudaException">The kernels do not compile.</exception>
    public EstimatorKernels(Device device)
    {
        _estimators = Sizes.ToDictionary(size => size, size => CudaModule.Get(Estimator, device, Frames(size)));
        _attention = CudaModule.Get(Attention, device);
        _clusters = (CudaDriver.Attribute(DeviceAttribute.Multiprocessors, device.index) - Reserve) / Cluster;
    }

    /// <summary>Why these kernels cannot be used on a device, or null.</summary>
    public static string? UnsupportedReason(Device device) =>
        CudaModule.UnsupportedReason(device) is { } reason ? reason
        : CudaModule.Capability(device.index) != Needed ? "the GPU's compute capability is not 9.0"
        : Sizes.Select(size => CudaModule.UnsupportedReason(Estimator, device, Frames(size))).FirstOrDefault(reason => reason is not null)
            ?? CudaModule.UnsupportedReason(Attention, device);

    /// <summary>A convolution over three frames, and what follows it.</summary>
    /// <param name="stream">Where it runs.</param>
    /// <param name="frames">Of all rows; whole multiples of 64 in a row.</param>
    /// <param name="arguments">What it works on.</param>
    public void Convolve(CudaStream stream, int frames, ConvolutionArguments arguments) =>
        Launch(stream, "convolve", frames / arguments.Frames, arguments.Frames, arguments);

    /// <summary>A transformer block behind its attention, up to the next attention.</summary>
    /// <param name="stream">Where it runs.</param>
    /// <param name="frames">Of all rows; whole multiples of 64 in a row.</param>
    /// <param name="arguments">What it works on; the frames are filled in.</param>
    public void Transform(CudaStream stream, int frames, TransformerArguments arguments)
    {
        arguments.Frames = frames;
        Launch(stream, "transform", 1, frames, arguments);
    }

    /// <summary>Attention.</summary>
    /// <param name="stream">Where it runs.</param>
    /// <param name="rows">Sequences.</param>
    /// <param name="frames">Of a row, whole multiples of 64.</param>
    /// <param name="arguments">What it works on; the rest is filled in.</param>
    public void Attend(CudaStream stream, int rows, int frames, TiledAttentionArguments arguments)
    {
        arguments.Tiles = frames / TileFrames;
        _attention["attend"]
            .Launch(new(((uint)arguments.Tiles, Heads, (uint)rows), AttentionThreads, AttentionShared), stream, arguments, overlaps: true);
    }

    private static (string Name, double Value) Frames(int size) => ("FRAMES", size);

    private static int Parts(int whole, int part) => (whole + part - 1) / part;

    /// <summary>Launches a kernel for rows of so many frames, with as many frames a cluster as make it the fewest waves of clusters;
    /// of these the fewest.</summary>
    private void Launch<T>(CudaStream stream, string kernel, int rows, int frames, T arguments)
        where T : unmanaged
    {
        var size = Sizes.MinBy(size => (Parts(rows * Parts(frames, size), _clusters), size));
        _estimators[size]
            [kernel]
            .Launch(new((long)rows * Parts(frames, size) * Cluster, Threads, Shared), stream, arguments, overlaps: true);
    }
}

// The parameters of the kernels.

[KernelStruct("estimator.cu")]
internal struct ConvolutionArguments
{
    public nint X,
        Weight,
        Bias,
        Gain,
        Shift,
        Times,
        Step,
        Around,
        AroundWeight,
        AroundBias,
        Y,
        Wide,
        QkvWeight,
        NextGain,
        NextShift,
        Qkv;
    public int Frames,
        Chunks,
        LdX,
        AroundChunks,
        LdAround,
        LdTimes;
}

[KernelStruct("estimator.cu")]
internal struct TransformerArguments
{
    public nint Attended,
        Out,
        Up,
        Down,
        QkvWeight,
        OutBias,
        Gain,
        Shift,
        UpBias,
        DownBias,
        NextGain,
        NextShift,
        X,
        Qkv,
        Y;
    public int LdY,
        Frames;
}

[KernelStruct("attention.cu", "AttentionArguments")]
internal struct TiledAttentionArguments
{
    public nint Qkv,
        Y,
        Live;
    public int Tiles;
}
