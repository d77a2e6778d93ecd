using Chatterbox.Ops.Cuda;

namespace Chatterbox.Ops.Cpu;

/// <summary>A linear layer on a <see cref="WeightMatrix"/>. For one thread at a time.</summary>
/// <param name="linear">The layer's weights, which are copied.</param>
/// <param name="format">How the copy is kept.</param>
internal sealed unsafe class CpuLinear(Linear linear, WeightFormat format) : ILinear, IDisposable
{
    private readonly WeightMatrix _weights = WeightMatrix.Of(linear.Weight, format);
    private readonly Tensor? _bias = linear.Bias?.to(ScalarType.Float32, copy: true).DetachFromDisposeScope();
    private readonly ThreadedProducts _products = new(WorkerPool.Shared);

    /// <inheritdoc/>
    public Tensor Forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        var flat = x.reshape(-1, _weights.Inputs).contiguous();
        return Multiply(flat).reshape([.. x.shape[..^1], _weights.Outputs]).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _weights.Dispose();
        _bias?.Dispose();
    }

    private Tensor Multiply(Tensor x)
    {
        if (x.shape[0] > ThreadedProducts.MostRows)
        {
            return _weights.Multiply(x, _bias);
        }

        var y = empty([x.shape[0], _weights.Outputs], ScalarType.Float32);
        _products.Multiply(
            _weights,
            _bias is null ? null : (float*)_bias.Address(),
            (float*)x.Address(),
            (int)x.shape[0],
            (float*)y.Address()
        );
        return y;
    }
}
