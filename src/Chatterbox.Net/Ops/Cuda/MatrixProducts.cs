namespace Chatterbox.Ops.Cuda;

/// <summary>A linear layer or a convolution over time as the kernels of products.cu want it: fp16, channels last.</summary>
/// <param name="Weight">[outputs, taps, inputs]; inputs are filled up with zeros to a multiple of
/// <see cref="MatrixProducts.Chunk"/>.</param>
/// <param name="Bias">[outputs], float32, or null.</param>
internal sealed record PackedWeight(Tensor Weight, Tensor? Bias) : IDisposable
{
    // Kept: a launch asks for them several times, and TorchSharp takes a microsecond or two to say a shape.

    /// <summary>Channels out.</summary>
    public int Outputs { get; } = (int)Weight.shape[0];

    /// <summary>Length of the kernel; 1 for a linear layer.</summary>
    public int Taps { get; } = (int)Weight.shape[1];

    /// <summary>Channels in, filled up.</summary>
    public int Inputs { get; } = (int)Weight.shape[2];

    /// <summary>Packs a weight.</summary>
    /// <param name="weight">[outputs, inputs] or [outputs, inputs, taps], on any device.</param>
    /// <param name="bias">[outputs], or null.</param>
    /// <param name="device">The GPU.</param>
    public static PackedWeight Of(Tensor weight, Tensor? bias, Device device)
    {
        using var scope = NewDisposeScope();
        var wide = weight.dim() == 2 ? weight.unsqueeze(2) : weight;
        var padding = (MatrixProducts.Chunk - (wide.shape[1] % MatrixProducts.Chunk)) % MatrixProducts.Chunk;
        var packed = nn.functional.pad(wide.to(device).transpose(1, 2), (0, padding)).to(ScalarType.Float16).contiguous();
        return new(packed.DetachFromDisposeScope(), bias?.to(ScalarType.Float32).to(device, copy: true).DetachFromDisposeScope());
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Weight.Dispose();
        Bias?.Dispose();
    }
}

/// <summary>What a product does with its sums.</summary>
internal enum Activation
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>The exact GELU.</summary>
    Gelu,

    /// <summary>Leaky ReLU.</summary>
    LeakyRelu,

    /// <summary>Snake.</summary>
    Snake,
}

/// <summary>Launches the matrix products and convolutions of products.cu on one GPU.</summary>
internal sealed class MatrixProducts
{
    /// <summary>Channels in come in whole chunks of so many.</summary>
    public const int Chunk = 64;

    /// <summary>Channels of a norm.</summary>
    public const int Normed = 256;

    private const int Slots = 4,
        Threads = 256,
        RowBytes = Chunk * sizeof(short);

    private static readonly KernelSource Source = new(
        "products.cu",
        ("CHUNK", Chunk),
        ("SLOTS", Slots),
        ("NORMED", Normed),
        ("PRODUCT_THREADS", Threads),
        ("WIDE_FRAMES", Tile.Wide.Frames),
        ("WIDE_OUTPUTS", Tile.Wide.Outputs),
        ("SMALL_FRAMES", Tile.Small.Frames),
        ("SMALL_OUTPUTS", Tile.Small.Outputs),
        ("LONG_FRAMES", Tile.Long.Frames),
        ("LONG_OUTPUTS", Tile.Long.Outputs),
        ("GELU", (int)Activation.Gelu),
        ("LEAKY_RELU", (int)Activation.LeakyRelu),
        ("SNAKE", (int)Activation.Snake)
    );

    private readonly CudaModule _kernels;

    /// <param name="device">The GPU.</param>
    /// <exception cref="CudaException">The kernels do not compile.</exception>
    public MatrixProducts(Device device) => _kernels = CudaModule.Get(Source, device);

    /// <summary>Why these kernels cannot be used on a device, or null.</summary>
    public static string? UnsupportedReason(Device device) => CudaModule.UnsupportedReason(Source, device);

    /// <summary>Puts a product into a stream.</summary>
    /// <param name="stream">Where it runs.</param>
    /// <param name="tile">Shape of the blocks' shares; <see cref="Tile.Normed"/> where x is a norm's.</param>
    /// <param name="weight">What x is multiplied with.</param>
    /// <param name="rows">Sequences.</param>
    /// <param name="arguments">The rest; what the weight tells is filled in.</param>
    public void Launch(CudaStream stream, Tile tile, PackedWeight weight, int rows, ProductArguments arguments)
    {
        arguments.Weight = weight.Weight.Address();
        arguments.Bias = weight.Bias?.Address() ?? 0;
        (arguments.Outputs, arguments.Taps, arguments.Inputs) = (weight.Outputs, weight.Taps, weight.Inputs);
        arguments.XSlots = tile.IsNormed ? weight.Inputs / Chunk : 1 + ((Slots - 1 + weight.Taps - 1) / weight.Taps);
        var frames = tile.Frames + ((weight.Taps - 1) * arguments.Dilation);
        var shared = ((Slots * tile.Outputs) + (arguments.XSlots * frames)) * RowBytes;
        var grid = (
            (uint)((weight.Outputs + tile.Outputs - 1) / tile.Outputs),
            (uint)((arguments.Frames + tile.Frames - 1) / tile.Frames),
            (uint)rows
        );
        _kernels[tile.Kernel].Launch(new(grid, Threads, shared), stream, arguments);
    }
}

/// <summary>How much of a product a block makes.</summary>
internal sealed record Tile(string Kernel, int Frames, int Outputs)
{
    /// <summary>For many outputs.</summary>
    public static Tile Wide { get; } = new("product_wide", 64, 128);

    /// <summary>The same, of a norm.</summary>
    public static Tile Normed { get; } = Wide with { Kernel = "product_wide_normed" };

    /// <summary>Where wider ones would leave the GPU half empty.</summary>
    public static Tile Small { get; } = new("product_small", 64, 64);

    /// <summary>For many frames and few outputs.</summary>
    public static Tile Long { get; } = new("product_long", 128, 64);

    /// <summary>True where x is a norm's.</summary>
    public bool IsNormed => Kernel == "product_wide_normed";
}

/// <summary>Parameters of a product; products.cu says what they are.</summary>
[KernelStruct("products.cu")]
internal struct ProductArguments
{
    public nint X,
        Weight,
        Normed,
        Gain,
        Shift,
        Bias,
        Residual,
        More,
        Alpha,
        Wide,
        Narrow;
    public float Scale,
        Slope;
    public Activation Activation;
    public int FramesX,
        Frames;
    public int Inputs,
        Outputs,
        Taps,
        Dilation,
        Before;
    public int LdX,
        LdWide,
        LdNarrow;
    public long RowX,
        RowWide,
        RowNarrow;
    public int Offset,
        Limit;
    public int XSlots;

    public ProductArguments()
    {
        Scale = 1;
        Dilation = 1;
        Limit = int.MaxValue;
    }
}
