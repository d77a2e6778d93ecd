namespace Chatterbox.Models;

/// <summary>
/// The weights of a small network by the rule of the full-size ones: each tensor keeps its name and offset, and its scale
/// is adapted to the number of inputs it sums over. T3's are given a clock, so that it stops.
/// </summary>
internal sealed class TinyTensors : ITensorSource
{
    private readonly SyntheticTensors _rule;
    private readonly SyntheticStopToken _clock;

    /// <param name="full">The full-size model's file with the same names.</param>
    /// <param name="shapes">Names and shapes that the small network asks for.</param>
    /// <param name="clock">What T3 stops by; other files have none of its tensors.</param>
    public TinyTensors(SyntheticTensors full, IReadOnlyDictionary<string, long[]> shapes, SyntheticStopToken clock)
    {
        _clock = clock;
        _rule = new SyntheticTensors($"tiny {full.Name}", shapes.ToDictionary(t => t.Key, t => Shrink(full[t.Key], t.Key, t.Value)));
    }

    /// <inheritdoc/>
    public string Name => _rule.Name;

    /// <inheritdoc/>
    public IReadOnlyDictionary<string, TensorInfo> Tensors => _rule.Tensors;

    /// <inheritdoc/>
    public Tensor Read(string name)
    {
        using var scope = NewDisposeScope();
        var tensor = _rule.Read(name);
        _clock.PutInto(name, tensor);
        return tensor;
    }

    /// <inheritdoc/>
    public void Dispose() => _rule.Dispose();

    private static SyntheticTensor Shrink(SyntheticTensor full, string name, long[] shape)
    {
        // Tables are looked up, norms and biases are not summed: only weights that sum over inputs are scaled.
        var sums =
            shape.Length >= 2 && !name.Contains("emb", StringComparison.Ordinal) && !name.EndsWith("wpe.weight", StringComparison.Ordinal);
        var inputs = (double)full.Info.Shape.Skip(1).Aggregate(1L, (n, d) => n * d);
        var fewer = (double)shape.Skip(1).Aggregate(1L, (n, d) => n * d);
        return new SyntheticTensor(
            new TensorInfo(full.Info.DType, shape),
            full.Offset,
            sums ? (float)(full.Scale * Math.Sqrt(inputs / fewer)) : full.Scale
        );
    }
}
