namespace Chatterbox.Layers;

/// <summary>y = x·Wᵀ + b over the last dimension.</summary>
internal interface ILinear
{
    /// <param name="x">[…, inputs].</param>
    /// <returns>[…, outputs].</returns>
    Tensor Forward(Tensor x);
}
