using Chatterbox.Ops.Cuda;

namespace Chatterbox.S3Gen;

/// <summary>The estimator as kernels of estimator.cu and attention.cu, for compute capability 9.0: a residual block is two
/// of them, a transformer block two.</summary>
internal sealed class ClusterEstimator : FusedEstimator
{
    private readonly EstimatorKernels _kernels;
    private readonly Stage[] _stages;
    private readonly TiledWeight _downConv;
    private readonly TiledWeight _upConv;
    private readonly TiledWeight _finalConv;
    private readonly Norm _finalNorm;
    private readonly PackedWeight _projection;

    /// <inheritdoc/>
    public ClusterEstimator(S3GenConfig config, FlowEstimator estimator, Tensor times)
        : base(config, estimator, times)
    {
        using var scope = NewDisposeScope();
        _kernels = new(Device);
        var weights = estimator.Weights;
        _stages = [.. weights.Stages.Select(Pack)];
        _downConv = Pack(weights.DownConv);
        _upConv = Pack(weights.UpConv);
        _finalConv = Pack(weights.Final.Conv);
        _finalNorm = Pack(weights.Final.Norm);
        _projection = Keep(PackedWeight.Of(weights.Projection.Weight, weights.Projection.Bias, Device));
    }

    /// <summary>Why an estimator cannot run on these kernels, or null.</summary>
    public static new string? WhyNot(S3GenConfig config, Device device) =>
        config.Estimator.Heads != EstimatorKernels.Heads ? "the kernels are not made for the model's sizes" : EstimatorKernels.WhyNot(device);

    /// <inheritdoc/>
    public override void Forward(FlowBuffers buffers, CudaStream stream)
    {
        var (rows, frames) = (buffers.Rows, buffers.Frames);
        var narrow = buffers.Narrow.Address();
        var hidden = buffers.Hidden.Address();
        var joined = buffers.Joined.Address();
        var skip = joined + (Channels * sizeof(short));

        Run(0, buffers.Input.Address(), FlowEstimator.Inputs(Config), skip, 2 * Channels);
        Convolve(_downConv, skip, 2 * Channels, new() { Y = narrow });
        for (var stage = 1; stage < _stages.Length - 1; stage++)
        {
            var last = stage == _stages.Length - 2;
            Run(stage, narrow, Channels, last ? joined : narrow, last ? 2 * Channels : Channels);
        }

        Run(_stages.Length - 1, joined, 2 * Channels, narrow, Channels);
        Convolve(_upConv, narrow, Channels, new() { Y = hidden });
        Convolve(_finalConv, hidden, Channels, new() { Gain = _finalNorm.Gain.Address(), Shift = _finalNorm.Shift.Address(), Y = narrow });
        Kernels.Launch(stream, Tile.Small, _projection, rows, new()
        {
            X = narrow,
            Wide = buffers.Velocity.Address(),
            FramesX = frames,
            Frames = frames,
            LdX = Channels,
            RowX = (long)frames * Channels,
            LdWide = _projection.Outputs,
            RowWide = (long)frames * _projection.Outputs,
        });

        void Run(int number, nint x, int ldX, nint y, int ldY)
        {
            var stage = _stages[number];
            Convolve(stage.First, x, ldX, new()
            {
                Gain = stage.FirstNorm.Gain.Address(),
                Shift = stage.FirstNorm.Shift.Address(),
                Times = Times.Address() + (number * Channels * sizeof(float)),
                Step = buffers.Step.Address(),
                LdTimes = _stages.Length * Channels,
                Y = hidden,
            });
            var next = stage.Blocks[0];
            Convolve(stage.Second, hidden, Channels, new()
            {
                Gain = stage.SecondNorm.Gain.Address(),
                Shift = stage.SecondNorm.Shift.Address(),
                Around = x,
                LdAround = ldX,
                AroundChunks = stage.Around.Chunks,
                AroundWeight = stage.Around.Weight.Address(),
                AroundBias = stage.Around.Bias!.Address(),
                Wide = buffers.X.Address(),
                QkvWeight = next.Qkv.Weight.Address(),
                NextGain = next.AttentionNorm.Gain.Address(),
                NextShift = next.AttentionNorm.Shift.Address(),
                Qkv = buffers.Qkv.Address(),
            });
            foreach (var (i, block) in stage.Blocks.Index())
            {
                Transform(block, i + 1 < stage.Blocks.Length ? stage.Blocks[i + 1] : null, y, ldY);
            }
        }

        void Transform(Block block, Block? next, nint y, int ldY)
        {
            _kernels.Attend(stream, rows, frames, new() { Qkv = buffers.Qkv.Address(), Y = buffers.Attended.Address(), Live = buffers.Live.Address() });
            _kernels.Transform(stream, rows * frames, new()
            {
                Attended = buffers.Attended.Address(),
                Out = block.Out.Weight.Address(),
                Up = block.Up.Weight.Address(),
                Down = block.Down.Weight.Address(),
                QkvWeight = next?.Qkv.Weight.Address() ?? 0,
                OutBias = block.Out.Bias!.Address(),
                Gain = block.MlpNorm.Gain.Address(),
                Shift = block.MlpNorm.Shift.Address(),
                UpBias = block.Up.Bias!.Address(),
                DownBias = block.Down.Bias!.Address(),
                NextGain = next?.AttentionNorm.Gain.Address() ?? 0,
                NextShift = next?.AttentionNorm.Shift.Address() ?? 0,
                X = buffers.X.Address(),
                Qkv = buffers.Qkv.Address(),
                Y = next is null ? y : 0,
                LdY = ldY,
            });
        }

        void Convolve(TiledWeight weight, nint x, int ldX, ConvolutionArguments arguments)
        {
            (arguments.X, arguments.LdX, arguments.Frames) = (x, ldX, frames);
            (arguments.Weight, arguments.Bias, arguments.Chunks) = (weight.Weight.Address(), weight.Bias!.Address(), weight.Chunks);
            _kernels.Convolve(stream, rows * frames, arguments);
        }
    }

    private Stage Pack(StageWeights weights)
    {
        var resnet = weights.Resnet;
        return new(Pack(resnet.First.Conv), Pack(resnet.First.Norm), Pack(resnet.Second.Conv), Pack(resnet.Second.Norm), Pack(resnet.Residual), [.. weights.Blocks.Select(Pack)]);
    }

    private Block Pack(BlockWeights weights) => new(
        Pack(weights.AttentionNorm), Pack(cat([.. weights.Qkv.Select(linear => linear.Weight)]), null), Pack(weights.Out.Weight, weights.Out.Bias),
        Pack(weights.MlpNorm), Pack(weights.Up.Weight, weights.Up.Bias), Pack(weights.Down.Weight, weights.Down.Bias));

    private TiledWeight Pack(CausalConv1d conv) => Pack(conv.Weight, conv.Bias);

    private TiledWeight Pack(Tensor weight, Tensor? bias) => Keep(TiledWeight.Of(weight, bias, Device));

    private sealed record Stage(TiledWeight First, Norm FirstNorm, TiledWeight Second, Norm SecondNorm, TiledWeight Around, Block[] Blocks);

    private sealed record Block(Norm AttentionNorm, TiledWeight Qkv, TiledWeight Out, Norm MlpNorm, TiledWeight Up, TiledWeight Down);
}
