using Chatterbox.Ops.Cuda;

namespace Chatterbox.S3Gen;

/// <summary>What the estimator is made of, for <see cref="FusedEstimator"/>.</summary>
/// <param name="Stages">First to last.</param>
/// <param name="DownConv">Behind the first stage.</param>
/// <param name="UpConv">Behind the last.</param>
/// <param name="Final">Convolution and norm behind that.</param>
/// <param name="Projection">To the velocity.</param>
internal sealed record EstimatorWeights(
    IReadOnlyList<StageWeights> Stages,
    CausalConv1d DownConv,
    CausalConv1d UpConv,
    (CausalConv1d Conv, LayerNorm Norm) Final,
    CausalConv1d Projection
);

/// <summary>A residual block and the transformer blocks behind it.</summary>
internal sealed record StageWeights(ResnetWeights Resnet, IReadOnlyList<BlockWeights> Blocks);

/// <summary>The parts of a residual block.</summary>
internal sealed record ResnetWeights(
    Linear Time,
    (CausalConv1d Conv, LayerNorm Norm) First,
    (CausalConv1d Conv, LayerNorm Norm) Second,
    CausalConv1d Residual
);

/// <summary>The parts of a transformer block.</summary>
internal sealed record BlockWeights(
    LayerNorm AttentionNorm,
    IReadOnlyList<Linear> Qkv,
    Linear Out,
    LayerNorm MlpNorm,
    Linear Up,
    Linear Down
);

/// <summary>The estimator as kernels, with a copy of its weights in fp16. A twin of <see cref="FlowEstimator.Forward"/>.</summary>
internal abstract class FusedEstimator : IDisposable
{
    /// <summary>Channels that the kernels' norms go over.</summary>
    protected const int Channels = MatrixProducts.Normed;

    /// <summary>Numbers of a head.</summary>
    protected const int HeadSize = 64;

    private readonly List<IDisposable> _owned = [];

    /// <param name="config">Sizes for which <see cref="UnsupportedReason"/> is null.</param>
    /// <param name="estimator">The plain network.</param>
    /// <param name="times">Where the flow's steps begin and end, on the GPU.</param>
    protected FusedEstimator(S3GenConfig config, FlowEstimator estimator, Tensor times)
    {
        using var scope = NewDisposeScope();
        (Config, Device) = (config, times.device);
        MatrixProducts = new(Device);

        // Each residual block's share of the time is the same for every request.
        var host = times.cpu();
        var embedded = estimator.EmbedTime(host.narrow(0, 0, config.Flow.Steps), host.narrow(0, 1, config.Flow.Steps)).Mish();
        Times = Own(cat(estimator.Weights.Stages.Select(stage => stage.Resnet.Time.Forward(embedded)).ToArray(), 1).to(Device));
    }

    /// <summary>Launches matrix products.</summary>
    protected MatrixProducts MatrixProducts { get; }

    /// <summary>Sizes.</summary>
    protected S3GenConfig Config { get; }

    /// <summary>The GPU.</summary>
    protected Device Device { get; }

    /// <summary>What the time adds to each stage's residual block, [steps, stages · channels].</summary>
    protected Tensor Times { get; }

    /// <summary>Why an estimator cannot run on kernels, or null.</summary>
    public static string? UnsupportedReason(S3GenConfig config, Device device)
    {
        var sizes = config.Estimator;
        return
            sizes.Channels != Channels
            || sizes.HeadSize != HeadSize
            || sizes.BlocksPerStage == 0
            || FlowEstimator.Inputs(config) % MatrixProducts.Chunk != 0
            || config.MelBands % 8 != 0
            ? "the kernels are not made for the model's sizes"
            : MatrixProducts.UnsupportedReason(device);
    }

    /// <summary>Launches the network.</summary>
    /// <param name="buffers">In: input, step, live frames. Out: velocity.</param>
    /// <param name="stream">Where it runs.</param>
    public abstract void Forward(FlowBuffers buffers, CudaStream stream);

    /// <inheritdoc/>
    public void Dispose() => _owned.ForEach(owned => owned.Dispose());

    /// <summary>Keeps a tensor for as long as this lives.</summary>
    protected Tensor Own(Tensor tensor) => Keep(tensor.DetachFromDisposeScope());

    /// <summary>Disposes something together with this.</summary>
    protected T Keep<T>(T owned)
        where T : IDisposable
    {
        _owned.Add(owned);
        return owned;
    }
}

/// <summary>The way through the network, which is the same for all kernels.</summary>
/// <typeparam name="TWeight">A linear layer or a convolution as the kernels want it.</typeparam>
internal abstract class FusedEstimator<TWeight> : FusedEstimator
    where TWeight : class, IDisposable
{
    private readonly Func<Tensor, Tensor?, Device, TWeight> _pack;
    private readonly Stage[] _stages;
    private readonly TWeight _downConv;
    private readonly TWeight _upConv;
    private readonly TWeight _finalConv;
    private readonly Norm _finalNorm;
    private readonly PackedWeight _projection;

    /// <inheritdoc cref="FusedEstimator(S3GenConfig, FlowEstimator, Tensor)"/>
    /// <param name="config">As there.</param>
    /// <param name="estimator">As there.</param>
    /// <param name="times">As there.</param>
    /// <param name="pack">Packs a weight and its bias, if it has one.</param>
    /// <param name="together">True where a residual block's first convolution and the projection around it are one weight, theirs
    /// side by side.</param>
    protected FusedEstimator(
        S3GenConfig config,
        FlowEstimator estimator,
        Tensor times,
        Func<Tensor, Tensor?, Device, TWeight> pack,
        bool together
    )
        : base(config, estimator, times)
    {
        using var scope = NewDisposeScope();
        _pack = pack;
        var weights = estimator.Weights;
        _stages = [.. weights.Stages.Select((stage, number) => Pack(stage, number, together))];
        _downConv = Pack(weights.DownConv);
        _upConv = Pack(weights.UpConv);
        _finalConv = Pack(weights.Final.Conv);
        _finalNorm = Pack(weights.Final.Norm);
        _projection = Keep(PackedWeight.Of(weights.Projection.Weight, weights.Projection.Bias, Device));
    }

    /// <summary>Numbers from one step's times to the next's.</summary>
    protected int LdTimes => _stages.Length * Channels;

    /// <inheritdoc/>
    public sealed override void Forward(FlowBuffers buffers, CudaStream stream)
    {
        var pass = new Pass(buffers, stream);
        var narrow = new Rows(buffers.Narrow.Address(), Channels);
        var hidden = new Rows(buffers.Hidden.Address(), Channels);
        var joined = new Rows(buffers.Joined.Address(), 2 * Channels);
        var skip = joined with { Address = joined.Address + (Channels * sizeof(short)) };

        Run(pass, _stages[0], new(buffers.Input.Address(), FlowEstimator.Inputs(Config)), skip);
        Convolve(pass, _downConv, skip, narrow.Address);
        foreach (var stage in _stages[1..^2])
        {
            Run(pass, stage, narrow, narrow);
        }

        Run(pass, _stages[^2], narrow, joined);
        Run(pass, _stages[^1], joined, narrow);
        Convolve(pass, _upConv, narrow, hidden.Address);
        Convolve(pass, _finalConv, _finalNorm, hidden, narrow.Address);
        MatrixProducts.Launch(
            stream,
            Tile.Small,
            _projection,
            buffers.Rows,
            new()
            {
                X = narrow.Address,
                Wide = buffers.Velocity.Address(),
                FramesX = buffers.Frames,
                Frames = buffers.Frames,
                LdX = Channels,
                RowX = (long)buffers.Frames * Channels,
                LdWide = _projection.Outputs,
                RowWide = (long)buffers.Frames * _projection.Outputs,
            }
        );
    }

    /// <summary>A residual block, into <see cref="FlowBuffers.X"/>.</summary>
    protected abstract void Residual(Pass pass, Stage stage, Rows x);

    /// <summary>A transformer block, from <see cref="FlowBuffers.X"/> into the same.</summary>
    /// <param name="pass">Where.</param>
    /// <param name="block">The block.</param>
    /// <param name="next">The one behind it, or null at a stage's end.</param>
    /// <param name="y">Where a stage's end goes too, in fp16.</param>
    protected abstract void Transform(Pass pass, Block block, Block? next, Rows y);

    /// <summary>A convolution, into fp16 rows of as many channels as it makes.</summary>
    protected abstract void Convolve(Pass pass, TWeight weight, Rows x, nint y);

    /// <summary>The same, normed, with Mish.</summary>
    protected abstract void Convolve(Pass pass, TWeight weight, Norm norm, Rows x, nint y);

    private void Run(Pass pass, Stage stage, Rows x, Rows y)
    {
        Residual(pass, stage, x);
        foreach (var (i, block) in stage.Blocks.Index())
        {
            Transform(pass, block, i + 1 < stage.Blocks.Length ? stage.Blocks[i + 1] : null, y);
        }
    }

    private Stage Pack(StageWeights weights, int number, bool together)
    {
        var resnet = weights.Resnet;
        var first = together
            ? Pack(
                cat([resnet.First.Conv.Weight, nn.functional.pad(resnet.Residual.Weight, (resnet.First.Conv.Weight.shape[2] - 1, 0))]),
                cat([resnet.First.Conv.Bias!, resnet.Residual.Bias!])
            )
            : Pack(resnet.First.Conv);
        return new(
            Times.Address() + (number * Channels * sizeof(float)),
            first,
            Pack(resnet.First.Norm),
            Pack(resnet.Second.Conv),
            Pack(resnet.Second.Norm),
            together ? null : Pack(resnet.Residual),
            [.. weights.Blocks.Select(Pack)]
        );
    }

    private Block Pack(BlockWeights weights) =>
        new(
            Pack(weights.AttentionNorm),
            Pack(cat([.. weights.Qkv.Select(linear => linear.Weight)]), null),
            Pack(weights.Out.Weight, weights.Out.Bias),
            Pack(weights.MlpNorm),
            Pack(weights.Up.Weight, weights.Up.Bias),
            Pack(weights.Down.Weight, weights.Down.Bias)
        );

    private TWeight Pack(CausalConv1d conv) => Pack(conv.Weight, conv.Bias);

    private TWeight Pack(Tensor weight, Tensor? bias) => Keep(_pack(weight, bias, Device));

    private Norm Pack(LayerNorm norm) => new(Own(norm.Weight.to(Device, copy: true)), Own(norm.Bias.to(Device, copy: true)));

    /// <summary>What a pass through the network works on, and where it runs.</summary>
    protected readonly record struct Pass(FlowBuffers Buffers, CudaStream Stream);

    /// <summary>A frame's channels in fp16, each so many numbers behind the one in front.</summary>
    protected readonly record struct Rows(nint Address, int Ld);

    /// <summary>A norm over the channels.</summary>
    protected sealed record Norm(Tensor Gain, Tensor Shift);

    /// <summary>A residual block and the transformer blocks behind it.</summary>
    /// <param name="Times">Where what the first step's time adds to it lies.</param>
    /// <param name="First">Its first convolution.</param>
    /// <param name="FirstNorm">Behind that.</param>
    /// <param name="Second">Its second convolution.</param>
    /// <param name="SecondNorm">Behind that.</param>
    /// <param name="Around">The projection around it, or null where that is in the first convolution.</param>
    /// <param name="Blocks">First to last.</param>
    protected sealed record Stage(
        nint Times,
        TWeight First,
        Norm FirstNorm,
        TWeight Second,
        Norm SecondNorm,
        TWeight? Around,
        Block[] Blocks
    );

    /// <summary>A transformer block.</summary>
    protected sealed record Block(Norm AttentionNorm, TWeight Qkv, TWeight Out, Norm MlpNorm, TWeight Up, TWeight Down);
}
