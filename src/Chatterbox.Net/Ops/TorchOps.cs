using Chatterbox.Ops.Cpu;
using Chatterbox.Ops.Cuda;

namespace Chatterbox.Ops;

/// <summary>The operations that may be done faster on some device, here in plain TorchSharp: the truth that every
/// faster version is tested against and falls back to.</summary>
internal class TorchOps
{
    /// <summary>The plain operations.</summary>
    public static TorchOps Plain { get; } = new();

    /// <summary>The fastest operations of a device.</summary>
    /// <param name="device">With its index, if it is a GPU.</param>
    /// <param name="precision">Whether a CPU may round in another way than torch.</param>
    public static TorchOps Of(Device device, Precision precision = Precision.Full) =>
        CudaOps.UnsupportedReason(device) is null ? new CudaOps(device)
        : device.type == DeviceType.CPU && precision == Precision.Fast ? new CpuOps()
        : Plain;

    /// <summary>Root-mean-square norm over the last dimension, computed in float32.</summary>
    /// <param name="x">[…, size].</param>
    /// <param name="weight">Gain, [size].</param>
    /// <param name="eps">Added to the mean square.</param>
    public virtual Tensor RmsNorm(Tensor x, Tensor weight, double eps)
    {
        using var scope = NewDisposeScope();
        var wide = x.to(ScalarType.Float32);
        var normed = wide * rsqrt(wide.Square().mean([-1], keepdim: true).Add(eps));
        return (weight * normed.to(x.dtype)).MoveToOuterDisposeScope();
    }

    /// <summary>Turns pairs of numbers of a head by their position; number i is paired with i + headDim / 2.</summary>
    /// <param name="x">[rows, time, heads, headDim].</param>
    /// <param name="cos">[time, 1, headDim].</param>
    /// <param name="sin">What a number takes from its partner: negative for the first half, [time, 1, headDim].</param>
    public virtual Tensor Rotate(Tensor x, Tensor cos, Tensor sin)
    {
        using var scope = NewDisposeScope();
        var halves = x.chunk(2, -1);
        return (x * cos).Add(cat([halves[1], halves[0]], -1) * sin).MoveToOuterDisposeScope();
    }

    /// <summary>softmax(q·kᵀ / √headDim + mask)·v.</summary>
    /// <param name="q">[rows, heads, queries, headDim].</param>
    /// <param name="k">[rows, heads, keys, headDim].</param>
    /// <param name="v">[rows, heads, keys, headDim].</param>
    /// <param name="mask">Added to the scores, broadcast to [rows, heads, queries, keys]; null for none.</param>
    /// <param name="causal">Query i sees keys up to i only (queries and keys of equal number, no mask).</param>
    /// <remarks>On a CPU in float32: in a narrower type libtorch is no faster, and fails on a processor with AMX where ATEN_CPU_CAPABILITY
    /// keeps
    /// it from AVX-512.</remarks>
    public virtual Tensor Attention(Tensor q, Tensor k, Tensor v, Tensor? mask = null, bool causal = false)
    {
        using var scope = NewDisposeScope();
        var (type, computed) = (q.dtype, q.device_type == DeviceType.CPU && q.dtype != ScalarType.Float64 ? ScalarType.Float32 : q.dtype);
        return nn
            .functional.scaled_dot_product_attention(q.to(computed), k.to(computed), v.to(computed), mask?.to(computed), 0.0, causal)
            .to(type)
            .MoveToOuterDisposeScope();
    }

    /// <summary>silu(gate) · up.</summary>
    public virtual Tensor SiluGate(Tensor gate, Tensor up)
    {
        using var scope = NewDisposeScope();
        return (nn.functional.silu(gate) * up).MoveToOuterDisposeScope();
    }

    /// <summary>Snake activation: x + sin²(αx) / (α + 1e-9).</summary>
    /// <param name="x">[rows, channels, time].</param>
    /// <param name="alpha">[1, channels, 1].</param>
    public virtual Tensor Snake(Tensor x, Tensor alpha)
    {
        using var scope = NewDisposeScope();
        return x.Add(alpha.Add(1e-9).reciprocal() * sin(x * alpha).Square()).MoveToOuterDisposeScope();
    }

    /// <summary>x·Wᵀ + b over the last dimension.</summary>
    /// <param name="x">[…, inputs].</param>
    /// <param name="weight">[outputs, inputs].</param>
    /// <param name="bias">[outputs], or null.</param>
    public virtual Tensor Linear(Tensor x, Tensor weight, Tensor? bias) => nn.functional.linear(x, weight, bias);

    /// <summary>Layer norm over the last dimension.</summary>
    /// <param name="x">[…, size].</param>
    /// <param name="weight">Gain, [size].</param>
    /// <param name="bias">Shift, [size].</param>
    /// <param name="eps">Added to the variance.</param>
    public virtual Tensor LayerNorm(Tensor x, Tensor weight, Tensor bias, double eps) =>
        nn.functional.layer_norm(x, weight.shape, weight, bias, eps);

    /// <inheritdoc cref="Convolution.Forward(Tensor, Tensor, Tensor?, long, long, long, long)"/>
    public virtual Tensor Convolve(
        Tensor x,
        Tensor weight,
        Tensor? bias,
        long stride = 1,
        long padding = 0,
        long dilation = 1,
        long groups = 1
    ) => Convolution.Forward(x, weight, bias, stride, padding, dilation, groups);

    /// <inheritdoc cref="Convolution.Forward(Tensor, Tensor, Tensor?, ValueTuple{long, long}, long)"/>
    public virtual Tensor Convolve(Tensor x, Tensor weight, Tensor? bias, (long Height, long Width) stride, long padding) =>
        Convolution.Forward(x, weight, bias, stride, padding);

    /// <inheritdoc cref="Convolution.Transposed"/>
    public virtual Tensor ConvolveTransposed(Tensor x, Tensor weight, Tensor bias, long stride, long padding) =>
        Convolution.Transposed(x, weight, bias, stride, padding);
}
