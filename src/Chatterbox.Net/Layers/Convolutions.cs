using static TorchSharp.torch.nn.functional;

namespace Chatterbox.Layers;

/// <summary>Convolution over time. Weights: weight [outputs, inputs / groups, kernel] (or its weight norm), bias [outputs].</summary>
internal sealed class Conv1d(
    WeightScope weights,
    long inputs,
    long outputs,
    long kernel,
    long stride = 1,
    long padding = 0,
    long dilation = 1,
    long groups = 1,
    bool bias = true,
    bool weightNorm = false
)
{
    private readonly TorchOps _ops = weights.Ops;

    /// <summary>[outputs, inputs / groups, kernel].</summary>
    public Tensor Weight { get; } =
        weightNorm ? WeightNorm.Get(weights, outputs, inputs / groups, kernel) : weights.Get("weight", outputs, inputs / groups, kernel);

    /// <summary>[outputs], or null.</summary>
    public Tensor? Bias { get; } = bias ? weights.Get("bias", outputs) : null;

    /// <param name="x">[rows, inputs, time].</param>
    /// <returns>[rows, outputs, time'].</returns>
    public Tensor Forward(Tensor x) => _ops.Convolve(x, Weight, Bias, stride, padding, dilation, groups);

    /// <summary>The same as a matrix product with the time steps that each output sees; without dilation and groups. On a GPU
    /// torch's convolution makes a plan for each length that it has not seen, which takes a millisecond; a product needs none.</summary>
    /// <param name="x">[rows, time, inputs].</param>
    /// <returns>[rows, time', outputs].</returns>
    /// <exception cref="NotSupportedException">It has dilation or groups.</exception>
    public Tensor Multiply(Tensor x)
    {
        if (dilation != 1 || groups != 1)
        {
            throw new NotSupportedException("A convolution with dilation or groups is no plain product: use Forward.");
        }

        using var scope = NewDisposeScope();
        var windows = pad(x, (0, 0, padding, padding)).unfold(1, kernel, stride); // [rows, time', inputs, kernel]
        var y = matmul(windows.flatten(2), Weight.flatten(1).t()); // torch's linear layer would plan, too
        return (Bias is null ? y : y.AddInPlace(Bias)).MoveToOuterDisposeScope();
    }
}

/// <summary>Convolution over time that sees the past only: zeros are put in front. Weights as <see cref="Conv1d"/>.</summary>
internal sealed class CausalConv1d(WeightScope weights, long inputs, long outputs, long kernel)
{
    private readonly Conv1d _conv = new(weights, inputs, outputs, kernel);

    /// <inheritdoc cref="Conv1d.Weight"/>
    public Tensor Weight => _conv.Weight;

    /// <inheritdoc cref="Conv1d.Bias"/>
    public Tensor? Bias => _conv.Bias;

    /// <param name="x">[rows, inputs, time].</param>
    /// <returns>[rows, outputs, time].</returns>
    public Tensor Forward(Tensor x)
    {
        using var padded = pad(x, (kernel - 1, 0));
        return _conv.Forward(padded);
    }

    /// <inheritdoc cref="Conv1d.Multiply"/>
    public Tensor Multiply(Tensor x)
    {
        using var padded = pad(x, (0, 0, kernel - 1, 0));
        return _conv.Multiply(padded);
    }
}

/// <summary>Transposed convolution over time. Weights: weight [inputs, outputs, kernel] (or its weight norm), bias [outputs].</summary>
internal sealed class ConvTranspose1d(
    WeightScope weights,
    long inputs,
    long outputs,
    long kernel,
    long stride,
    long padding = 0,
    bool weightNorm = false
)
{
    private readonly TorchOps _ops = weights.Ops;

    /// <summary>[inputs, outputs, kernel].</summary>
    public Tensor Weight { get; } =
        weightNorm ? WeightNorm.Get(weights, inputs, outputs, kernel) : weights.Get("weight", inputs, outputs, kernel);

    /// <summary>[outputs].</summary>
    public Tensor Bias { get; } = weights.Get("bias", outputs);

    /// <param name="x">[rows, inputs, time].</param>
    /// <returns>[rows, outputs, (time − 1)·stride − 2·padding + kernel].</returns>
    public Tensor Forward(Tensor x) => _ops.ConvolveTransposed(x, Weight, Bias, stride, padding);
}

/// <summary>Convolution over images. Weights: weight [outputs, inputs, kernel, kernel], bias [outputs] where there is one.</summary>
internal sealed class Conv2d(
    WeightScope weights,
    long inputs,
    long outputs,
    long kernel,
    (long Height, long Width) stride,
    long padding = 0,
    bool bias = true
)
{
    private readonly TorchOps _ops = weights.Ops;
    private readonly Tensor _weight = weights.Get("weight", outputs, inputs, kernel, kernel);
    private readonly Tensor? _bias = bias ? weights.Get("bias", outputs) : null;

    /// <param name="x">[rows, inputs, height, width].</param>
    public Tensor Forward(Tensor x) => _ops.Convolve(x, _weight, _bias, stride, padding);
}

/// <summary>Weight norm: w = g·v / ‖v‖, the norm over all dimensions but the first. Weights: parametrizations.weight.original0 (g)
/// [first, 1, 1] and original1 (v) [first, second, kernel], as torch's parametrization stores it; or weight, folded already.</summary>
internal static class WeightNorm
{
    /// <summary>Name of g.</summary>
    public const string Magnitude = "parametrizations.weight.original0";

    /// <summary>Name of v.</summary>
    public const string Direction = "parametrizations.weight.original1";

    /// <summary>The plain weight, [first, second, kernel]; g and v are not kept.</summary>
    public static Tensor Get(WeightScope weights, long first, long second, long kernel)
    {
        if (weights.Has("weight"))
        {
            return weights.Get("weight", first, second, kernel);
        }

        using var scope = NewDisposeScope();
        var wide = weights.InFloat32; // so that the quotient is rounded once
        var g = wide.Get(Magnitude, first, 1, 1);
        var v = wide.Get(Direction, first, second, kernel);
        var weight = weights.Own(Fold(g, v).to(weights.DType));
        weights.Release(g);
        weights.Release(v);
        return weight;
    }

    /// <summary>The plain weight, of the shape of v.</summary>
    public static Tensor Fold(Tensor g, Tensor v)
    {
        using var scope = NewDisposeScope();
        return (v * (g / v.Square().sum([1, 2], keepdim: true).sqrt())).MoveToOuterDisposeScope();
    }
}
