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

/// <summary>The estimator as kernels, with a copy of its weights in fp16. A twin of <see cref="FlowEstimator.Forward"/>.</summary>
internal abstract class FusedEstimator : IDisposable
{
    /// <summary>Channels that the kernels' norms go over.</summary>
    protected const int Channels = 256;

    private const int HeadSize = 64;

    private readonly List<IDisposable> _owned = [];

    /// <param name="config">Sizes that <see cref="WhyNot"/> has nothing against.</param>
    /// <param name="estimator">The plain network.</param>
    /// <param name="times">Where the flow's steps begin and end, on the GPU.</param>
    protected FusedEstimator(S3GenConfig config, FlowEstimator estimator, Tensor times)
    {
        using var scope = NewDisposeScope();
        (Config, Device) = (config, times.device);
        Kernels = new(Device);

        // Each residual block's share of the time is the same for every request.
        var host = times.cpu();
        var embedded = estimator.EmbedTime(host.narrow(0, 0, config.Flow.Steps), host.narrow(0, 1, config.Flow.Steps)).Mish();
        Times = Own(cat(estimator.Weights.Stages.Select(stage => stage.Resnet.Time.Forward(embedded)).ToArray(), 1).to(Device));
    }

    /// <summary>Launches matrix products.</summary>
    public Products Kernels { get; }

    /// <summary>Sizes.</summary>
    protected S3GenConfig Config { get; }

    /// <summary>The GPU.</summary>
    protected Device Device { get; }

    /// <summary>What the time adds to each stage's residual block, [steps, stages · channels].</summary>
    protected Tensor Times { get; }

    /// <summary>Why an estimator cannot run on kernels, or null.</summary>
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
    public abstract void Forward(FlowBuffers buffers, CudaStream stream);

    /// <inheritdoc/>
    public void Dispose() => _owned.ForEach(owned => owned.Dispose());

    /// <summary>Copies a norm.</summary>
    protected Norm Pack(LayerNorm norm) => new(Own(norm.Weight.to(Device, copy: true)), Own(norm.Bias.to(Device, copy: true)));

    /// <summary>Keeps a tensor for as long as this lives.</summary>
    protected Tensor Own(Tensor tensor) => Keep(tensor.DetachFromDisposeScope());

    /// <summary>Disposes something together with this.</summary>
    protected T Keep<T>(T owned)
        where T : IDisposable
    {
        _owned.Add(owned);
        return owned;
    }

    /// <summary>A norm over the channels.</summary>
    protected sealed record Norm(Tensor Gain, Tensor Shift);
}
