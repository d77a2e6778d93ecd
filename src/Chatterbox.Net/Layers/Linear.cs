namespace Chatterbox.Layers;

/// <summary>y = x·Wᵀ + b over the last dimension. Weights: weight [outputs, inputs], bias [outputs].</summary>
internal sealed class Linear(WeightScope weights, long inputs, long outputs, bool bias = true) : ILinear
{
    private readonly TorchOps _ops = weights.Ops;

    /// <summary>[outputs, inputs].</summary>
    public Tensor Weight { get; } = weights.Get("weight", outputs, inputs);

    /// <summary>[outputs], or null.</summary>
    public Tensor? Bias { get; } = bias ? weights.Get("bias", outputs) : null;

    /// <inheritdoc/>
    public Tensor Forward(Tensor x) => _ops.Linear(x, Weight, Bias);
}
