using Chatterbox.Ops.Cpu;

namespace Chatterbox.S3Gen;

/// <summary>What the flow leads to.</summary>
/// <param name="Mu">The encoder's guess at the mel, [rows, frames, bands].</param>
/// <param name="Speaker">Projected speaker embedding, [rows, bands].</param>
/// <param name="Prompt">The prompt's mel, zero after its end, [rows, frames, bands].</param>
internal sealed record FlowConditions(Tensor Mu, Tensor Speaker, Tensor Prompt)
{
    /// <summary>All of it side by side, as the estimator takes it: [rows, frames, 3·bands].</summary>
    public Tensor Join()
    {
        using var scope = NewDisposeScope();
        return cat([Mu, Speaker.unsqueeze(1).expand(-1, Mu.shape[1], -1), Prompt], -1).MoveToOuterDisposeScope();
    }
}

/// <summary>A mel that the flow is to make.</summary>
/// <param name="Noise">Where it starts, [rows, frames, bands].</param>
/// <param name="Conditions">What it leads to.</param>
internal sealed record FlowPass(Tensor Noise, FlowConditions Conditions) : IDisposable
{
    /// <summary>Frames of each row.</summary>
    public int Frames { get; } = (int)Noise.shape[1];

    /// <summary>Rows.</summary>
    public int Rows { get; } = (int)Noise.shape[0];

    private Tensor[] Tensors => [Noise, Conditions.Mu, Conditions.Speaker, Conditions.Prompt];

    /// <summary>Gives the tensors to the dispose scope outside the current one.</summary>
    public FlowPass MoveToOuterDisposeScope()
    {
        Array.ForEach(Tensors, tensor => tensor.MoveToOuterDisposeScope());
        return this;
    }

    /// <summary>Takes the tensors out of the current dispose scope.</summary>
    public FlowPass DetachFromDisposeScope()
    {
        Array.ForEach(Tensors, tensor => tensor.DetachFromDisposeScope());
        return this;
    }

    /// <inheritdoc/>
    public void Dispose() => Array.ForEach(Tensors, tensor => tensor.Dispose());
}

/// <summary>Conditional flow matching: carries noise to a mel spectrogram by Euler steps along the estimator's velocity.</summary>
/// <remarks>Ports CausalConditionalCFM of chatterbox models/s3gen/flow_matching.py (solve_euler, and basic_euler for mean flow).</remarks>
internal sealed class FlowMatching
{
    private readonly S3GenConfig _config;
    private readonly FlowConfig _flow;
    private readonly ScalarType _dtype;
    private readonly FusedFlow? _fused;

    public FlowMatching(S3GenConfig config, WeightScope weights, TorchOps ops, Precision precision)
    {
        (_config, _flow, _dtype) = (config, config.Flow, weights.DType);
        Times = Spread(config.Flow, weights);
        NotFusedReason =
            precision == Precision.Full ? "full precision is wanted" : FusedEstimator.UnsupportedReason(config, weights.Device);
        var estimator = weights["estimator"];
        if (NotFusedReason is not null)
        {
            Estimator = new(
                config,
                estimator,
                ops,
                config.Flow.IsMeanFlow ? CpuPrecision.Products(weights.Device, precision, _dtype) : _dtype
            );
            return;
        }

        using var passing = new OwnedWeights();
        _fused = weights.Own(new FusedFlow(config, new(config, estimator.InHost(passing), ops, _dtype), Times));
    }

    /// <summary>Why the flow runs on the plain operations; null where it runs on fused kernels.</summary>
    public string? NotFusedReason { get; }

    /// <summary>Where the steps begin and end, from 0 to 1: [steps + 1], in float32 whatever the weights are in.</summary>
    public Tensor Times { get; }

    /// <summary>The network that is integrated; null where it runs on fused kernels, which have their own copy of its weights.</summary>
    public FlowEstimator? Estimator { get; }

    /// <summary>Draws the noise that a mel starts from.</summary>
    /// <param name="noise">The request's randomness.</param>
    /// <param name="frames">All frames, the prompt's first.</param>
    /// <param name="newFrames">Frames of the new speech tokens.</param>
    /// <returns>[1, frames, bands].</returns>
    public Tensor Draw(NoiseSource noise, long frames, long newFrames)
    {
        using var scope = NewDisposeScope();
        if (!_flow.IsMeanFlow)
        {
            return Place(noise.Normal([1, _config.MelBands, frames], Times.device));
        }

        // The reference draws the new tokens' noise first and puts it over the end of a draw for everything.
        var ending = noise.Normal([1, _config.MelBands, newFrames], Times.device);
        var all = noise.Normal([1, _config.MelBands, frames], Times.device);
        return Place(cat([all.narrow(2, 0, frames - newFrames), ending], 2));

        Tensor Place(Tensor drawn) => drawn.to(_dtype).transpose(1, 2).MoveToOuterDisposeScope();
    }

    /// <summary>Integrates the flow from noise to mel.</summary>
    /// <param name="noise">Where to start, [rows, frames, bands].</param>
    /// <param name="conditions">Where to go.</param>
    /// <param name="progress">Receives the share of steps done, after each.</param>
    /// <param name="cancellationToken">Looked at before each step.</param>
    /// <returns>Mel spectrogram, [rows, frames, bands].</returns>
    public Tensor Integrate(
        Tensor noise,
        FlowConditions conditions,
        IProgress<double>? progress = null,
        CancellationToken cancellationToken = default
    ) => Integrate(new FlowPass(noise, conditions), progress, cancellationToken);

    /// <inheritdoc cref="Integrate(Tensor, FlowConditions, IProgress{double}?, CancellationToken)"/>
    public Tensor Integrate(FlowPass pass, IProgress<double>? progress = null, CancellationToken cancellationToken = default) =>
        Integrate([pass], progress, cancellationToken)[0];

    /// <summary>Integrates several flows, of any lengths: together on a GPU with fused kernels, else one after the other. Each mel is,
    /// to the bit, what it is alone.</summary>
    /// <param name="passes">The flows.</param>
    /// <param name="progress">Receives the share of steps done, after each.</param>
    /// <param name="cancellationToken">Checked before each step; gives up all of them.</param>
    /// <returns>A mel spectrogram of each, [rows, frames, bands].</returns>
    public IReadOnlyList<Tensor> Integrate(
        IReadOnlyList<FlowPass> passes,
        IProgress<double>? progress = null,
        CancellationToken cancellationToken = default
    ) =>
        _fused?.Integrate(passes, progress, cancellationToken)
        ?? [.. passes.Select(pass => IntegratePlain(pass.Noise, pass.Conditions, progress, cancellationToken))];

    private Tensor IntegratePlain(Tensor noise, FlowConditions conditions, IProgress<double>? progress, CancellationToken cancellationToken)
    {
        using var scope = NewDisposeScope();
        var steps = _flow.Steps;
        var lengths = Times.diff(); // [steps]
        var embeddings = Estimator!.EmbedTime(Times.narrow(0, 0, steps), Times.narrow(0, 1, steps)); // [steps, time size]
        var given = Guide(conditions.Join()); // [rows or 2·rows, frames, 3·bands]

        var x = noise;
        for (var step = 0; step < steps; step++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            x = x.Add(lengths[step] * Velocity(x, given, embeddings.narrow(0, step, 1)));
            progress?.Report((step + 1) / (double)steps);
        }

        return x.MoveToOuterDisposeScope();
    }

    /// <summary>The estimator's conditions; for guidance, with as many rows of zeros below.</summary>
    private Tensor Guide(Tensor conditions) => _flow.CfgRate == 0 ? conditions : cat([conditions, zeros_like(conditions)]);

    private Tensor Velocity(Tensor x, Tensor given, Tensor time)
    {
        if (_flow.CfgRate == 0)
        {
            return Estimator!.Forward(x, given, time);
        }

        using var scope = NewDisposeScope();
        var velocities = Estimator!.Forward(cat([x, x]), given, time).chunk(2); // with conditions, and without
        return (velocities[0].Mul(1 + _flow.CfgRate) - velocities[1].Mul(_flow.CfgRate)).MoveToOuterDisposeScope();
    }

    private static Tensor Spread(FlowConfig flow, WeightScope weights)
    {
        using var scope = NewDisposeScope();
        var even = linspace(0, 1, flow.Steps + 1, ScalarType.Float32);
        var times = flow.Schedule == FlowSchedule.Cosine ? (-cos(even.Mul(0.5).Mul(Math.PI))).Add(1) : even;
        return weights.Own(times.to(weights.Device));
    }
}
