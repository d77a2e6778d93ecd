using Chatterbox.Ops.Cuda;

namespace Chatterbox.S3Gen;

/// <summary>What the estimator is made of, for <see cref="FusedEstimator"/>.</summary>
/// <param name="Stages">First to last.</param>
/// <param name="DownConv">Behind the first stage.</param>
/// <param name="UpConv">Behind the last.</param>
/// <param name="Final">Convolution and norm behind that.</param>
/// <param name="Projection">To the velocity.</param>
internal sealed record EstimatorWeights(
    IReadOnlyList<StageWeights> Stages, CausalConv1d DownConv, CausalConv1d UpConv, (CausalConv1d Conv, LayerNorm Norm) Final, CausalConv1d Projection);

/// <summary>A residual block and the transformer blocks behind it.</summary>
internal sealed record StageWeights(ResnetWeights Resnet, IReadOnlyList<BlockWeights> Blocks);

/// <summary>The parts of a residual block.</summary>
internal sealed record ResnetWeights(
    Linear Time, (CausalConv1d Conv, LayerNorm Norm) First, (CausalConv1d Conv, LayerNorm Norm) Second, CausalConv1d Residual);

/// <summary>The parts of a transformer block.</summary>
internal sealed record BlockWeights(LayerNorm AttentionNorm, IReadOnlyList<Linear> Qkv, Linear Out, LayerNorm MlpNorm, Linear Up, Linear Down);

/// <summary>The estimator as kernels of s3gen.cu, with a copy of its weights in fp16. A twin of <see cref="FlowEstimator.Forward"/>.</summary>
internal sealed class FusedEstimator : IDisposable
{
    private const int Channels = 256;       // that the kernels' norms go over
    private const int HeadSize = 64;
    private const int MishWarps = 4, AttentionThreads = 128, Queries = 64, Lanes = 32;   // as in the source

    private readonly S3GenConfig _config;
    private readonly Device _device;
    private readonly List<IDisposable> _owned = [];
    private readonly Stage[] _stages;
    private readonly PackedWeight _downConv;
    private readonly PackedWeight _upConv;
    private readonly PackedWeight _finalConv;
    private readonly Norm _finalNorm;
    private readonly PackedWeight _projection;
    private readonly Tensor _times;         // [steps, stages · channels]

    /// <param name="config">Sizes that <see cref="WhyNot"/> has nothing against.</param>
    /// <param name="estimator">The plain network.</param>
    /// <param name="times">Where the flow's steps begin and end, on the GPU.</param>
    public FusedEstimator(S3GenConfig config, FlowEstimator estimator, Tensor times)
    {
        using var scope = NewDisposeScope();
        _config = config;
        _device = times.device;
        Kernels = new(_device);
        var weights = estimator.Weights;
        _stages = [.. weights.Stages.Select(Pack)];
        _downConv = Pack(weights.DownConv);
        _upConv = Pack(weights.UpConv);
        _finalConv = Pack(weights.Final.Conv);
        _finalNorm = Pack(weights.Final.Norm);
        _projection = Pack(weights.Projection);

        // Each residual block's share of the time is the same for every request.
        var host = times.cpu();
        var embedded = estimator.EmbedTime(host.narrow(0, 0, config.Flow.Steps), host.narrow(0, 1, config.Flow.Steps)).Mish();
        _times = Own(cat(weights.Stages.Select(stage => stage.Resnet.Time.Forward(embedded)).ToArray(), 1).to(_device));
    }

    /// <summary>Launches the kernels.</summary>
    public Products Kernels { get; }

    /// <summary>Why an estimator cannot run on these kernels, or null.</summary>
    public static string? WhyNot(S3GenConfig config, Device device)
    {
        var sizes = config.Estimator;
        return sizes.Channels != Channels || sizes.HeadSize != HeadSize || sizes.BlocksPerStage == 0 || FlowEstimator.Inputs(config) % Products.Chunk != 0 || config.MelBands % 8 != 0
            ? "the kernels are not made for the model's sizes"
            : Products.WhyNot(device);
    }

    /// <summary>Launches the network.</summary>
    /// <param name="buffers">In: input, step, live frames. Out: velocity.</param>
    /// <param name="stream">Where it runs.</param>
    public void Forward(FlowBuffers buffers, CudaStream stream)
    {
        var (rows, frames, sizes) = (buffers.Rows, buffers.Frames, _config.Estimator);
        var narrow = buffers.Narrow.Address();
        var joined = buffers.Joined.Address();
        var skip = joined + (Channels * sizeof(short));

        Run(_stages[0], 0, buffers.Input.Address(), FlowEstimator.Inputs(_config), skip, 2 * Channels);
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
            NormMish(stage.FirstNorm, buffers.First.Address(), 2 * Channels, narrow: buffers.Hidden.Address(), times: _times.Address() + (index * Channels * sizeof(float)));
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

    /// <inheritdoc/>
    public void Dispose() => _owned.ForEach(owned => owned.Dispose());

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

    private PackedWeight Pack(Tensor weight, Tensor? bias)
    {
        var packed = PackedWeight.Of(weight, bias, _device);
        _owned.Add(packed);
        return packed;
    }

    private Norm Pack(LayerNorm norm) => new(Own(norm.Weight.to(_device, copy: true)), Own(norm.Bias.to(_device, copy: true)));

    private Tensor Own(Tensor tensor)
    {
        _owned.Add(tensor.DetachFromDisposeScope());
        return tensor;
    }

    private sealed record Norm(Tensor Gain, Tensor Shift);

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
