using System.Buffers.Binary;
using System.Collections.Frozen;
using System.Text;
using System.Text.Json;

namespace Chatterbox.Weights;

/// <summary>
/// A safetensors file: eight bytes of header length, a JSON header of names, types, shapes and byte
/// ranges, then the data.
/// </summary>
/// <remarks>
/// The header is checked whole when the file is opened; nothing it says can make a read leave the file or allocate more
/// than the file holds. Format: github.com/huggingface/safetensors.
/// </remarks>
internal sealed class SafetensorsFile : ITensorSource
{
    private const int MaxHeaderBytes = 100_000_000; // the reference implementation's own limit

    internal static readonly FrozenDictionary<string, (ScalarType Type, int Size)> DTypes = new Dictionary<string, (ScalarType, int)>
    {
        ["F64"] = (ScalarType.Float64, 8),
        ["F32"] = (ScalarType.Float32, 4),
        ["F16"] = (ScalarType.Float16, 2),
        ["BF16"] = (ScalarType.BFloat16, 2),
        ["I64"] = (ScalarType.Int64, 8),
        ["I32"] = (ScalarType.Int32, 4),
        ["I16"] = (ScalarType.Int16, 2),
        ["I8"] = (ScalarType.Int8, 1),
        ["U8"] = (ScalarType.Byte, 1),
        ["BOOL"] = (ScalarType.Bool, 1),
    }.ToFrozenDictionary();

    private readonly WeightFile _file;
    private readonly long _dataStart;
    private readonly FrozenDictionary<string, (long Offset, long Bytes)> _ranges;

    private SafetensorsFile(string path, WeightFile file, Header header)
    {
        Name = System.IO.Path.GetFileName(path);
        Path = path;
        _file = file;
        _dataStart = header.DataStart;
        _ranges = header.Ranges.ToFrozenDictionary();
        Tensors = header.Tensors.ToFrozenDictionary();
        Metadata = header.Metadata.ToFrozenDictionary();
    }

    /// <summary>Name of the file, without its folder.</summary>
    public string Name { get; }

    /// <summary>Path that the file was opened by.</summary>
    public string Path { get; }

    /// <summary>Type and shape of each tensor by name.</summary>
    public IReadOnlyDictionary<string, TensorInfo> Tensors { get; }

    /// <summary>The free-form strings of <c>__metadata__</c>; empty where there are none.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>Opens a file and checks its header.</summary>
    /// <exception cref="CheckpointException">The file is missing, truncated, or not a sound safetensors file.</exception>
    public static SafetensorsFile Open(string path)
    {
        var file = WeightFile.Open(path);
        try
        {
            return new SafetensorsFile(path, file, ReadHeader(file, path));
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Copies one tensor, as stored, out of the file.</summary>
    /// <returns>A CPU tensor of the stored type and shape, owned by the caller and in no dispose scope.</returns>
    /// <exception cref="CheckpointException">The file has no tensor of this name.</exception>
    public Tensor Read(string name)
    {
        if (!Tensors.TryGetValue(name, out var info))
        {
            throw new CheckpointException(
                $"{Path} has no tensor '{name}'. It has {Tensors.Count} others: the file is of another model or version."
            );
        }

        var tensor = empty(info.Shape, info.DType).DetachFromDisposeScope();
        _file.Read(tensor, info.DType, PlaceOf(name));
        return tensor;
    }

    /// <inheritdoc/>
    void ITensorSource.ReadTo(string name, Tensor target) => _file.Read(target, Tensors[name].DType, PlaceOf(name));

    /// <inheritdoc/>
    void ITensorSource.ReadPieces(string name, Action<ReadOnlySpan<byte>> take) => _file.Read(PlaceOf(name), _ranges[name].Bytes, take);

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    private long PlaceOf(string name) => _dataStart + _ranges[name].Offset;

    private static Header ReadHeader(WeightFile file, string path)
    {
        CheckpointException Damaged(string what, Exception? inner = null) =>
            new($"{path} is not a sound safetensors file: {what}. Download or convert it again.", inner);

        Span<byte> prefix = stackalloc byte[8];
        if (file.Length < 8)
        {
            throw Damaged($"it has {file.Length} bytes, too few for a header");
        }

        file.Read(prefix, 0);
        var length = BinaryPrimitives.ReadUInt64LittleEndian(prefix);
        if (length > MaxHeaderBytes || (long)length > file.Length - 8)
        {
            throw Damaged($"its header claims {length} bytes, the file has {file.Length}");
        }

        var json = new byte[length];
        file.Read(json, 8);
        var dataStart = 8 + (long)length;
        try
        {
            return ParseHeader(json, dataStart, file.Length - dataStart);
        }
        catch (Exception e)
            when (e
                    is JsonException
                        or InvalidDataException
                        or InvalidOperationException
                        or FormatException
                        or OverflowException
                        or DecoderFallbackException
            )
        {
            throw Damaged(e.Message, e);
        }
    }

    private static Header ParseHeader(byte[] json, long dataStart, long dataBytes)
    {
        var header = new Header(dataStart);
        using var document = JsonDocument.Parse(json, new JsonDocumentOptions { MaxDepth = 8 });
        if (document.RootElement.ValueKind != JsonValueKind.Object)
        {
            throw new InvalidDataException("its header is not a JSON object");
        }

        foreach (var entry in document.RootElement.EnumerateObject())
        {
            if (entry.Name == "__metadata__")
            {
                foreach (var item in entry.Value.EnumerateObject())
                {
                    header.Metadata[item.Name] =
                        item.Value.GetString() ?? throw new InvalidDataException($"metadata '{item.Name}' is not a string");
                }
            }
            else
            {
                AddTensor(header, entry.Name, entry.Value, dataBytes);
            }
        }

        CheckRanges(header, dataBytes);
        return header;
    }

    private static void AddTensor(Header header, string name, JsonElement entry, long dataBytes)
    {
        JsonElement Field(string field) =>
            entry.ValueKind == JsonValueKind.Object && entry.TryGetProperty(field, out var value)
                ? value
                : throw new InvalidDataException($"'{name}' has no {field}");

        var dtypeName = Field("dtype").GetString() ?? "";
        if (!DTypes.TryGetValue(dtypeName, out var dtype))
        {
            throw new InvalidDataException($"'{name}' has element type '{dtypeName}'; known are {string.Join(", ", DTypes.Keys.Order())}");
        }

        var shape = Field("shape").EnumerateArray().Select(d => d.GetInt64()).ToArray();
        var offsets = Field("data_offsets").EnumerateArray().Select(d => d.GetInt64()).ToArray();
        if (shape.Any(d => d < 0))
        {
            throw new InvalidDataException($"'{name}' has a negative size");
        }

        if (offsets.Length != 2 || offsets[0] < 0 || offsets[1] < offsets[0] || offsets[1] > dataBytes)
        {
            throw new InvalidDataException($"'{name}' lies at bytes [{string.Join(", ", offsets)}] of {dataBytes}");
        }

        if (offsets[1] - offsets[0] > int.MaxValue)
        {
            throw new InvalidDataException($"'{name}' has over 2 GiB, more than any tensor of these models");
        }

        var info = new TensorInfo(dtype.Type, shape);
        var bytes = checked(info.Count * dtype.Size);
        if (bytes != offsets[1] - offsets[0])
        {
            throw new InvalidDataException(
                $"'{name}' of shape [{string.Join(", ", shape)}] needs {bytes} bytes and has {offsets[1] - offsets[0]}"
            );
        }

        if (!header.Tensors.TryAdd(name, info))
        {
            throw new InvalidDataException($"'{name}' is there twice");
        }

        header.Ranges[name] = (offsets[0], bytes);
    }

    private static void CheckRanges(Header header, long dataBytes)
    {
        var end = 0L;
        var before = "the header";
        foreach (var (name, (offset, bytes)) in header.Ranges.OrderBy(r => r.Value.Offset).ThenBy(r => r.Value.Bytes))
        {
            if (offset != end)
            {
                throw new InvalidDataException(
                    offset < end ? $"'{name}' overlaps {before}" : $"there is a gap of {offset - end} bytes before '{name}'"
                );
            }

            end = offset + bytes;
            before = $"'{name}'";
        }

        if (end != dataBytes)
        {
            throw new InvalidDataException($"its tensors end at byte {end} of {dataBytes}");
        }
    }

    private sealed record Header(long DataStart)
    {
        public Dictionary<string, TensorInfo> Tensors { get; } = [];

        public Dictionary<string, (long Offset, long Bytes)> Ranges { get; } = [];

        public Dictionary<string, string> Metadata { get; } = [];
    }
}
