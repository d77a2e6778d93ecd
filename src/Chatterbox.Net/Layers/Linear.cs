using static TorchSharp.torch.nn.functional;

namespace Chatterbox.Layers;

/// <summary>y = x·Wᵀ + b over the last dimension. Weights: weight [outputs, inputs], bias [outputs].</summary>
internal sealed class Linear(WeightScope weights, long inputs, long outputs, bool bias = true)
{
    /// <summary>[outputs, inputs].</summary>
    public Tensor Weight { get; } = weights.Get("weight", outputs, inputs);

    /// <summary>[outputs], or null.</summary>
    public Tensor? Bias { get; } = bias ? weights.Get("bias", outputs) : null;

    /// <param name="x">[…, inputs].</param>
    /// <returns>[…, outputs].</returns>
    public Tensor Forward(Tensor x) => linear(x, Weight, Bias);
}
