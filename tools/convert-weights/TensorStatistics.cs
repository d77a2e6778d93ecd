using Chatterbox.Weights;
using static TorchSharp.torch;

namespace ConvertWeights;

/// <summary>What a tensor's elements are like. Of complex numbers both parts count.</summary>
/// <param name="Min">The least finite element; null where there is none.</param>
/// <param name="Max">The greatest finite element; null where there is none.</param>
/// <param name="Mean">Mean of the finite elements; null where there are none.</param>
/// <param name="NaN">Elements that are no numbers.</param>
/// <param name="Inf">Elements that are infinite.</param>
internal sealed record TensorStatistics(double? Min, double? Max, double? Mean, long NaN, long Inf)
{
    private const long Piece = 1 << 20;

    /// <summary>Looks at every element, a piece at a time: beside the tensor itself this takes a few megabytes.</summary>
    public static TensorStatistics Of(Tensor tensor)
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        double min = double.PositiveInfinity,
            max = double.NegativeInfinity,
            total = 0;
        long count = 0,
            nan = 0,
            inf = 0;
        foreach (var values in Pieces(tensor))
        {
            var sum = values.sum().item<double>();
            var finite = values;
            if (!double.IsFinite(sum))
            {
                nan += values.isnan().sum().item<long>();
                inf += values.isinf().sum().item<long>();
                finite = values.masked_select(values.isfinite());
                sum = finite.sum().item<double>();
            }

            if (finite.NumberOfElements > 0)
            {
                min = Math.Min(min, finite.min().item<double>());
                max = Math.Max(max, finite.max().item<double>());
                total += sum;
                count += finite.NumberOfElements;
            }
        }

        return count == 0 ? new(null, null, null, nan, inf) : new(min, max, total / count, nan, inf);
    }

    /// <summary>All elements in order as float64, a piece at a time; each piece is gone when the next is asked for.</summary>
    public static IEnumerable<Tensor> Pieces(Tensor tensor)
    {
        using var real = tensor.is_complex() ? tensor.view_as_real() : tensor.alias();
        using var row = real.reshape(-1);
        for (var start = 0L; start < row.NumberOfElements; start += Piece)
        {
            using var part = row.narrow(0, start, Math.Min(Piece, row.NumberOfElements - start));
            using var wide = part.to(ScalarType.Float64);
            yield return wide;
        }
    }
}

/// <summary>Names of element types, as safetensors files spell them.</summary>
internal static class DTypeNames
{
    private static readonly Dictionary<ScalarType, string> Names = SafetensorsFile.DTypes.ToDictionary(d => d.Value.Type, d => d.Key);

    /// <summary>Such as F32 and BF16.</summary>
    public static string NameOf(ScalarType type) =>
        type switch
        {
            ScalarType.ComplexFloat32 => "C64",
            ScalarType.ComplexFloat64 => "C128",
            _ => Names.GetValueOrDefault(type, $"{type}"),
        };

    /// <summary>Bytes that a tensor takes in a file.</summary>
    public static long BytesOf(TensorInfo info) => info.Count * TorchStorage.SizeOf(info.DType);
}
