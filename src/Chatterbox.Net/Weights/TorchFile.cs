using System.Collections.Frozen;
using System.Globalization;

namespace Chatterbox.Weights;

/// <summary>
/// A file written by torch.save (.pt, .pth, .pth.tar): a zip archive of a pickle, which describes nested
/// dicts, lists, settings and tensors, and of the tensors' elements.
/// </summary>
/// <remarks>
/// No code of the file is run: see <see cref="PickleReader"/>. The description is checked whole when the file is opened;
/// nothing it says can make a read leave the file, or allocate more than the file holds and 64 MiB. Entries that are deflated, which
/// torch.save never does, are unpacked first. Files from before
/// PyTorch 1.6, TorchScript and big-endian files are recognised and refused. The zip format's checksums are not compared:
/// PyTorch can write files without them. Format: torch/serialization.py.
/// </remarks>
internal sealed class TorchFile : ITensorSource
{
    private const int MaxPickleBytes = 16 << 20;
    private const int MaxDepth = 64;
    private const int MaxValues = 200_000;
    private const int MaxNameLength = 256;

    private readonly WeightFile _file;
    private readonly FrozenDictionary<string, StoredTensor> _tensors;

    private TorchFile(string path, WeightFile file, object? root)
    {
        Name = System.IO.Path.GetFileName(path);
        Path = path;
        _file = file;
        Root = root;
        var tensors = new Dictionary<string, StoredTensor>();
        Collect(StateDict(root), "", tensors);
        _tensors = tensors.ToFrozenDictionary();
        Tensors = tensors.ToFrozenDictionary(t => t.Key, t => t.Value.Info);
    }

    /// <summary>Name of the file, without its folder.</summary>
    public string Name { get; }

    /// <summary>Path that the file was opened by.</summary>
    public string Path { get; }

    /// <summary>What was saved: null, bool, long, double, string, <see cref="ScalarType"/>, <see cref="StoredTensor"/>,
    /// lists and tuples as <see cref="IReadOnlyList{T}"/> and dicts as <see cref="IReadOnlyDictionary{TKey, TValue}"/>
    /// (keys are strings or longs) of such values.</summary>
    public object? Root { get; }

    /// <summary>
    /// Type and shape of each tensor by name: keys joined by dots. Of a training checkpoint, a dict with an entry
    /// <c>model</c> or <c>state_dict</c> (or a list of one such), these are the tensors inside that entry, by their names there.
    /// </summary>
    public IReadOnlyDictionary<string, TensorInfo> Tensors { get; }

    /// <summary>Opens a file and checks everything but the values of its tensors.</summary>
    /// <exception cref="CheckpointException">The file is missing, damaged, of another format, or holds more than plain tensors and
    /// settings.</exception>
    public static TorchFile Open(string path)
    {
        var file = WeightFile.Open(path);
        try
        {
            ThrowIfOtherFormat(file);
            var entries = ZipDirectory.Read(file);
            ThrowIfProgram(entries);
            if (entries.Values.Any(e => e.Method != ZipMethod.Stored))
            {
                var archive = file;
                (file, entries) = DeflatedArchive.Unpack(archive, entries);
                archive.Dispose();
            }

            var root = ReadRoot(file, entries);
            CheckNesting(root);
            return new TorchFile(path, file, root);
        }
        catch (InvalidDataException e)
        {
            file.Dispose();
            throw new CheckpointException($"{path} is not a sound torch archive: {e.Message}. Download or save it again.", e);
        }
        catch (NotSupportedException e)
        {
            file.Dispose();
            throw new CheckpointException($"{path} cannot be used: {e.Message}.", e);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Copies one tensor, as stored, out of the file.</summary>
    /// <returns>A contiguous CPU tensor of the stored type and shape, owned by the caller and in no dispose scope.</returns>
    /// <exception cref="CheckpointException">The file has no tensor of this name.</exception>
    public Tensor Read(string name) =>
        _tensors.TryGetValue(name, out var tensor)
            ? Read(tensor)
            : throw new CheckpointException(
                $"{Path} has no tensor '{name}'. It has {Tensors.Count} others: the file is of another model or version."
            );

    /// <summary>Copies one tensor of <see cref="Root"/>, as stored, out of the file.</summary>
    /// <inheritdoc cref="Read(string)" path="/returns"/>
    public Tensor Read(StoredTensor tensor)
    {
        var storage = tensor.Storage;
        var elements = empty(tensor.IsContiguous ? tensor.Info.Shape : [tensor.Span], storage.DType).DetachFromDisposeScope();
        _file.Read(elements, storage.DType, tensor.FileOffset);
        if (tensor.IsContiguous)
        {
            return elements;
        }

        using (elements)
        using (var view = elements.as_strided(tensor.Info.Shape, tensor.Strides))
        {
            return view.contiguous().DetachFromDisposeScope();
        }
    }

    /// <inheritdoc/>
    void ITensorSource.ReadTo(string name, Tensor target)
    {
        var tensor = _tensors[name];
        if (tensor.IsContiguous)
        {
            _file.Read(target, tensor.Info.DType, tensor.FileOffset);
            return;
        }

        using var stored = Read(tensor);
        target.copy_(stored);
    }

    /// <inheritdoc/>
    void ITensorSource.ReadPieces(string name, Action<ReadOnlySpan<byte>> take)
    {
        var tensor = _tensors[name];
        if (tensor.IsContiguous)
        {
            _file.Read(tensor.FileOffset, tensor.Count * tensor.Storage.ElementSize, take);
            return;
        }

        using var stored = Read(tensor);
        take(stored.bytes);
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    /// <summary>Names the formats that are often found under these extensions instead.</summary>
    private static void ThrowIfOtherFormat(WeightFile file)
    {
        var head = new byte[Math.Min(file.Length, 512)];
        file.Read(head, 0);
        ReadOnlySpan<byte> legacyMagic = [0x80, 0x02, 0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19];
        const string SaveAgain = "In PyTorch 1.6 or later: torch.save(torch.load(path, map_location='cpu'), path)";
        var reason = head switch
        {
            [] => "it is empty. Download it again",
            _ when head.AsSpan().StartsWith(legacyMagic) => $"it is of PyTorch's format from before version 1.6. {SaveAgain}",
            _ when head.Length > 262 && head.AsSpan(257, 5).SequenceEqual("ustar"u8) =>
                $"it is a tar archive, PyTorch's oldest format. {SaveAgain}",
            [0x80, <= 5, ..] => $"it is a bare Python pickle, not a file of torch.save. {SaveAgain}",
            _ when head.AsSpan().StartsWith("version https://git-lfs"u8) =>
                "it is a Git LFS pointer, not the file itself. Download the file: git lfs pull",
            [(byte)'<', ..] => "it is a web page or XML. Download the file itself",
            [0x1F, 0x8B, ..] => "it is compressed with gzip. Unpack it first",
            [(byte)'P', (byte)'K', ..] => null,
            _ => "it is not a zip archive, which torch.save writes. Check that it is the file that was meant",
        };
        if (reason is not null)
        {
            throw new NotSupportedException(reason);
        }
    }

    private static void ThrowIfProgram(IReadOnlyDictionary<string, ZipEntry> entries)
    {
        if (entries.Keys.Any(name => name.EndsWith("/constants.pkl", StringComparison.Ordinal)))
        {
            throw new NotSupportedException(
                "it is a TorchScript program. In Python: torch.save(torch.jit.load(path).state_dict(), other_path)"
            );
        }
    }

    private static object? ReadRoot(WeightFile file, IReadOnlyDictionary<string, ZipEntry> entries)
    {
        const string Pickle = "/data.pkl";
        var pickles = entries
            .Where(e =>
                e.Key.EndsWith(Pickle, StringComparison.Ordinal)
                && e.Key.IndexOf('/', StringComparison.Ordinal) == e.Key.Length - Pickle.Length
            )
            .ToList();
        if (pickles.Count != 1)
        {
            throw new InvalidDataException($"it has {pickles.Count} entries named data.pkl, expected one");
        }

        var folder = pickles[0].Key[..^Pickle.Length];
        if (entries.TryGetValue(folder + "/byteorder", out var order) && Bytes(file, order, 16).AsSpan().SequenceEqual("big"u8))
        {
            throw new NotSupportedException("it was saved on a big-endian machine. Load and save it again on a little-endian one");
        }

        return PickleReader.Read(
            Bytes(file, pickles[0].Value, MaxPickleBytes),
            (key, type, count) => Storage(entries, folder, key, type, count)
        );
    }

    private static TorchStorage Storage(
        IReadOnlyDictionary<string, ZipEntry> entries,
        string folder,
        string key,
        ScalarType type,
        long count
    )
    {
        if (!entries.TryGetValue($"{folder}/data/{key}", out var entry))
        {
            throw new InvalidDataException($"a tensor's elements are to be in an entry of {folder}/data/ that is not there");
        }

        var size = TorchStorage.SizeOf(type);
        return entry.Size % size == 0 && entry.Size / size == count
            ? new TorchStorage(key, type, count, entry.Start)
            : throw new InvalidDataException(
                $"{count} elements of {size} bytes are to be in {folder}/data/{key}, which has {entry.Size} bytes"
            );
    }

    private static byte[] Bytes(WeightFile file, ZipEntry entry, int limit)
    {
        if (entry.Size > limit)
        {
            throw new NotSupportedException($"its description has {entry.Size} bytes, more than any model's ({limit})");
        }

        var bytes = new byte[entry.Size];
        file.Read(bytes, entry.Start);
        return bytes;
    }

    /// <summary>Refuses circles, and values that are shared so often that to walk them would take for ever.</summary>
    private static void CheckNesting(object? root)
    {
        var values = 0;
        void Walk(object? value, int depth)
        {
            if (depth > MaxDepth)
            {
                throw new NotSupportedException($"its values are nested over {MaxDepth} deep, or in a circle");
            }

            if (++values > MaxValues)
            {
                throw new NotSupportedException($"it has over {MaxValues} values, far more than any model");
            }

            switch (value)
            {
                case IReadOnlyDictionary<object, object?> dict:
                    foreach (var item in dict)
                    {
                        Walk(item.Value, depth + 1);
                    }

                    break;
                case IReadOnlyList<object?> list:
                    foreach (var item in list)
                    {
                        Walk(item, depth + 1);
                    }

                    break;
                case null or bool or long or double or string or ScalarType or StoredTensor:
                    break;
                default:
                    throw new NotSupportedException("it holds something other than tensors, settings, lists and dicts");
            }
        }

        Walk(root, 0);
    }

    private static object? StateDict(object? root)
    {
        foreach (var key in (ReadOnlySpan<string>)["model", "state_dict"])
        {
            if (root is IReadOnlyDictionary<object, object?> dict && dict.TryGetValue(key, out var inside))
            {
                switch (inside)
                {
                    case IReadOnlyDictionary<object, object?>:
                        return inside;
                    case IReadOnlyList<object?> list when list is [IReadOnlyDictionary<object, object?> only]:
                        return only;
                }
            }
        }

        return root;
    }

    private static void Collect(object? value, string name, Dictionary<string, StoredTensor> tensors)
    {
        string Inside(object key) => (name.Length == 0 ? "" : name + ".") + Convert.ToString(key, CultureInfo.InvariantCulture);
        if (name.Length > MaxNameLength)
        {
            throw new NotSupportedException($"it has a name of over {MaxNameLength} characters, longer than any model's");
        }

        switch (value)
        {
            case StoredTensor tensor:
                if (!tensors.TryAdd(name, tensor))
                {
                    throw new InvalidDataException("two of its tensors have the same name");
                }

                break;
            case IReadOnlyDictionary<object, object?> dict:
                foreach (var (key, item) in dict)
                {
                    Collect(item, Inside(key), tensors);
                }

                break;
            case IReadOnlyList<object?> list:
                for (var i = 0; i < list.Count; i++)
                {
                    Collect(list[i], Inside((long)i), tensors);
                }

                break;
        }
    }
}
