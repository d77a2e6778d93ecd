using System.Buffers.Binary;
using System.Collections.Frozen;
using System.Text;

namespace Chatterbox.Weights;

/// <summary>
/// Reads the pickles that torch.save writes: numbers, strings, lists, tuples, dicts and tensors, as plain objects.
/// </summary>
/// <remarks>
/// A pickle is a program. This interpreter knows the protocol 2 instructions of plain data and the few names with which
/// torch describes a tensor; it looks nothing up and calls nothing, and refuses every other instruction or name by its
/// name. Dicts come out as <see cref="OrderedDictionary{TKey, TValue}"/> of string or long keys, lists as
/// <see cref="List{T}"/>, tuples as arrays, tensors as <see cref="StoredTensor"/>, element types as
/// <see cref="ScalarType"/>, the rest as null, bool, long, double and string. The instructions are those of Python's
/// pickletools; the names those of torch/_weights_only_unpickler.py.
/// </remarks>
internal sealed class PickleReader
{
    private const int MaxSteps = 1_000_000; // s3gen.pt, of 2490 tensors, takes about 75,000
    private const int MaxNameBytes = 256;
    private const int MaxRank = 64;
    private const string Remedy = "In Python, write the tensors alone: torch.save(model.state_dict(), path)";

    private static readonly object Mark = new();
    private static readonly UTF8Encoding StrictUtf8 = new(false, throwOnInvalidBytes: true);

    private readonly byte[] _pickle;
    private readonly Func<string, ScalarType, long, TorchStorage> _storages;
    private readonly List<object?> _stack = [];
    private readonly Dictionary<long, object?> _memo = [];
    private int _at;

    private PickleReader(byte[] pickle, Func<string, ScalarType, long, TorchStorage> storages)
    {
        _pickle = pickle;
        _storages = storages;
    }

    /// <summary>What a name in a pickle may stand for, besides storage classes and element types.</summary>
    private enum Known
    {
        OrderedDict,
        RebuildTensor,
        RebuildParameter,
        Size,
    }

    private static FrozenDictionary<string, object> Names { get; } = KnownNames().ToFrozenDictionary();

    private static FrozenDictionary<byte, string> OtherInstructions { get; } =
        new (byte Code, string Name)[]
        {
            ((byte)'0', "POP"),
            ((byte)'1', "POP_MARK"),
            ((byte)'2', "DUP"),
            ((byte)'F', "FLOAT"),
            ((byte)'I', "INT"),
            ((byte)'L', "LONG"),
            ((byte)'P', "PERSID"),
            ((byte)'S', "STRING"),
            ((byte)'V', "UNICODE"),
            ((byte)'T', "BINSTRING"),
            ((byte)'B', "BINBYTES"),
            ((byte)'C', "SHORT_BINBYTES"),
            ((byte)'d', "DICT"),
            ((byte)'l', "LIST"),
            ((byte)'g', "GET"),
            ((byte)'p', "PUT"),
            ((byte)'i', "INST"),
            ((byte)'o', "OBJ"),
            (0x81, "NEWOBJ"),
            (0x82, "EXT1"),
            (0x83, "EXT2"),
            (0x84, "EXT4"),
            (0x8B, "LONG4"),
            (0x8C, "SHORT_BINUNICODE"),
            (0x8D, "BINUNICODE8"),
            (0x8E, "BINBYTES8"),
            (0x8F, "EMPTY_SET"),
            (0x90, "ADDITEMS"),
            (0x91, "FROZENSET"),
            (0x92, "NEWOBJ_EX"),
            (0x93, "STACK_GLOBAL"),
            (0x94, "MEMOIZE"),
            (0x95, "FRAME"),
            (0x96, "BYTEARRAY8"),
            (0x97, "NEXT_BUFFER"),
            (0x98, "READONLY_BUFFER"),
        }.ToFrozenDictionary(instruction => instruction.Code, instruction => instruction.Name);

    /// <summary>Runs a pickle to its end.</summary>
    /// <param name="pickle">The bytes of data.pkl.</param>
    /// <param name="storages">Finds a storage by key, element type and number of elements, and checks it.</param>
    /// <exception cref="InvalidDataException">The pickle is damaged.</exception>
    /// <exception cref="NotSupportedException">The pickle uses something that plain tensors and settings do not need.</exception>
    public static object? Read(byte[] pickle, Func<string, ScalarType, long, TorchStorage> storages) =>
        new PickleReader(pickle, storages).Run();

    private object? Run()
    {
        for (var step = 0; step < MaxSteps; step++)
        {
            var instruction = Byte();
            if (instruction == '.')
            {
                return _stack.Count == 1 ? Pop() : throw Damaged($"it ends with {_stack.Count} values, not one");
            }

            Step(instruction);
        }

        throw new NotSupportedException($"its pickle takes over {MaxSteps} steps, far more than any model's");
    }

    private void Step(byte instruction)
    {
        switch (instruction)
        {
            case 0x80:
                CheckProtocol(Byte());
                break;
            case (byte)'(':
                _stack.Add(Mark);
                break;
            case (byte)'N':
                _stack.Add(null);
                break;
            case 0x88:
                _stack.Add(true);
                break;
            case 0x89:
                _stack.Add(false);
                break;
            case (byte)'K':
                _stack.Add((long)Byte());
                break;
            case (byte)'M':
                _stack.Add((long)BinaryPrimitives.ReadUInt16LittleEndian(Bytes(2)));
                break;
            case (byte)'J':
                _stack.Add((long)BinaryPrimitives.ReadInt32LittleEndian(Bytes(4)));
                break;
            case 0x8A:
                _stack.Add(LongInteger(Bytes(Byte())));
                break;
            case (byte)'G':
                _stack.Add(BinaryPrimitives.ReadDoubleBigEndian(Bytes(8)));
                break;
            case (byte)'U':
                _stack.Add(Text(Bytes(Byte())));
                break;
            case (byte)'X':
                _stack.Add(Text(Bytes(Length())));
                break;
            case (byte)')':
                _stack.Add(Array.Empty<object?>());
                break;
            case (byte)']':
                _stack.Add(new List<object?>());
                break;
            case (byte)'}':
                _stack.Add(new OrderedDictionary<object, object?>());
                break;
            case (byte)'t':
                _stack.Add(PopToMark().ToArray());
                break;
            case 0x85:
                _stack.Add(PopMany(1));
                break;
            case 0x86:
                _stack.Add(PopMany(2));
                break;
            case 0x87:
                _stack.Add(PopMany(3));
                break;
            case (byte)'a':
                Append([Pop()]);
                break;
            case (byte)'e':
                Append(PopToMark());
                break;
            case (byte)'s':
                SetItems(PopMany(2));
                break;
            case (byte)'u':
                SetItems(PopToMark());
                break;
            case (byte)'q':
                _memo[Byte()] = Peek();
                break;
            case (byte)'r':
                _memo[BinaryPrimitives.ReadUInt32LittleEndian(Bytes(4))] = Peek();
                break;
            case (byte)'h':
                _stack.Add(Remembered(Byte()));
                break;
            case (byte)'j':
                _stack.Add(Remembered(BinaryPrimitives.ReadUInt32LittleEndian(Bytes(4))));
                break;
            case (byte)'c':
                _stack.Add(Named(Line(), Line()));
                break;
            case (byte)'Q':
                _stack.Add(Storage(Pop()));
                break;
            case (byte)'R':
                _stack.Add(Call(PopMany(2)));
                break;
            case (byte)'b':
                DropState(Pop());
                break;
            default:
                throw Unknown(instruction);
        }
    }

    private static void CheckProtocol(byte protocol)
    {
        if (protocol > 2)
        {
            throw new NotSupportedException(
                $"it is a pickle of protocol {protocol}, expected torch's own, 2. In Python, load it and write it with torch.save, "
                    + $"without pickle_protocol"
            );
        }
    }

    private NotSupportedException Unknown(byte instruction) =>
        OtherInstructions.TryGetValue(instruction, out var name)
            ? new NotSupportedException($"its pickle uses {name}, which plain tensors and settings do not need. {Remedy}")
            : throw Damaged($"0x{instruction:x2} is no instruction");

    private void Append(ReadOnlySpan<object?> items)
    {
        var list = Peek() as List<object?> ?? throw Damaged("it appends to what is no list");
        list.AddRange(items);
    }

    private void SetItems(ReadOnlySpan<object?> items)
    {
        var dict = Peek() as OrderedDictionary<object, object?> ?? throw Damaged("it sets an item of what is no dict");
        if (items.Length % 2 != 0)
        {
            throw Damaged("it sets a key without a value");
        }

        for (var i = 0; i < items.Length; i += 2)
        {
            if (items[i] is not (string { Length: <= MaxNameBytes } or long))
            {
                throw new NotSupportedException(
                    $"it has a dict with a key that is neither an integer nor text of at most {MaxNameBytes} characters. {Remedy}"
                );
            }

            if (!dict.TryAdd(items[i]!, items[i + 1]))
            {
                throw Damaged($"a dict has '{Shown(items[i]!.ToString()!)}' twice");
            }
        }
    }

    /// <summary>BUILD: attributes of an object. Of a state dict it is <c>_metadata</c>, the versions of modules.</summary>
    private void DropState(object? state)
    {
        if (Peek() is not OrderedDictionary<object, object?> || state is not OrderedDictionary<object, object?>)
        {
            throw Damaged("it sets attributes of what is no OrderedDict");
        }
    }

    private object Named(string module, string name) =>
        Names.TryGetValue($"{module}.{name}", out var known)
            ? known
            : throw new NotSupportedException(
                $"its pickle asks for '{Shown($"{module}.{name}")}', which plain tensors and settings do not need. {Remedy}"
            );

    private TorchStorage Storage(object? id) =>
        id is object?[] { Length: 5 } parts && parts is ["storage", StorageClass type, string key, string, long count]
            ? count >= 0
                ? _storages(key, type.DType, count)
                : throw Damaged($"storage '{Shown(key)}' has {count} elements")
            : throw Damaged("it refers to a storage in an unknown way");

    private object? Call(object?[] functionAndArguments) =>
        functionAndArguments switch
        {
            [Known.OrderedDict, object?[] and ([] or [object?[] { Length: 0 }])] => new OrderedDictionary<object, object?>(),
            [Known.Size, object?[] { Length: 1 } size] => Integers(size[0]).Select(n => (object?)n).ToArray(),
            [Known.RebuildTensor, object?[] { Length: 6 or 7 } tensor] => Tensor(tensor),
            [Known.RebuildParameter, object?[] { Length: 3 } parameter] => parameter[0] as StoredTensor
                ?? throw Damaged("a parameter holds no tensor"),
            _ => throw Damaged("it calls something with arguments that do not fit"),
        };

    private StoredTensor Tensor(object?[] arguments)
    {
        if (arguments is not [TorchStorage storage, long offset, object?[], object?[], bool, ..])
        {
            throw Damaged("a tensor is described in an unknown way");
        }

        if (arguments is [_, _, _, _, _, _, not null and not OrderedDictionary<object, object?> { Count: 0 }])
        {
            throw new NotSupportedException(
                "it has a tensor that is stored as the conjugate or the negative of its elements. In Python, save "
                    + "tensor.resolve_conj().resolve_neg()"
            );
        }

        var (shape, strides) = (Integers(arguments[2]), Integers(arguments[3]));
        if (shape.Length != strides.Length || shape.Length > MaxRank)
        {
            throw Damaged($"a tensor has {shape.Length} sizes and {strides.Length} strides");
        }

        return new StoredTensor(storage, offset, shape, strides);
    }

    private static long[] Integers(object? tuple) =>
        tuple is object?[] items
            ? Array.ConvertAll(items, item => item is long n ? n : throw Damaged("a size or stride is no integer"))
            : throw Damaged("a size is no tuple");

    private object? Remembered(long index) =>
        _memo.TryGetValue(index, out var value) ? value : throw Damaged($"it recalls value {index}, which it has not stored");

    private object? Peek() => _stack.Count > 0 && _stack[^1] != Mark ? _stack[^1] : throw Damaged("a value is missing");

    private object? Pop()
    {
        var value = Peek();
        _stack.RemoveAt(_stack.Count - 1);
        return value;
    }

    private object?[] PopMany(int count)
    {
        var values = new object?[count];
        for (var i = count - 1; i >= 0; i--)
        {
            values[i] = Pop();
        }

        return values;
    }

    private object?[] PopToMark()
    {
        var mark = _stack.LastIndexOf(Mark);
        if (mark < 0)
        {
            throw Damaged("a mark is missing");
        }

        var values = _stack.GetRange(mark + 1, _stack.Count - mark - 1).ToArray();
        _stack.RemoveRange(mark, _stack.Count - mark);
        return values;
    }

    private byte Byte() => Bytes(1)[0];

    private ReadOnlySpan<byte> Bytes(int count)
    {
        if (count > _pickle.Length - _at)
        {
            throw Damaged($"it ends in the middle, at byte {_pickle.Length}");
        }

        _at += count;
        return _pickle.AsSpan(_at - count, count);
    }

    private int Length()
    {
        var length = BinaryPrimitives.ReadUInt32LittleEndian(Bytes(4));
        return length <= _pickle.Length ? (int)length : throw Damaged($"a text claims {length} bytes");
    }

    private string Line()
    {
        var length = _pickle.AsSpan(_at).IndexOf((byte)'\n');
        if (length is < 0 or > MaxNameBytes)
        {
            throw Damaged("a name does not end");
        }

        var line = Text(Bytes(length));
        _at++;
        return line;
    }

    private static string Text(ReadOnlySpan<byte> utf8)
    {
        try
        {
            return StrictUtf8.GetString(utf8);
        }
        catch (DecoderFallbackException e)
        {
            throw new InvalidDataException("its pickle has text that is not UTF-8", e);
        }
    }

    private static long LongInteger(ReadOnlySpan<byte> littleEndian)
    {
        if (littleEndian.Length > sizeof(long))
        {
            throw new NotSupportedException($"it has an integer of {littleEndian.Length * 8} bits, expected at most 64");
        }

        Span<byte> whole = stackalloc byte[sizeof(long)];
        whole.Fill(littleEndian is [.., >= 0x80] ? (byte)0xFF : (byte)0);
        littleEndian.CopyTo(whole);
        return BinaryPrimitives.ReadInt64LittleEndian(whole);
    }

    private static InvalidDataException Damaged(string what) => new($"its pickle is damaged: {what}");

    /// <summary>Text from the file, fit for a message.</summary>
    private static string Shown(string text)
    {
        var shown = string.Concat(text.Take(80).Select(c => char.IsControl(c) ? '?' : c));
        return text.Length > 80 ? shown + "…" : shown;
    }

    private static IEnumerable<KeyValuePair<string, object>> KnownNames()
    {
        yield return new("collections.OrderedDict", Known.OrderedDict);
        yield return new("torch._utils._rebuild_tensor_v2", Known.RebuildTensor);
        yield return new("torch._utils._rebuild_parameter", Known.RebuildParameter);
        yield return new("torch.Size", Known.Size);
        (ScalarType Type, string Storage, string[] Names)[] types =
        [
            (ScalarType.Float64, "Double", ["float64", "double"]),
            (ScalarType.Float32, "Float", ["float32", "float"]),
            (ScalarType.Float16, "Half", ["float16", "half"]),
            (ScalarType.BFloat16, "BFloat16", ["bfloat16"]),
            (ScalarType.Int64, "Long", ["int64", "long"]),
            (ScalarType.Int32, "Int", ["int32", "int"]),
            (ScalarType.Int16, "Short", ["int16", "short"]),
            (ScalarType.Int8, "Char", ["int8"]),
            (ScalarType.Byte, "Byte", ["uint8"]),
            (ScalarType.Bool, "Bool", ["bool"]),
            (ScalarType.ComplexFloat32, "ComplexFloat", ["complex64", "cfloat"]),
            (ScalarType.ComplexFloat64, "ComplexDouble", ["complex128", "cdouble"]),
        ];
        foreach (var (type, storage, names) in types)
        {
            yield return new($"torch.{storage}Storage", new StorageClass(type));
            foreach (var name in names)
            {
                yield return new($"torch.{name}", type);
            }
        }

        yield return new("torch.storage.UntypedStorage", new StorageClass(ScalarType.Byte));
        yield return new("torch.UntypedStorage", new StorageClass(ScalarType.Byte));
    }

    private sealed record StorageClass(ScalarType DType);
}
