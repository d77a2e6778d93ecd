namespace Chatterbox.T3;

/// <summary>Which slots of the cache a batch belongs to, and where its new rows go.</summary>
/// <param name="Slot">First slot; row i of the batch is in slot <paramref name="Slot"/> + i.</param>
/// <param name="Count">Rows of the batch.</param>
/// <param name="Start">Position of the batch's first time step: 0 in a prefill; later one time step is given at a time, or the block that
/// is
/// being filled in.</param>
internal readonly record struct CacheRows(int Slot, int Count, int Start);

/// <summary>Keys and values of everything the backbone has seen, one buffer each of [layers, slots, time, heads, headDim].</summary>
/// <remarks>
/// For plain operations the buffers are made as long as the longest sequence needs before it begins, so no step allocates. On
/// the CPU that costs address space only: memory becomes resident as it is written.
/// </remarks>
internal sealed class KvCache(BackboneConfig config, int slots, Device device, ScalarType dtype) : IDisposable
{
    private const int Granularity = 64;

    /// <summary>All keys, [layers, slots, capacity, heads, headDim]; another buffer once there is more room.</summary>
    public Tensor Keys { get; private set; } = Allocate(config, slots, 0, device, dtype);

    /// <summary>All values, of the same shape.</summary>
    public Tensor Values { get; private set; } = Allocate(config, slots, 0, device, dtype);

    /// <summary>Rows that there is room for.</summary>
    public int Slots => slots;

    /// <summary>Time steps that there is room for.</summary>
    public int Capacity => (int)Keys.shape[2];

    /// <summary>Makes room for at least <paramref name="length"/> time steps; what is in the cache stays.</summary>
    public void Reserve(int length)
    {
        if (length > Capacity)
        {
            var capacity = (length + Granularity - 1) / Granularity * Granularity;
            Keys = Grow(Keys, capacity);
            Values = Grow(Values, capacity);
        }
    }

    /// <summary>Writes new keys and values of a layer behind the older ones.</summary>
    /// <param name="layer">Layer, from 0.</param>
    /// <param name="rows">Where they go.</param>
    /// <param name="keys">[rows, time, heads, headDim].</param>
    /// <param name="values">[rows, time, heads, headDim].</param>
    /// <returns>All so far, views of the cache: [rows, heads, start + time, headDim] each.</returns>
    public (Tensor Keys, Tensor Values) Append(int layer, CacheRows rows, Tensor keys, Tensor values) =>
        (Append(Keys, layer, rows, keys), Append(Values, layer, rows, values));

    /// <inheritdoc/>
    public void Dispose()
    {
        Keys.Dispose();
        Values.Dispose();
    }

    private static Tensor Append(Tensor cache, int layer, CacheRows rows, Tensor added)
    {
        using var scope = NewDisposeScope();
        var time = added.shape[1];
        var slots = cache.select(0, layer).narrow(0, rows.Slot, rows.Count); // [rows, capacity, heads, headDim]
        slots.narrow(1, rows.Start, time).copy_(added);
        return slots.narrow(1, 0, rows.Start + time).transpose(1, 2).MoveToOuterDisposeScope();
    }

    private Tensor Grow(Tensor full, int capacity)
    {
        using var scope = NewDisposeScope();
        var grown = Allocate(config, slots, capacity, device, dtype);
        grown.narrow(2, 0, full.shape[2]).copy_(full);
        full.Dispose();
        return grown;
    }

    private static Tensor Allocate(BackboneConfig config, int slots, int capacity, Device device, ScalarType dtype) =>
        empty([config.Layers, slots, capacity, config.Heads, config.HeadDim], dtype, device).DetachFromDisposeScope();
}
