using System.Buffers;
using Chatterbox;
using Chatterbox.Layers;
using Chatterbox.Weights;
using static TorchSharp.torch;

namespace ConvertWeights;

/// <summary>Tensors of one file on their way into another: a piece at a time, and read when their turn to be written comes.</summary>
/// <param name="source">The file.</param>
/// <param name="type">Element type of floating-point numbers; null leaves them as stored.</param>
/// <param name="folds">Writes weights in place of weight norms.</param>
/// <param name="progress">Receives the bytes of each piece.</param>
/// <param name="cancellationToken">Looked at before each piece.</param>
internal sealed class TensorConversion(
    ITensorSource source,
    ScalarType? type,
    bool folds,
    Action<long> progress,
    CancellationToken cancellationToken
)
{
    /// <summary>What becomes of tensors.</summary>
    /// <param name="names">Their names; of a weight norm both.</param>
    public IEnumerable<TensorToWrite> Of(IEnumerable<string> names) =>
        names
            .Where(name => !folds || !name.EndsWith(WeightNorm.Magnitude, StringComparison.Ordinal))
            .Order(StringComparer.Ordinal)
            .Select(name => folds && name.EndsWith(WeightNorm.Direction, StringComparison.Ordinal) ? Folded(name) : Plain(name));

    private TensorToWrite Plain(string name)
    {
        var info = source.Tensors[name];
        var wanted = WantedOf(info);
        return new TensorToWrite(
            name,
            info with
            {
                DType = wanted,
            },
            stream => source.ReadPieces(name, piece => Write(stream, name, piece, info.DType, wanted))
        );
    }

    private TensorToWrite Folded(string direction)
    {
        var prefix = direction[..^WeightNorm.Direction.Length];
        var info = source.Tensors[direction];
        var wanted = WantedOf(info);
        return new TensorToWrite(
            prefix + "weight",
            info with
            {
                DType = wanted,
            },
            stream =>
            {
                using var g = source.Read(prefix + WeightNorm.Magnitude);
                using var v = source.Read(direction);
                using var scope = NewDisposeScope();
                var weight = WeightNorm.Fold(g.to(ScalarType.Float32), v.to(ScalarType.Float32));
                Write(stream, direction, weight.bytes, ScalarType.Float32, wanted);
            }
        );
    }

    private ScalarType WantedOf(TensorInfo info) => type is { } wanted && FloatConversion.Knows(info.DType) ? wanted : info.DType;

    private void Write(Stream stream, string name, ReadOnlySpan<byte> elements, ScalarType stored, ScalarType wanted)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (stored == wanted)
        {
            stream.Write(elements);
        }
        else
        {
            var bytes = elements.Length / TorchStorage.SizeOf(stored) * TorchStorage.SizeOf(wanted);
            var converted = ArrayPool<byte>.Shared.Rent(bytes);
            if (!FloatConversion.Convert(elements, stored, converted.AsSpan(0, bytes), wanted))
            {
                throw BeyondRange(name, wanted);
            }

            stream.Write(converted, 0, bytes);
            ArrayPool<byte>.Shared.Return(converted);
        }

        progress(elements.Length);
    }

    private CheckpointException BeyondRange(string name, ScalarType type)
    {
        using var tensor = source.Read(name);
        var values = TensorStatistics.Of(tensor);
        return new CheckpointException(
            $"{source.Name}: '{name}' has values from {values.Min:G4} to {values.Max:G4}, which {DTypeNames.NameOf(type)} cannot hold. "
                + $"Keep this part in f32, or choose bf16."
        );
    }
}
