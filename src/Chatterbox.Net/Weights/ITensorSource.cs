namespace Chatterbox.Weights;

/// <summary>What a checkpoint says of one tensor before it is read.</summary>
/// <param name="DType">Element type as stored.</param>
/// <param name="Shape">Sizes, outermost first; empty for a scalar.</param>
internal sealed record TensorInfo(ScalarType DType, long[] Shape)
{
    /// <summary>Number of elements.</summary>
    public long Count => Shape.Aggregate(1L, (n, d) => checked(n * d));
}

/// <summary>Where named tensors come from: a file, or a rule.</summary>
internal interface ITensorSource : IDisposable
{
    /// <summary>Name for error messages, such as <c>t3_cfg.safetensors</c>.</summary>
    string Name { get; }

    /// <summary>Every tensor by name.</summary>
    IReadOnlyDictionary<string, TensorInfo> Tensors { get; }

    /// <summary>Reads one tensor as stored, on the CPU, owned by the caller and in no dispose scope.</summary>
    Tensor Read(string name);

    /// <summary>Reads one tensor into memory that is there already, converting its elements if need be.</summary>
    /// <param name="name">The tensor.</param>
    /// <param name="target">A contiguous tensor of its shape, on any device.</param>
    void ReadTo(string name, Tensor target)
    {
        using var stored = Read(name);
        target.copy_(stored);
    }

    /// <summary>Reads one tensor's elements as stored, in order, a piece of whole elements at a time.</summary>
    /// <param name="name">The tensor.</param>
    /// <param name="take">Is given each piece, which is gone when it returns.</param>
    void ReadPieces(string name, Action<ReadOnlySpan<byte>> take)
    {
        using var stored = Read(name);
        take(stored.bytes);
    }
}
