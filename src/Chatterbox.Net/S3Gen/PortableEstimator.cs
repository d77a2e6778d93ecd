using Chatterbox.Ops.Cuda;

namespace Chatterbox.S3Gen;

/// <summary>The estimator as kernels of products.cu and portable.cu, for any GPU that those are for.</summary>
internal sealed class PortableEstimator : FusedEstimator<PackedWeight>
{
    private const int MishWarps = 4,
        AttentionThreads = 128,
        Queries = 64;

    /// <summary>The kernels.</summary>
    public static readonly KernelSource Source = new(
        "portable.cu",
        ("NORMED", MatrixProducts.Normed),
        ("HEAD_DIM", HeadSize),
        ("QUERIES", Queries),
        ("ATTENTION_THREADS", AttentionThreads),
        ("MISH_WARPS", MishWarps)
    );

    private readonly CudaModule _kernels;

    /// <inheritdoc/>
    public PortableEstimator(S3GenConfig config, FlowEstimator estimator, Tensor times)
        : base(config, estimator, times, PackedWeight.Of, together: true) => _kernels = CudaModule.Get(Source, Device);

    /// <inheritdoc/>
    protected override void Residual(Pass pass, Stage stage, Rows x)
    {
        var buffers = pass.Buffers;
        var hidden = new Rows(buffers.Hidden.Address(), Channels);
        Multiply(pass, stage.First, x, wide: buffers.First.Address());
        NormMish(
            pass,
            stage.FirstNorm,
            new()
            {
                X = buffers.First.Address(),
                LdX = 2 * Channels,
                Narrow = hidden.Address,
                Times = stage.Times,
            }
        );
        Multiply(pass, stage.Second, hidden, wide: buffers.Second.Address());
        NormMish(
            pass,
            stage.SecondNorm,
            new()
            {
                X = buffers.Second.Address(),
                LdX = Channels,
                Residual = buffers.First.Address() + (Channels * sizeof(float)),
                Wide = buffers.X.Address(),
            }
        );
    }

    /// <inheritdoc/>
    protected override void Transform(Pass pass, Block block, Block? next, Rows y)
    {
        var (buffers, heads) = (pass.Buffers, Config.Estimator.Heads);
        Normed(pass, block.AttentionNorm, block.Qkv, buffers.Qkv.Address(), Activation.None);
        _kernels["attention"]
            .Launch(
                new(((uint)((buffers.Frames + Queries - 1) / Queries), (uint)heads, (uint)buffers.Rows), AttentionThreads),
                pass.Stream,
                new AttentionArguments
                {
                    Qkv = buffers.Qkv.Address(),
                    Y = buffers.Attended.Address(),
                    Live = buffers.Live.Address(),
                    Frames = buffers.Frames,
                    Heads = heads,
                }
            );
        AddTo(pass, block.Out, buffers.Attended.Address(), default);
        Normed(pass, block.MlpNorm, block.Up, buffers.Mlp.Address(), Activation.Gelu);
        AddTo(pass, block.Down, buffers.Mlp.Address(), next is null ? y : default);
    }

    /// <inheritdoc/>
    protected override void Convolve(Pass pass, PackedWeight weight, Rows x, nint y) => Multiply(pass, weight, x, narrow: y);

    /// <inheritdoc/>
    protected override void Convolve(Pass pass, PackedWeight weight, Norm norm, Rows x, nint y)
    {
        Multiply(pass, weight, x, wide: pass.Buffers.Second.Address());
        NormMish(
            pass,
            norm,
            new()
            {
                X = pass.Buffers.Second.Address(),
                LdX = Channels,
                Narrow = y,
            }
        );
    }

    private void Normed(Pass pass, Norm norm, PackedWeight weight, nint y, Activation activation) =>
        MatrixProducts.Launch(
            pass.Stream,
            Tile.Normed,
            weight,
            pass.Buffers.Rows,
            new()
            {
                Normed = pass.Buffers.X.Address(),
                Gain = norm.Gain.Address(),
                Shift = norm.Shift.Address(),
                Narrow = y,
                Activation = activation,
                FramesX = pass.Buffers.Frames,
                Frames = pass.Buffers.Frames,
                LdNarrow = weight.Outputs,
                RowNarrow = (long)pass.Buffers.Frames * weight.Outputs,
            }
        );

    private void AddTo(Pass pass, PackedWeight weight, nint x, Rows y) =>
        MatrixProducts.Launch(
            pass.Stream,
            Tile.Small,
            weight,
            pass.Buffers.Rows,
            new()
            {
                X = x,
                Residual = pass.Buffers.X.Address(),
                Wide = pass.Buffers.X.Address(),
                Narrow = y.Address,
                FramesX = pass.Buffers.Frames,
                Frames = pass.Buffers.Frames,
                LdX = weight.Inputs,
                RowX = (long)pass.Buffers.Frames * weight.Inputs,
                LdWide = Channels,
                RowWide = (long)pass.Buffers.Frames * Channels,
                LdNarrow = y.Ld,
                RowNarrow = (long)pass.Buffers.Frames * y.Ld,
            }
        );

    private void Multiply(Pass pass, PackedWeight weight, Rows x, nint wide = 0, nint narrow = 0) =>
        MatrixProducts.Launch(
            pass.Stream,
            weight.Outputs > Channels ? Tile.Wide : Tile.Small,
            weight,
            pass.Buffers.Rows,
            new()
            {
                X = x.Address,
                Wide = wide,
                Narrow = narrow,
                FramesX = pass.Buffers.Frames,
                Frames = pass.Buffers.Frames,
                Before = weight.Taps - 1,
                LdX = x.Ld,
                RowX = (long)pass.Buffers.Frames * x.Ld,
                LdWide = weight.Outputs,
                RowWide = (long)pass.Buffers.Frames * weight.Outputs,
                LdNarrow = weight.Outputs,
                RowNarrow = (long)pass.Buffers.Frames * weight.Outputs,
            }
        );

    private void NormMish(Pass pass, Norm norm, MishArguments arguments)
    {
        var frames = pass.Buffers.Rows * pass.Buffers.Frames;
        (arguments.Gain, arguments.Shift) = (norm.Gain.Address(), norm.Shift.Address());
        (arguments.Step, arguments.Frames) = (pass.Buffers.Step.Address(), frames);
        (arguments.LdResidual, arguments.LdTimes) = (2 * Channels, LdTimes);
        _kernels["norm_mish"].Launch(new(frames / MishWarps, MishWarps * KernelSource.Lanes), pass.Stream, arguments);
    }
}

// The parameters of the kernels.

[KernelStruct("portable.cu")]
internal struct AttentionArguments
{
    public nint Qkv,
        Y,
        Live;
    public int Frames,
        Heads;
}

[KernelStruct("portable.cu")]
internal struct MishArguments
{
    public nint X,
        Gain,
        Shift,
        Times,
        Step,
        Residual,
        Wide,
        Narrow;
    public int Frames,
        LdX,
        LdResidual,
        LdTimes;
}
