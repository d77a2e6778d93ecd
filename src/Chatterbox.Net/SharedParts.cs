using System.Text.Json;

namespace Chatterbox;

/// <summary>The parts of models that are in memory: models that are loaded with the same <see cref="SharedParts"/> load equal
/// files once: S3Gen, the voice encoder, the watermark, the text tokenizer.</summary>
/// <remarks>A part is weights and tables, which never change once they are loaded, so models on several threads use it at
/// the same time. It is unloaded with the last model that uses it. Thread-safe.</remarks>
public sealed class SharedParts
{
    private readonly Lock _gate = new();
    private readonly Dictionary<PartKey, Part> _parts = [];
    private readonly KnownCheckpoints _files = new();

    /// <summary>A name for what is in a file: equal for files that are the same, wherever they lie.</summary>
    /// <exception cref="CheckpointException">The file cannot be read.</exception>
    internal string ContentOf(string file) => _files.ContentOf(file);

    /// <summary>Networks on a file's weights.</summary>
    /// <typeparam name="T">The networks.</typeparam>
    /// <param name="file">The file.</param>
    /// <param name="device">Where its weights are put.</param>
    /// <param name="dtype">What they are converted to.</param>
    /// <param name="ops">Operations that the networks compute with.</param>
    /// <param name="sizes">Configs: everything that the networks are built by.</param>
    /// <param name="build">Builds them.</param>
    /// <exception cref="CheckpointException">The file does not fit: names every fault.</exception>
    internal Lease<T> Networks<T>(string file, Device device, ScalarType dtype, TorchOps ops, object[] sizes, Func<WeightScope, T> build)
        where T : class =>
        Rent<T>(
            new PartKey(
                typeof(T),
                ContentOf(file),
                (device.ToString(), dtype, ops.ToString(), JsonSerializer.Serialize(sizes, ChatterboxConfig.Json))
            ),
            () => Load(new WeightStore(Checkpoint.OpenFile(file), device, dtype, ops), build)
        );

    /// <summary>Anything that is made of some files and needs no disposal.</summary>
    /// <param name="files">The files.</param>
    /// <param name="config">The config that it is made by.</param>
    /// <param name="others">What else it is made by.</param>
    /// <param name="make">Makes it.</param>
    internal Lease<T> Made<T>(IEnumerable<string> files, object config, object others, Func<T> make)
        where T : class =>
        Rent<T>(
            new PartKey(
                typeof(T),
                string.Join('\n', files.Select(ContentOf)),
                (JsonSerializer.Serialize(config, ChatterboxConfig.Json), others)
            ),
            () => (make(), null)
        );

    private Lease<T> Rent<T>(PartKey key, Func<(T Value, IDisposable? Weights)> load)
        where T : class
    {
        Part? part;
        lock (_gate)
        {
            if (!_parts.TryGetValue(key, out part))
            {
                _parts[key] = part = new Part(() => load());
            }

            part.Users++;
        }

        try
        {
            return new Lease<T>((T)part.Loaded.Value.Value, () => GiveBack(key, part)); // the first caller loads it, the others wait
        }
        catch
        {
            GiveBack(key, part);
            throw;
        }
    }

    private void GiveBack(PartKey key, Part part)
    {
        lock (_gate)
        {
            if (--part.Users > 0)
            {
                return;
            }

            _parts.Remove(key);
        }

        part.Dispose();
    }

    private static (T Networks, IDisposable Weights) Load<T>(WeightStore weights, Func<WeightScope, T> build)
    {
        try
        {
            using var mode = inference_mode();
            using var scope = NewDisposeScope(); // tables are computed on the way
            var networks = build(weights.Root);
            weights.ThrowIfFaulty();
            return (networks, weights);
        }
        catch
        {
            weights.Dispose();
            throw;
        }
    }

    /// <param name="Type">What it is.</param>
    /// <param name="Content">What it is made of.</param>
    /// <param name="Sizes">What it is made by.</param>
    private sealed record PartKey(Type Type, string Content, object Sizes);

    private sealed class Part(Func<(object Value, IDisposable? Weights)> load) : IDisposable
    {
        public Lazy<(object Value, IDisposable? Weights)> Loaded { get; } = new(load);

        public int Users { get; set; }

        public void Dispose()
        {
            if (Loaded.IsValueCreated)
            {
                (Loaded.Value.Value as IDisposable)?.Dispose();
                Loaded.Value.Weights?.Dispose();
            }
        }
    }
}

/// <summary>A part in use by one model.</summary>
internal sealed class Lease<T>(T value, Action giveBack) : IDisposable
{
    private Action? _giveBack = giveBack;

    /// <summary>The part.</summary>
    public T Value { get; } = value;

    /// <inheritdoc/>
    public void Dispose() => Interlocked.Exchange(ref _giveBack, null)?.Invoke();
}
