using System.Buffers.Binary;
using System.Text;
using Chatterbox.Weights;

namespace Chatterbox.Tests.Weights;

/// <summary>Writes the pickles of torch.save, instruction by instruction, as Python's pickler does at protocol 2.</summary>
internal sealed class PickleWriter
{
    private readonly MemoryStream _out = new();
    private uint _memo;

    public PickleWriter() => Raw(0x80, 2);

    public static byte[] Whole(Action<PickleWriter> value)
    {
        var writer = new PickleWriter();
        value(writer);
        return writer.Raw((byte)'.').Bytes();
    }

    public byte[] Bytes() => _out.ToArray();

    public PickleWriter Raw(params ReadOnlySpan<byte> bytes)
    {
        _out.Write(bytes);
        return this;
    }

    public PickleWriter Global(string module, string name) => Raw(Encoding.UTF8.GetBytes($"c{module}\n{name}\n")).Memo();

    public PickleWriter Text(string text)
    {
        var utf8 = Encoding.UTF8.GetBytes(text);
        return Raw((byte)'X').Raw(U32((uint)utf8.Length)).Raw(utf8).Memo();
    }

    public PickleWriter Integer(long n) =>
        n switch
        {
            >= 0 and < 256 => Raw((byte)'K', (byte)n),
            >= 0 and < 65536 => Raw((byte)'M', (byte)n, (byte)(n >> 8)),
            >= int.MinValue and <= int.MaxValue => Raw((byte)'J').Raw(U32((uint)(int)n)),
            _ => Raw(0x8A, 8).Raw(BitConverter.GetBytes(n)),
        };

    /// <summary>null, bool, integers, double, text, tuples (arrays), lists, dicts and whatever else writes itself.</summary>
    public PickleWriter Value(object? value)
    {
        switch (value)
        {
            case null:
                return Raw((byte)'N');
            case bool truth:
                return Raw(truth ? (byte)0x88 : (byte)0x89);
            case int n:
                return Integer(n);
            case long n:
                return Integer(n);
            case double d:
                var bytes = new byte[8];
                BinaryPrimitives.WriteDoubleBigEndian(bytes, d);
                return Raw((byte)'G').Raw(bytes);
            case string text:
                return Text(text);
            case object?[] tuple:
                return Tuple(tuple);
            case List<object?> list:
                return Items(Raw((byte)']').Memo(), list, 'e');
            case Dictionary<object, object?> dict:
                return Items(Raw((byte)'}').Memo(), dict.SelectMany(pair => new[] { pair.Key, pair.Value }), 'u');
            case Action<PickleWriter> other:
                other(this);
                return this;
            default:
                throw new ArgumentException($"{value.GetType()}");
        }
    }

    public PickleWriter OrderedDict(IEnumerable<(object Key, object? Value)> items, bool withMetadata = false)
    {
        Global("collections", "OrderedDict").Raw((byte)')', (byte)'R').Memo();
        Items(this, items.SelectMany(pair => new[] { pair.Key, pair.Value }), 'u');
        return withMetadata
            ? Value(
                    new Dictionary<object, object?>
                    {
                        ["_metadata"] = new Dictionary<object, object?> { [""] = new Dictionary<object, object?> { ["version"] = 1 } },
                    }
                )
                .Raw((byte)'b')
            : this;
    }

    public PickleWriter Tensor(
        string storageClass,
        string key,
        long count,
        long offset,
        long[] shape,
        long[] strides,
        string location = "cpu"
    )
    {
        Global("torch._utils", "_rebuild_tensor_v2").Raw((byte)'(').Raw((byte)'(').Text("storage");
        var dot = storageClass.LastIndexOf('.');
        Global(dot < 0 ? "torch" : storageClass[..dot], storageClass[(dot + 1)..])
            .Text(key)
            .Text(location)
            .Integer(count)
            .Raw((byte)'t')
            .Memo()
            .Raw((byte)'Q');
        Integer(offset).Tuple([.. shape.Cast<object?>()]).Tuple([.. strides.Cast<object?>()]).Value(false);
        return Global("collections", "OrderedDict").Raw((byte)')', (byte)'R').Memo().Raw((byte)'t').Memo().Raw((byte)'R').Memo();
    }

    private PickleWriter Tuple(object?[] items)
    {
        if (items.Length == 0)
        {
            return Raw((byte)')');
        }

        var few = items.Length <= 3;
        var written = items.Aggregate(few ? this : Raw((byte)'('), (writer, item) => writer.Value(item));
        return written.Raw(few ? (byte)(0x84 + items.Length) : (byte)'t').Memo();
    }

    private static PickleWriter Items(PickleWriter onto, IEnumerable<object?> items, char end) =>
        items.Aggregate(onto.Raw((byte)'('), (writer, item) => writer.Value(item)).Raw((byte)end);

    private PickleWriter Memo()
    {
        _memo++;
        return _memo <= 256 ? Raw((byte)'q', (byte)(_memo - 1)) : Raw((byte)'r').Raw(U32(_memo - 1));
    }

    private static byte[] U32(uint n) => BitConverter.GetBytes(n);
}

/// <summary>Writes zip archives as torch does: entries stored as they are, their data aligned to 64 bytes.</summary>
internal sealed class TorchArchive
{
    private readonly List<(string Name, byte[] Data)> _entries = [];

    /// <summary>Writes every size and place in the format's 64-bit fields.</summary>
    public bool Zip64 { get; init; }

    /// <summary>Leaves sizes out of an entry's own header and writes them behind its data.</summary>
    public bool Descriptors { get; init; } = true;

    /// <summary>Changes an entry of the directory before it is written.</summary>
    public Action<string, byte[]>? Forge { get; init; }

    public static byte[] Of(byte[] pickle, params (string Key, byte[] Data)[] storages) => Containing(pickle, storages).Bytes();

    public static TorchArchive Containing(byte[] pickle, params (string Key, byte[] Data)[] storages)
    {
        var archive = new TorchArchive().Add("archive/data.pkl", pickle).Add("archive/byteorder", "little"u8.ToArray());
        foreach (var (key, data) in storages)
        {
            archive.Add($"archive/data/{key}", data);
        }

        return archive.Add("archive/version", "3\n"u8.ToArray());
    }

    /// <summary>Writes tensors as a state dict that was saved on a GPU.</summary>
    /// <param name="path">The file.</param>
    /// <param name="source">The tensors, float32 or int64.</param>
    /// <param name="wrap">What is saved, given the state dict's items.</param>
    public static void WriteStateDict(string path, ITensorSource source, Func<Dictionary<object, object?>, object?> wrap)
    {
        var storages = new List<(string Key, byte[] Data)>();
        var items = new Dictionary<object, object?>();
        foreach (var (name, info) in source.Tensors)
        {
            using var tensor = source.Read(name);
            var key = $"{storages.Count}";
            storages.Add((key, tensor.bytes.ToArray()));
            var strides = info.Shape.Select((_, i) => info.Shape.Skip(i + 1).Aggregate(1L, (n, d) => n * d)).ToArray();
            var storage = info.DType == ScalarType.Int64 ? "LongStorage" : "FloatStorage";
            items.Add(name, (Action<PickleWriter>)(w => w.Tensor(storage, key, info.Count, 0, info.Shape, strides, "cuda:0")));
        }

        File.WriteAllBytes(path, Of(PickleWriter.Whole(p => p.Value(wrap(items))), [.. storages]));
    }

    public TorchArchive Add(string name, byte[] data)
    {
        _entries.Add((name, data));
        return this;
    }

    public byte[] Bytes()
    {
        using var stream = new MemoryStream();
        using var writer = new BinaryWriter(stream);
        using var directory = new MemoryStream();
        foreach (var (name, data) in _entries)
        {
            directory.Write(Write(writer, name, data));
        }

        var start = stream.Position;
        writer.Write(directory.ToArray());
        WriteEnd(writer, start, directory.Length);
        return stream.ToArray();
    }

    private byte[] Write(BinaryWriter writer, string name, byte[] data)
    {
        var header = writer.BaseStream.Position;
        var nameBytes = Encoding.UTF8.GetBytes(name);
        var padding = (int)(63 - (header + 30 + nameBytes.Length + 4 + 63) % 64);
        writer.Write(0x04034B50u);
        writer.Write([0, 0, (byte)(Descriptors ? 8 : 0), 8, 0, 0, 0, 0, 0, 0]);
        writer.Write(new byte[4]);
        writer.Write(Descriptors ? 0 : data.Length);
        writer.Write(Descriptors ? 0 : data.Length);
        writer.Write((ushort)nameBytes.Length);
        writer.Write((ushort)(4 + padding));
        writer.Write(nameBytes);
        writer.Write("FB"u8);
        writer.Write((ushort)padding);
        writer.Write(Enumerable.Repeat((byte)'Z', padding).ToArray());
        writer.Write(data);
        if (Descriptors)
        {
            writer.Write(0x08074B50u);
            writer.Write(0);
            writer.Write(data.Length);
            writer.Write(data.Length);
        }

        var entry = Directory(nameBytes, data.Length, header);
        Forge?.Invoke(name, entry);
        return entry;
    }

    private byte[] Directory(byte[] name, long size, long header)
    {
        using var stream = new MemoryStream();
        using var writer = new BinaryWriter(stream);
        writer.Write(0x02014B50u);
        writer.Write([0, 0, 0, 0, (byte)(Descriptors ? 8 : 0), 8, 0, 0, 0, 0, 0, 0]);
        writer.Write(0);
        writer.Write(Zip64 ? uint.MaxValue : (uint)size);
        writer.Write(Zip64 ? uint.MaxValue : (uint)size);
        writer.Write((ushort)name.Length);
        writer.Write((ushort)(Zip64 ? 28 : 0));
        writer.Write(new byte[10]);
        writer.Write(Zip64 ? uint.MaxValue : (uint)header);
        writer.Write(name);
        if (Zip64)
        {
            writer.Write([1, 0, 24, 0]);
            writer.Write(size);
            writer.Write(size);
            writer.Write(header);
        }

        return stream.ToArray();
    }

    private void WriteEnd(BinaryWriter writer, long start, long bytes)
    {
        var end = writer.BaseStream.Position;
        if (Zip64)
        {
            writer.Write(0x06064B50u);
            writer.Write(44L);
            writer.Write([45, 0, 45, 0]);
            writer.Write(new byte[8]);
            writer.Write((long)_entries.Count);
            writer.Write((long)_entries.Count);
            writer.Write(bytes);
            writer.Write(start);
            writer.Write(0x07064B50u);
            writer.Write(0);
            writer.Write(end);
            writer.Write(1);
        }

        writer.Write(0x06054B50u);
        writer.Write(0);
        writer.Write(Zip64 ? ushort.MaxValue : (ushort)_entries.Count);
        writer.Write(Zip64 ? ushort.MaxValue : (ushort)_entries.Count);
        writer.Write(Zip64 ? uint.MaxValue : (uint)bytes);
        writer.Write(Zip64 ? uint.MaxValue : (uint)start);
        writer.Write((ushort)0);
    }
}
