using Chatterbox.Ops.Cuda;

namespace Chatterbox.S3Gen;

/// <summary>The estimator as kernels of s3gen.cu, for any GPU that those are for.</summary>
internal sealed class PortableEstimator : FusedEstimator
{
    private const int MishWarps = 4, AttentionThreads = 128, Queries = 64, Lanes = 32;   // as in the source

    private readonly Stage[] _stages;
    private readonly PackedWeight _downConv;
    private readonly PackedWeight _upConv;
    private readonly PackedWeight _finalConv;
    private readonly Norm _finalNorm;
    private readonly PackedWeight _projection;

    /// <inheritdoc/>
    public PortableEstimator(S3GenConfig config, FlowEstimator estimator, Tensor times)
        : base(config, estimator, times)
    {
        using var scope = NewDisposeScope();
        var weights = estimator.Weights;
        _stages = [.. weights.Stages.Select(Pack)];
        _downConv = Pack(weights.DownConv);
        _upConv = Pack(weights.UpConv);
        _finalConv = Pack(weights.Final.Conv);
        _finalNorm = Pack(weights.Final.Norm);
        _projection = Pack(weights.Projection);
    }

    /// <inheritdoc/>
    public override void Forward(FlowBuffers buffers, CudaStream stream)
    {
        var (rows, frames, sizes) = (buffers.Rows, buffers.Frames, Config.Estimator);
        var narrow = buffers.Narrow.Address();
        var joined = buffers.Joined.Address();
        var skip = joined + (Channels * sizeof(short));

        Run(_stages[0], 0, buffers.Input.Address(), FlowEstimator.Inputs(Config), skip, 2 * Channels);
        Convolve(_downConv, skip, 2 * Channels, narrow: narrow);
        for (var stage = 1; stage < _stages.Length - 1; stage++)
        {
            var last = stage == _stages.Length - 2;
            Run(_stages[stage], stage, narrow, Channels, last ? joined : narrow, last ? 2 * Channels : Channels);
        }

        Run(_stages[^1], _stages.Length - 1, joined, 2 * Channels, narrow, Channels);
        Convolve(_upConv, narrow, Channels, narrow: buffers.Hidden.Address());
        Convolve(_finalConv, buffers.Hidden.Address(), Channels, wide: buffers.Second.Address());
        NormMish(_finalNorm, buffers.Second.Address(), Channels, narrow: narrow);
        Convolve(_projection, narrow, Channels, wide: buffers.Velocity.Address());

        void Run(Stage stage, int index, nint x, int ldX, nint y, int ldY)
        {
            // The first convolution and the projection around the block, side by side.
            Convolve(stage.First, x, ldX, wide: buffers.First.Address());
            NormMish(stage.FirstNorm, buffers.First.Address(), 2 * Channels, narrow: buffers.Hidden.Address(), times: Times.Address() + (index * Channels * sizeof(float)));
            Convolve(stage.Second, buffers.Hidden.Address(), Channels, wide: buffers.Second.Address());
            NormMish(stage.SecondNorm, buffers.Second.Address(), Channels, residual: buffers.First.Address() + (Channels * sizeof(float)), wide: buffers.X.Address());
            foreach (var (number, block) in stage.Blocks.Index())
            {
                Transform(block, number == stage.Blocks.Length - 1 ? y : 0, ldY);
            }
        }

        void Transform(Block block, nint y, int ldY)
        {
            Normed(block.AttentionNorm, block.Qkv, buffers.Qkv.Address(), Activation.None);
            Kernels.Launch(stream, "attention", new(((uint)((frames + Queries - 1) / Queries), (uint)sizes.Heads, (uint)rows), AttentionThreads), new AttentionArguments
            {
                Qkv = buffers.Qkv.Address(),
                Y = buffers.Attended.Address(),
                Live = buffers.Live.Address(),
                Frames = frames,
                Heads = sizes.Heads,
            });
            AddTo(block.Out, buffers.Attended.Address(), 0, 0);
            Normed(block.MlpNorm, block.Up, buffers.Mlp.Address(), Activation.Gelu);
            AddTo(block.Down, buffers.Mlp.Address(), y, ldY);
        }

        void Normed(Norm norm, PackedWeight weight, nint y, Activation activation) => Kernels.Launch(stream, Tile.Normed, weight, rows, new()
        {
            Normed = buffers.X.Address(),
            Gain = norm.Gain.Address(),
            Shift = norm.Shift.Address(),
            Narrow = y,
            Activation = activation,
            FramesX = frames,
            Frames = frames,
            LdNarrow = weight.Outputs,
            RowNarrow = (long)frames * weight.Outputs,
        });

        void AddTo(PackedWeight weight, nint x, nint y, int ldY) => Kernels.Launch(stream, Tile.Small, weight, rows, new()
        {
            X = x,
            Residual = buffers.X.Address(),
            Wide = buffers.X.Address(),
            Narrow = y,
            FramesX = frames,
            Frames = frames,
            LdX = weight.Inputs,
            RowX = (long)frames * weight.Inputs,
            LdWide = Channels,
            RowWide = (long)frames * Channels,
            LdNarrow = ldY,
            RowNarrow = (long)frames * ldY,
        });

        void Convolve(PackedWeight weight, nint x, int ldX, nint wide = 0, nint narrow = 0) =>
            Kernels.Launch(stream, weight.Outputs > Channels ? Tile.Wide : Tile.Small, weight, rows, new()
            {
                X = x,
                Wide = wide,
                Narrow = narrow,
                FramesX = frames,
                Frames = frames,
                Before = weight.Taps - 1,
                LdX = ldX,
                RowX = (long)frames * ldX,
                LdWide = weight.Outputs,
                RowWide = (long)frames * weight.Outputs,
                LdNarrow = weight.Outputs,
                RowNarrow = (long)frames * weight.Outputs,
            });

        void NormMish(Norm norm, nint x, int ldX, nint times = 0, nint residual = 0, nint wide = 0, nint narrow = 0) =>
            Kernels.Launch(stream, "norm_mish", new((rows * frames) / MishWarps, MishWarps * Lanes), new MishArguments
            {
                X = x,
                Gain = norm.Gain.Address(),
                Shift = norm.Shift.Address(),
                Times = times,
                Step = buffers.Step.Address(),
                Residual = residual,
                Wide = wide,
                Narrow = narrow,
                Frames = rows * frames,
                LdX = ldX,
                LdResidual = 2 * Channels,
                LdTimes = _stages.Length * Channels,
            });
    }

    private Stage Pack(StageWeights weights)
    {
        var resnet = weights.Resnet;
        return new(
            Pack(
                cat([resnet.First.Conv.Weight, nn.functional.pad(resnet.Residual.Weight, (resnet.First.Conv.Weight.shape[2] - 1, 0))]),
                cat([resnet.First.Conv.Bias!, resnet.Residual.Bias!])),
            Pack(resnet.First.Norm), Pack(resnet.Second.Conv), Pack(resnet.Second.Norm), [.. weights.Blocks.Select(Pack)]);
    }

    private Block Pack(BlockWeights weights) => new(
        Pack(weights.AttentionNorm), Pack(cat([.. weights.Qkv.Select(linear => linear.Weight)]), null), Pack(weights.Out.Weight, weights.Out.Bias),
        Pack(weights.MlpNorm), Pack(weights.Up.Weight, weights.Up.Bias), Pack(weights.Down.Weight, weights.Down.Bias));

    private PackedWeight Pack(CausalConv1d conv) => Pack(conv.Weight, conv.Bias);

    private PackedWeight Pack(Tensor weight, Tensor? bias) => Keep(PackedWeight.Of(weight, bias, Device));

    private sealed record Stage(PackedWeight First, Norm FirstNorm, PackedWeight Second, Norm SecondNorm, Block[] Blocks);

    private sealed record Block(Norm AttentionNorm, PackedWeight Qkv, PackedWeight Out, Norm MlpNorm, PackedWeight Up, PackedWeight Down);
}

// The parameters of the kernels, laid out as in s3gen.cu.

internal struct AttentionArguments
{
    public nint Qkv, Y, Live;
    public int Frames, Heads;
}

internal struct MishArguments
{
    public nint X, Gain, Shift, Times, Step, Residual, Wide, Narrow;
    public int Frames, LdX, LdResidual, LdTimes;
}
