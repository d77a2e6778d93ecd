using Chatterbox.Ops.Cuda;

namespace Chatterbox.T3;

/// <summary>Launches the kernels of t3.cu, which a graphed step is made of.</summary>
internal sealed class StepKernels
{
    /// <summary>Blocks that share a row's head in attention; each leaves its part.</summary>
    public const int Splits = 4;

    private const string Source = "t3.cu";
    private const int OverlapCapability = 90;

    // As in the source.
    private const int WarpSize = 32, AttentionThreads = 256;
    private const int ProductWarps = 4, ProductOutputs = 2, OutWarps = 8, UpPairs = 2, DownWarps = 4, DownOutputs = 2;

    private readonly BackboneConfig _sizes;
    private readonly uint _rows;
    private readonly CudaModule _kernels;

    /// <param name="sizes">The backbone's, which <see cref="WhyNot"/> has nothing against.</param>
    /// <param name="rows">Rows of the batch.</param>
    /// <param name="device">The GPU.</param>
    public StepKernels(BackboneConfig sizes, int rows, Device device)
    {
        (_sizes, _rows) = (sizes, (uint)rows);
        _kernels = CudaModule.Get(Source, device, SizesOf(sizes, rows));
        CanOverlap = CudaModule.Capability(device.index) >= OverlapCapability;
    }

    /// <summary>True where a kernel may begin before the one in front of it has ended.</summary>
    public bool CanOverlap { get; }

    /// <summary>Why the kernels cannot be used, or null.</summary>
    public static string? WhyNot(BackboneConfig sizes, int rows, Device device) =>
        sizes.HiddenSize % 256 != 0 || sizes.HeadDim != 64 || sizes.MlpSize % 1024 != 0 ? "the kernels are not made for the model's sizes"
        : CudaModule.WhyNot(Source, device, SizesOf(sizes, rows));

    /// <summary>A norm and the product behind it: queries, keys and values, or logits.</summary>
    /// <param name="stream">Where it runs.</param>
    /// <param name="arguments">What it works on.</param>
    /// <param name="overlaps">True where it may begin before the kernel in front has ended: that is one of the step, too.</param>
    public void Multiply(CudaStream stream, ProductArguments arguments, bool overlaps)
    {
        const int PerBlock = ProductOutputs * ProductWarps;
        Launch("product", new((arguments.Outputs + PerBlock - 1) / PerBlock, ProductWarps * WarpSize), stream, arguments, overlaps);
    }

    /// <summary>The new key and value into the cache, and attention over all so far, in parts.</summary>
    /// <inheritdoc cref="Multiply"/>
    public void Attend(CudaStream stream, AttentionArguments arguments, bool overlaps) =>
        Launch("attention", new(((uint)_sizes.Heads, _rows, Splits), AttentionThreads), stream, arguments, overlaps);

    /// <summary>Attention's parts joined, through its way out, onto the residual.</summary>
    /// <inheritdoc cref="Multiply"/>
    public void AddAttended(CudaStream stream, OutArguments arguments, bool overlaps) =>
        Launch("attention_out", new(_sizes.HiddenSize / OutWarps, OutWarps * WarpSize), stream, arguments, overlaps);

    /// <summary>A norm, the MLP's way up, its gates or GELU.</summary>
    /// <inheritdoc cref="Multiply"/>
    public void Widen(CudaStream stream, UpArguments arguments, bool overlaps)
    {
        var outputs = _sizes is Gpt2Config ? _sizes.MlpSize : 2 * _sizes.MlpSize;
        Launch("mlp_up", new(outputs / (2 * UpPairs * ProductWarps), ProductWarps * WarpSize), stream, arguments, overlaps);
    }

    /// <summary>The MLP's way down, onto the residual.</summary>
    /// <inheritdoc cref="Multiply"/>
    public void AddWidened(CudaStream stream, DownArguments arguments, bool overlaps) =>
        Launch("mlp_down", new(_sizes.HiddenSize / DownOutputs, DownWarps * WarpSize), stream, arguments, overlaps);

    private static (string Name, double Value)[] SizesOf(BackboneConfig sizes, int rows) =>
    [
        ("ROWS", rows),
        ("HIDDEN", sizes.HiddenSize),
        ("MLP", sizes.MlpSize),
        ("HEADS", sizes.Heads),
        ("SPLITS", Splits),
        ("UP_PAIRS", UpPairs),
        ("GPT2", sizes is Gpt2Config ? 1 : 0),
    ];

    private void Launch<T>(string kernel, LaunchShape shape, CudaStream stream, T arguments, bool overlaps)
        where T : unmanaged => _kernels[kernel].Launch(shape, stream, arguments, overlaps && CanOverlap);
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
