using Chatterbox.Ops.Cuda;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Chatterbox.Ops.Cpu;

/// <summary>The weights of a product as <see cref="RowProducts"/> reads them, [outputs, inputs], in the host's memory.</summary>
internal sealed unsafe class WeightMatrix : IDisposable
{
    private readonly Tensor _weights;
    private readonly Tensor? _scales;
    private Action<int>? _widen;
    private float* _wide;

    /// <param name="weights">Float32, bfloat16 or int8, [outputs, inputs]; taken over.</param>
    /// <param name="scales">Of int8 weights, float32, [outputs, inputs / <see cref="RowProducts.GroupSize"/>]; taken over.</param>
    public WeightMatrix(Tensor weights, Tensor? scales = null)
    {
        (_weights, _scales) = (weights.DetachFromDisposeScope(), scales?.DetachFromDisposeScope());
        (Outputs, Inputs) = ((int)weights.shape[0], (int)weights.shape[1]);
        var format = weights.dtype switch
        {
            ScalarType.Int8 => WeightFormat.Int8,
            ScalarType.BFloat16 => WeightFormat.BFloat16,
            _ => WeightFormat.Float32,
        };
        Address = new((byte*)weights.Address(), scales is null ? null : (float*)scales.Address(), format, Inputs);
    }

    /// <summary>Numbers that come out.</summary>
    public int Outputs { get; }

    /// <summary>Numbers that go in.</summary>
    public int Inputs { get; }

    /// <summary>Where the weights are.</summary>
    public MatrixAddress Address { get; }

    /// <summary>Weights in another format; quantized to the nearest number of it.</summary>
    /// <param name="weights">[outputs, inputs], of floating-point numbers; stays the caller's.</param>
    /// <param name="format">The format.</param>
    public static WeightMatrix Of(Tensor weights, WeightFormat format)
    {
        using var scope = NewDisposeScope();
        if (format != WeightFormat.Int8)
        {
            return new(weights.to(format == WeightFormat.BFloat16 ? ScalarType.BFloat16 : ScalarType.Float32, copy: true).contiguous());
        }

        var wide = weights.to(ScalarType.Float32).contiguous();
        var (outputs, inputs) = (wide.shape[0], (int)wide.shape[1]);
        var quantized = empty([outputs, inputs], ScalarType.Int8);
        var scales = empty([outputs, inputs / RowProducts.GroupSize], ScalarType.Float32);
        var (from, to, scaleOf) = (wide.Address(), quantized.Address(), scales.Address());
        Parallel.For(
            0,
            (int)outputs,
            output =>
            {
                var source = new ReadOnlySpan<float>((float*)from + (output * (long)inputs), inputs);
                var target = new Span<sbyte>((sbyte*)to + (output * (long)inputs), inputs);
                Quantize(
                    source,
                    target,
                    new Span<float>((float*)scaleOf + (output * (long)(inputs / RowProducts.GroupSize)), inputs / RowProducts.GroupSize)
                );
            }
        );
        return new(quantized, scales);
    }

    /// <summary>Why a product of these sizes cannot be computed from such weights, or null.</summary>
    public static string? UnsupportedReason(int inputs) =>
        inputs % RowProducts.GroupSize == 0 ? null : $"a product has {inputs} inputs, which is not a multiple of {RowProducts.GroupSize}";

    /// <summary>The product with many rows, which computing bounds and not memory: the weights are widened, and torch multiplies.</summary>
    /// <param name="x">Float32, [rows, inputs].</param>
    /// <param name="bias">[outputs], or null.</param>
    /// <returns>Float32, [rows, outputs].</returns>
    public Tensor Multiply(Tensor x, Tensor? bias)
    {
        using var scope = NewDisposeScope();
        var wide = Address.Format == WeightFormat.Float32 ? _weights : Widen();
        return nn.functional.linear(x, wide, bias).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _weights.Dispose();
        _scales?.Dispose();
    }

    private static void Quantize(ReadOnlySpan<float> source, Span<sbyte> target, Span<float> scales)
    {
        Span<float> scaled = stackalloc float[RowProducts.GroupSize];
        for (var group = 0; group < scales.Length; group++)
        {
            var numbers = source.Slice(group * RowProducts.GroupSize, RowProducts.GroupSize);
            var scale = scales[group] = Math.Abs(TensorPrimitives.MaxMagnitude(numbers)) / sbyte.MaxValue;
            TensorPrimitives.Multiply(numbers, scale == 0 ? 0 : 1 / scale, scaled);
            TensorPrimitives.Round<float>(scaled, scaled);
            TensorPrimitives.ConvertSaturating<float, sbyte>(scaled, target.Slice(group * RowProducts.GroupSize, RowProducts.GroupSize));
        }
    }

    private Tensor Widen()
    {
        const int Outputs = 64; // of a chunk
        var wide = empty([this.Outputs, Inputs], ScalarType.Float32);
        _wide = (float*)wide.Address();
        WorkerPool.Shared.Run(
            (this.Outputs + Outputs - 1) / Outputs,
            _widen ??= chunk => RowProducts.Widen(Address, chunk * Outputs, Math.Min(this.Outputs, (chunk + 1) * Outputs), _wide)
        );
        return wide;
    }
}
