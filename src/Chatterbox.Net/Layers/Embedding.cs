namespace Chatterbox.Layers;

/// <summary>A table of vectors by id. Weights: weight [count, size].</summary>
internal sealed class Embedding(WeightScope weights, long count, long size)
{
    private readonly Tensor _weight = weights.Get("weight", count, size);

    /// <summary>Number of ids.</summary>
    public long Count => count;

    /// <summary>The whole table, [count, size].</summary>
    public Tensor Table => _weight;

    /// <param name="ids">Integers in [0, count), of any shape.</param>
    /// <returns>[…, size].</returns>
    public Tensor Forward(Tensor ids) => _weight.index(TensorIndex.Tensor(ids));
}
