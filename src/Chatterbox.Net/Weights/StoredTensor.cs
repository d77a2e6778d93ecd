namespace Chatterbox.Weights;

/// <summary>The elements that one or more tensors of a torch archive are views of.</summary>
/// <param name="Key">Its name in the archive.</param>
/// <param name="DType">Element type.</param>
/// <param name="Count">Number of elements.</param>
/// <param name="FileOffset">Where its first byte lies in the file.</param>
internal sealed record TorchStorage(string Key, ScalarType DType, long Count, long FileOffset)
{
    /// <summary>Bytes of an element.</summary>
    public int ElementSize => SizeOf(DType);

    /// <summary>Bytes of an element of a type that archives can hold.</summary>
    public static int SizeOf(ScalarType type) =>
        type switch
        {
            ScalarType.ComplexFloat64 => 16,
            ScalarType.Float64 or ScalarType.Int64 or ScalarType.ComplexFloat32 => 8,
            ScalarType.Float32 or ScalarType.Int32 => 4,
            ScalarType.Float16 or ScalarType.BFloat16 or ScalarType.Int16 => 2,
            _ => 1,
        };
}

/// <summary>A tensor inside a torch archive, not read yet: a view of a storage that other tensors may share.</summary>
internal sealed class StoredTensor
{
    private const long MaxRepeatedBytes = 64 << 20;

    /// <exception cref="InvalidDataException">The view does not lie inside its storage.</exception>
    /// <exception cref="NotSupportedException">The tensor is larger than any of these models.</exception>
    internal StoredTensor(TorchStorage storage, long offset, long[] shape, long[] strides)
    {
        Storage = storage;
        Offset = offset;
        Strides = strides;
        Info = new TensorInfo(storage.DType, shape);
        (Count, Span) = Measure();
    }

    /// <summary>Element type and shape.</summary>
    public TensorInfo Info { get; }

    internal TorchStorage Storage { get; }

    /// <summary>Place of the first element in the storage.</summary>
    internal long Offset { get; }

    internal long[] Strides { get; }

    /// <summary>Number of elements.</summary>
    internal long Count { get; }

    /// <summary>Number of the storage's elements from the first to the last that the tensor shows.</summary>
    internal long Span { get; }

    /// <summary>Where the first element lies in the file.</summary>
    internal long FileOffset => Storage.FileOffset + (Offset * Storage.ElementSize);

    /// <summary>True if the elements lie in the storage one behind the other in the tensor's own order.</summary>
    internal bool IsContiguous
    {
        get
        {
            var expected = 1L;
            for (var i = Strides.Length - 1; i >= 0; i--)
            {
                if (Info.Shape[i] != 1 && Strides[i] != expected)
                {
                    return Count == 0;
                }

                expected *= Info.Shape[i];
            }

            return true;
        }
    }

    private (long Count, long Span) Measure()
    {
        InvalidDataException Outside() =>
            new(
                $"a tensor of shape [{string.Join(", ", Info.Shape)}], strides [{string.Join(", ", Strides)}] at {Offset} lies outside "
                    + $"storage '{Storage.Key}' of {Storage.Count} elements"
            );

        if (Offset < 0 || Info.Shape.Any(d => d < 0) || Strides.Any(s => s < 0))
        {
            throw Outside();
        }

        if (Info.Shape.Contains(0))
        {
            return Offset <= Storage.Count ? (0, 0) : throw Outside();
        }

        try
        {
            var count = Info.Count;
            var span = 1 + Info.Shape.Zip(Strides).Sum(d => checked((d.First - 1) * d.Second));
            if (checked(Offset + span) > Storage.Count)
            {
                throw Outside();
            }

            // Repeated elements (stride 0) need no place in the file: without a limit a short file could ask for any memory.
            var limit = count > Storage.Count ? MaxRepeatedBytes : int.MaxValue;
            return count <= limit / Storage.ElementSize
                ? (count, span)
                : throw new NotSupportedException(
                    $"it has a tensor of shape [{string.Join(", ", Info.Shape)}] on {Storage.Count} stored elements, larger than any "
                        + $"tensor of these models"
                );
        }
        catch (OverflowException)
        {
            throw Outside();
        }
    }
}
