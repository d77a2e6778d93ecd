namespace Chatterbox.Layers;

/// <summary>Layer norm over the last dimension. Weights: weight [size], bias [size].</summary>
internal sealed class LayerNorm(WeightScope weights, long size, double eps = 1e-5)
{
    private readonly TorchOps _ops = weights.Ops;

    /// <summary>Gain, [size].</summary>
    public Tensor Weight { get; } = weights.Get("weight", size);

    /// <summary>Shift, [size].</summary>
    public Tensor Bias { get; } = weights.Get("bias", size);

    /// <param name="x">[…, size].</param>
    public Tensor Forward(Tensor x) => _ops.LayerNorm(x, Weight, Bias, eps);
}

/// <summary>Root-mean-square norm over the last dimension. Weights: weight [size].</summary>
internal sealed class RmsNorm(WeightScope weights, TorchOps ops, long size, double eps)
{
    /// <summary>Gain, [size].</summary>
    public Tensor Weight { get; } = weights.Get("weight", size);

    /// <param name="x">[…, size].</param>
    public Tensor Forward(Tensor x) => ops.RmsNorm(x, Weight, eps);
}

/// <summary>
/// Batch norm as it acts in inference: a scale and a shift for each channel, computed once from the running statistics.
/// Weights: running_mean, running_var [channels]; weight, bias [channels] where affine; num_batches_tracked is unused.
/// </summary>
internal sealed class BatchNorm
{
    private readonly Tensor _scale;
    private readonly Tensor _shift;

    /// <param name="weights">Scope of the norm.</param>
    /// <param name="channels">Size of dimension 1 of the input.</param>
    /// <param name="dimensions">Dimensions of the input: 2 for [rows, channels], 3 with time, 4 for images.</param>
    /// <param name="affine">False where the norm has no weight and bias.</param>
    /// <param name="eps">Added to the variance.</param>
    public BatchNorm(WeightScope weights, long channels, int dimensions, bool affine = true, double eps = 1e-5)
    {
        weights.Skip("num_batches_tracked");
        using var scope = NewDisposeScope();
        var mean = weights.Get("running_mean", channels);
        var variance = weights.Get("running_var", channels);
        var scale = rsqrt(variance.Add(eps));
        if (affine)
        {
            scale *= weights.Get("weight", channels);
        }

        var shift = -mean * scale;
        if (affine)
        {
            shift = shift.Add(weights.Get("bias", channels));
        }

        long[] shape = [1, channels, .. Enumerable.Repeat(1L, dimensions - 2)];
        _scale = weights.Own(scale.reshape(shape));
        _shift = weights.Own(shift.reshape(shape));
    }

    /// <param name="x">[rows, channels, …].</param>
    public Tensor Forward(Tensor x) => x.MulAdd(_scale, _shift);
}
