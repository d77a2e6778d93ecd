using System.Text;

namespace Chatterbox.Weights;

/// <summary>
/// The weights of one checkpoint file on one device: hands them to the constructors of networks through scopes, owns
/// what it has handed out, and knows in the end what was wrong with the file.
/// </summary>
/// <remarks>
/// Constructors ask for each tensor by name and shape. What is missing or misshapen is noted and replaced by zeros, so
/// that one message can name every fault; <see cref="ThrowIfFaulty"/>, called once the networks are built, throws it.
/// </remarks>
/// <param name="source">The file.</param>
/// <param name="device">The device that weights are put on; null for the CPU.</param>
/// <param name="dtype">Element type that floating-point weights are converted to; integers stay as they are.</param>
/// <param name="ops">Operations that the networks compute with; null for the plain ones.</param>
internal sealed class WeightStore(ITensorSource source, Device? device = null, ScalarType dtype = ScalarType.Float32, TorchOps? ops = null)
    : IDisposable
{
    private const int FaultsShown = 50; // of each kind

    private readonly OwnedWeights _owned = new();
    private readonly HashSet<string> _read = [];
    private readonly Dictionary<string, long[]> _asked = [];
    private readonly List<string> _faults = [];

    /// <summary>The device that weights are put on.</summary>
    public Device Device { get; } = device ?? CPU;

    /// <summary>Element type that floating-point weights are converted to; integers stay as they are.</summary>
    public ScalarType DType { get; } = dtype;

    /// <summary>Operations that the networks compute with.</summary>
    public TorchOps Ops { get; } = ops ?? TorchOps.Plain;

    /// <summary>The scope of the whole file.</summary>
    public WeightScope Root => new(this, "", DType, Device, _owned);

    /// <summary>Name and shape of every tensor that was asked for: of an empty source, all that a network of these sizes needs.</summary>
    public IReadOnlyDictionary<string, long[]> Asked => _asked;

    /// <summary>Throws if <see cref="Faults"/> finds any.</summary>
    /// <exception cref="CheckpointException">Names every fault.</exception>
    public void ThrowIfFaulty()
    {
        if (Faults() is { } faults)
        {
            throw new CheckpointException(faults);
        }
    }

    /// <summary>What was wrong with the file, once the networks are built: tensors that were asked for and are missing or
    /// misshapen, and tensors that nobody asked for; null if it fits.</summary>
    public string? Faults()
    {
        var unread = source
            .Tensors.Keys.Where(name => !_read.Contains(name))
            .Select(name => $"'{name}' is not part of this model")
            .ToList();
        var count = _faults.Count + unread.Count;
        if (count == 0)
        {
            return null;
        }

        var message = new StringBuilder($"{source.Name} does not fit this model ({count} fault{(count == 1 ? "" : "s")}):");
        foreach (var kind in new[] { _faults, unread })
        {
            kind.Take(FaultsShown).ToList().ForEach(fault => message.Append("\n  ").Append(fault));
            if (kind.Count > FaultsShown)
            {
                message.Append($"\n  … and {kind.Count - FaultsShown} more of this kind");
            }
        }

        message.Append(
            "\nThe file is of another model or another version: load the variant it belongs to, or download or convert it again."
        );
        return message.ToString();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _owned.Dispose();
        source.Dispose();
    }

    internal bool Has(string name) => source.Tensors.ContainsKey(name);

    internal Tensor Get(string name, ScalarType dtype, Device device, OwnedWeights owner, ReadOnlySpan<long> shape)
    {
        if (!Fits(name, shape))
        {
            return owner.Own(zeros(shape, dtype, device));
        }

        var stored = source.Tensors[name].DType;
        var tensor = owner.Own(empty(shape, FloatConversion.Knows(stored) ? dtype : stored, device));
        if (device.type != DeviceType.META)
        {
            source.ReadTo(name, tensor);
        }

        return tensor;
    }

    /// <summary>Several tensors of one shape, one after the other along the first dimension, read into their places.</summary>
    internal Tensor GetStacked(IReadOnlyList<string> names, ScalarType dtype, OwnedWeights owner, ReadOnlySpan<long> shape)
    {
        using var scope = NewDisposeScope();
        var stacked = owner.Own(empty([names.Count * shape[0], .. shape[1..]], dtype, Device));
        foreach (var (i, name) in names.Index())
        {
            var place = stacked.narrow(0, i * shape[0], shape[0]);
            if (Fits(name, shape))
            {
                source.ReadTo(name, place);
            }
            else
            {
                place.Fill(0);
            }
        }

        return stacked;
    }

    internal void Skip(Func<string, bool> names) => _read.UnionWith(source.Tensors.Keys.Where(names));

    /// <summary>Notes that a tensor was asked for, and what is wrong with it.</summary>
    private bool Fits(string name, ReadOnlySpan<long> shape)
    {
        _read.Add(name);
        _asked[name] = shape.ToArray();
        if (!source.Tensors.TryGetValue(name, out var info))
        {
            _faults.Add($"'{name}' [{string.Join(", ", shape.ToArray())}] is missing");
            return false;
        }

        if (!info.Shape.AsSpan().SequenceEqual(shape))
        {
            _faults.Add($"'{name}' has shape [{string.Join(", ", info.Shape)}], expected [{string.Join(", ", shape.ToArray())}]");
            return false;
        }

        return true;
    }
}

/// <summary>Weights, and what was made of them, that go together.</summary>
internal sealed class OwnedWeights : IDisposable
{
    private readonly HashSet<IDisposable> _owned = new(ReferenceEqualityComparer.Instance); // tensors compare by value

    /// <summary>Takes a tensor over.</summary>
    public Tensor Own(Tensor tensor)
    {
        Own<Tensor>(tensor.DetachFromDisposeScope());
        return tensor;
    }

    /// <summary>Takes something else over.</summary>
    public T Own<T>(T owned)
        where T : class, IDisposable
    {
        lock (_owned)
        {
            _owned.Add(owned);
        }

        return owned;
    }

    /// <summary>Frees what is no longer needed, such as a tensor that another was computed from.</summary>
    public void Release(IDisposable owned)
    {
        lock (_owned)
        {
            _owned.Remove(owned);
        }

        owned.Dispose();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var owned in _owned)
        {
            owned.Dispose();
        }

        _owned.Clear();
    }
}

/// <summary>A place in a checkpoint's names, such as <c>tfmr.layers.0.</c>: what a module's constructor is given.</summary>
internal readonly struct WeightScope(WeightStore store, string prefix, ScalarType dtype, Device device, OwnedWeights owner)
{
    /// <summary>The scope of a part: <c>weights["mlp"]["down_proj"]</c>, or <c>weights[3]</c> for an item of a list.</summary>
    public WeightScope this[string part] => new(store, $"{prefix}{part}.", dtype, Device, owner);

    /// <inheritdoc cref="this[string]"/>
    public WeightScope this[int item] => new(store, $"{prefix}{item}.", dtype, Device, owner);

    /// <summary>The same place with its weights in float32, whatever the store's element type: for parts that reduced
    /// precision would ruin.</summary>
    public WeightScope InFloat32 => new(store, prefix, ScalarType.Float32, Device, owner);

    /// <summary>The same place with its weights in another element type.</summary>
    public WeightScope In(ScalarType type) => new(store, prefix, type, Device, owner);

    /// <summary>The same place with its weights in the host's memory: for parts whose kernels make a copy of their own.</summary>
    /// <param name="passing">Owns them in the store's stead: they can go once they are copied.</param>
    public WeightScope InHost(OwnedWeights passing) => new(store, prefix, dtype, CPU, passing);

    /// <summary>The same place with weights that have shapes but no numbers: for a network that is only to be checked against the
    /// file, and built when it is needed.</summary>
    public WeightScope Unread => new(store, prefix, dtype, META, owner);

    /// <summary>The device that the weights are on.</summary>
    public Device Device => device;

    /// <summary>Element type of the weights.</summary>
    public ScalarType DType => dtype;

    /// <summary>Operations that the networks compute with.</summary>
    public TorchOps Ops => store.Ops;

    /// <summary>True if the file has this tensor.</summary>
    public bool Has(string name) => store.Has(prefix + name);

    /// <summary>A tensor of exactly this shape, owned by the store and living as long as it.</summary>
    public Tensor Get(string name, params ReadOnlySpan<long> shape) => store.Get(prefix + name, dtype, Device, owner, shape);

    /// <summary>Tensors of several parts, each of this shape, one after the other along the first dimension: the weight of
    /// layers that are computed as one.</summary>
    public Tensor GetStacked(IReadOnlyList<string> parts, string name, params ReadOnlySpan<long> shape)
    {
        var at = prefix;
        return store.GetStacked([.. parts.Select(part => $"{at}{part}.{name}")], dtype, owner, shape);
    }

    /// <summary>Marks tensors that the files carry and inference does not use; <c>*</c> stands for any text.</summary>
    public void Skip(params ReadOnlySpan<string> names)
    {
        foreach (var name in names)
        {
            var full = prefix + name;
            var star = full.IndexOf('*', StringComparison.Ordinal);
            store.Skip(
                star < 0
                    ? candidate => candidate == full
                    : candidate =>
                        candidate.StartsWith(full[..star], StringComparison.Ordinal)
                        && candidate.EndsWith(full[(star + 1)..], StringComparison.Ordinal)
            );
        }
    }

    /// <summary>Hands a tensor computed from weights (or a table) over to the store, to live as long as they do.</summary>
    public Tensor Own(Tensor computed) => owner.Own(computed);

    /// <summary>Hands something made of the weights over to the store, to live as long as they do.</summary>
    public T Own<T>(T owned)
        where T : class, IDisposable => owner.Own(owned);

    /// <summary>Frees what is no longer needed, such as a tensor that another was computed from.</summary>
    public void Release(IDisposable owned) => owner.Release(owned);
}
