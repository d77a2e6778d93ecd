using Chatterbox.Ops.Cuda;

namespace Chatterbox.S3Gen;

/// <summary>The estimator as kernels of estimator.cu and attention.cu, for compute capability 9.0: a residual block is two
/// of them, a transformer block two.</summary>
internal sealed class ClusterEstimator : FusedEstimator<TiledWeight>
{
    private readonly EstimatorKernels _kernels;

    /// <inheritdoc/>
    public ClusterEstimator(S3GenConfig config, FlowEstimator estimator, Tensor times)
        : base(config, estimator, times, TiledWeight.Of, together: false) => _kernels = new(Device);

    /// <summary>Why an estimator cannot run on these kernels, or null.</summary>
    public static new string? UnsupportedReason(S3GenConfig config, Device device) =>
        config.Estimator.Heads != EstimatorKernels.Heads
            ? "the kernels are not made for the model's sizes"
            : EstimatorKernels.UnsupportedReason(device);

    /// <inheritdoc/>
    protected override void Residual(Pass pass, Stage stage, Rows x)
    {
        var (buffers, next, around) = (pass.Buffers, stage.Blocks[0], stage.Around!);
        var hidden = new Rows(buffers.Hidden.Address(), Channels);
        Launch(
            pass,
            stage.First,
            x,
            new()
            {
                Gain = stage.FirstNorm.Gain.Address(),
                Shift = stage.FirstNorm.Shift.Address(),
                Times = stage.Times,
                Step = buffers.Step.Address(),
                LdTimes = LdTimes,
                Y = hidden.Address,
            }
        );
        Launch(
            pass,
            stage.Second,
            hidden,
            new()
            {
                Gain = stage.SecondNorm.Gain.Address(),
                Shift = stage.SecondNorm.Shift.Address(),
                Around = x.Address,
                LdAround = x.Ld,
                AroundChunks = around.Chunks,
                AroundWeight = around.Weight.Address(),
                AroundBias = around.Bias!.Address(),
                Wide = buffers.X.Address(),
                QkvWeight = next.Qkv.Weight.Address(),
                NextGain = next.AttentionNorm.Gain.Address(),
                NextShift = next.AttentionNorm.Shift.Address(),
                Qkv = buffers.Qkv.Address(),
            }
        );
    }

    /// <inheritdoc/>
    protected override void Transform(Pass pass, Block block, Block? next, Rows y)
    {
        var (buffers, stream) = pass;
        _kernels.Attend(
            stream,
            buffers.Rows,
            buffers.Frames,
            new()
            {
                Qkv = buffers.Qkv.Address(),
                Y = buffers.Attended.Address(),
                Live = buffers.Live.Address(),
            }
        );
        _kernels.Transform(
            stream,
            buffers.Rows * buffers.Frames,
            new()
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
                Y = next is null ? y.Address : 0,
                LdY = y.Ld,
            }
        );
    }

    /// <inheritdoc/>
    protected override void Convolve(Pass pass, TiledWeight weight, Rows x, nint y) => Launch(pass, weight, x, new() { Y = y });

    /// <inheritdoc/>
    protected override void Convolve(Pass pass, TiledWeight weight, Norm norm, Rows x, nint y) =>
        Launch(
            pass,
            weight,
            x,
            new()
            {
                Gain = norm.Gain.Address(),
                Shift = norm.Shift.Address(),
                Y = y,
            }
        );

    private void Launch(Pass pass, TiledWeight weight, Rows x, ConvolutionArguments arguments)
    {
        (arguments.X, arguments.LdX, arguments.Frames) = (x.Address, x.Ld, pass.Buffers.Frames);
        (arguments.Weight, arguments.Bias, arguments.Chunks) = (weight.Weight.Address(), weight.Bias!.Address(), weight.Chunks);
        _kernels.Convolve(pass.Stream, pass.Buffers.Rows * pass.Buffers.Frames, arguments);
    }
}
