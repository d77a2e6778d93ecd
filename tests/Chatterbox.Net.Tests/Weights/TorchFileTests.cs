using System.Buffers.Binary;
using System.IO.Compression;
using Chatterbox.Weights;
using CsCheck;
using Fuzz;

namespace Chatterbox.Tests.Weights;

public sealed class TorchFileTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("chatterbox-test-").FullName;

    private static readonly byte[] Ramp = [.. Enumerable.Range(0, 24).SelectMany(i => BitConverter.GetBytes((float)i))];

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(false, true)]
    [InlineData(false, false)]
    [InlineData(true, true)]
    public void A_state_dict_is_read_through_either_form_of_the_zip_format(bool zip64, bool descriptors)
    {
        var pickle = PickleWriter.Whole(p =>
            p.OrderedDict(
                [
                    ("layer.weight", Stored("FloatStorage", "0", 24, 0, [4, 6], [6, 1])),
                    ("layer.bias", Stored("FloatStorage", "0", 24, 20, [4], [1])),
                ],
                withMetadata: true
            )
        );
        var archive = new TorchArchive { Zip64 = zip64, Descriptors = descriptors }
            .Add("s3gen/data.pkl", pickle)
            .Add("s3gen/data/0", Ramp)
            .Add("s3gen/version", "3\n"u8.ToArray());
        using var file = Open(archive.Bytes());
        Assert.Equal(["layer.weight", "layer.bias"], ((IReadOnlyDictionary<object, object?>)file.Root!).Keys);
        Assert.Equal([4, 6], file.Tensors["layer.weight"].Shape);
        Assert.Equal(Enumerable.Range(0, 24).Select(i => (float)i), Floats(file, "layer.weight"));
        Assert.Equal([20f, 21, 22, 23], Floats(file, "layer.bias"));
        Assert.Equal("file.pt", file.Name);
    }

    [Fact]
    public void An_archive_written_by_the_platforms_own_zip_writer_is_read()
    {
        using var stream = new MemoryStream();
        using (var zip = new ZipArchive(stream, ZipArchiveMode.Create, leaveOpen: true))
        {
            void Add(string name, byte[] data)
            {
                using var entry = zip.CreateEntry(name, CompressionLevel.NoCompression).Open();
                entry.Write(data);
            }

            Add(
                "ve/data.pkl",
                PickleWriter.Whole(p => p.Value(new Dictionary<object, object?> { ["w"] = Stored("FloatStorage", "0", 24, 0, [24], [1]) }))
            );
            Add("ve/data/0", Ramp);
        }

        using var file = Open(stream.ToArray());
        Assert.Equal(23f, Floats(file, "w")[23]);
    }

    [Fact]
    public void Deflated_entries_are_unpacked()
    {
        using var file = Open(Deflated(Ramp));
        Assert.Equal([24], file.Tensors["w"].Shape);
        Assert.Equal(Enumerable.Range(0, 24).Select(i => (float)i), Floats(file, "w"));
    }

    [Theory]
    [InlineData(1, "shorter than its 97 bytes")]
    [InlineData(-1, "longer than its 95 bytes")]
    [InlineData(1 << 30, "far more than any weights")]
    public void Deflated_entries_that_are_not_of_their_size_are_refused(int more, string message)
    {
        var archive = Deflated(Ramp);
        var entry = archive.AsSpan().LastIndexOf("ve/data/0"u8) - 46; // in the directory, which comes last
        BinaryPrimitives.WriteInt32LittleEndian(archive.AsSpan(entry + 24), Ramp.Length + more);
        AssertRefused(archive, message);
    }

    public static TheoryData<string, ScalarType, byte[]> Types =>
        new()
        {
            { "DoubleStorage", ScalarType.Float64, BitConverter.GetBytes(1.5) },
            { "FloatStorage", ScalarType.Float32, BitConverter.GetBytes(1.5f) },
            { "HalfStorage", ScalarType.Float16, BitConverter.GetBytes((Half)1.5) },
            { "BFloat16Storage", ScalarType.BFloat16, [0xC0, 0x3F] },
            { "LongStorage", ScalarType.Int64, BitConverter.GetBytes(-2L) },
            { "IntStorage", ScalarType.Int32, BitConverter.GetBytes(-2) },
            { "ShortStorage", ScalarType.Int16, BitConverter.GetBytes((short)-2) },
            { "CharStorage", ScalarType.Int8, [0xFE] },
            { "ByteStorage", ScalarType.Byte, [0xFE] },
            { "BoolStorage", ScalarType.Bool, [1] },
            { "ComplexFloatStorage", ScalarType.ComplexFloat32, [.. BitConverter.GetBytes(1.5f), .. BitConverter.GetBytes(-2f)] },
            { "ComplexDoubleStorage", ScalarType.ComplexFloat64, [.. BitConverter.GetBytes(1.5), .. BitConverter.GetBytes(-2.0)] },
            { "torch.storage.UntypedStorage", ScalarType.Byte, [0xFE] },
        };

    [Theory]
    [MemberData(nameof(Types), DisableDiscoveryEnumeration = true)]
    public void Every_element_type_is_read_bit_for_bit(string storage, ScalarType type, byte[] element)
    {
        byte[] data = [.. new byte[element.Length], .. element];
        using var file = Open(
            TorchArchive.Of(
                PickleWriter.Whole(p =>
                    p.Value(
                        new Dictionary<object, object?>
                        {
                            ["scalar"] = Stored(storage, "0", 2, 1, [], []),
                            ["row"] = Stored(storage, "0", 2, 0, [1, 2], [2, 1]),
                        }
                    )
                ),
                ("0", data)
            )
        );
        using var scalar = file.Read("scalar");
        using var row = file.Read("row");
        Assert.Equal(type, scalar.dtype);
        Assert.Empty(scalar.shape);
        Assert.Equal(element, scalar.bytes.ToArray());
        Assert.Equal(data, row.bytes.ToArray());
    }

    public static TheoryData<long, long[], long[]> Views =>
        new()
        {
            { 0, [6, 4], [1, 6] }, // transposed
            { 3, [2, 3], [12, 2] }, // with gaps
            { 5, [3, 2, 2], [0, 1, 4] }, // repeated
            { 23, [5], [0] },
            { 0, [1, 24], [99, 1] }, // the stride of a size of one says nothing
            { 2, [3, 1, 4], [4, 7, 1] },
            { 24, [0], [1] },
            { 0, [3, 0, 2], [7, 5, 3] },
            { 7, [], [] },
        };

    [Theory]
    [MemberData(nameof(Views))]
    public void Any_view_of_a_storage_comes_out_contiguous(long offset, long[] shape, long[] strides)
    {
        using var file = Open(
            TorchArchive.Of(PickleWriter.Whole(p => p.Value(Stored("FloatStorage", "0", 24, offset, shape, strides))), ("0", Ramp))
        );
        using var scope = NewDisposeScope();
        var actual = file.Read(Assert.IsType<StoredTensor>(file.Root));
        Assert.True(actual.is_contiguous());
        Assert.Equal(shape, actual.shape);
        Assert.Equal(shape.Aggregate(1L, (n, d) => n * d) * 4, actual.bytes.Length);
        if (!shape.Contains(0))
        {
            using var expected = arange(24f).as_strided(shape, strides, offset);
            Assert.True(actual.Equals(expected));
        }
    }

    [Fact]
    public void What_is_read_belongs_to_the_caller()
    {
        using var file = Open(
            TorchArchive.Of(
                PickleWriter.Whole(p =>
                    p.Value(
                        new Dictionary<object, object?>
                        {
                            ["whole"] = Stored("FloatStorage", "0", 24, 0, [24], [1]),
                            ["view"] = Stored("FloatStorage", "0", 24, 0, [6, 4], [1, 6]),
                        }
                    )
                ),
                ("0", Ramp)
            )
        );
        Tensor whole,
            view;
        using (NewDisposeScope())
        {
            whole = file.Read("whole");
            view = file.Read("view");
        }

        using (whole)
        using (view)
        {
            Assert.Equal(6f, view[0, 1].item<float>());
            Assert.Equal(1f, whole[1].item<float>());
        }
    }

    [Fact]
    public void Nested_values_keep_their_structure_and_tensors_are_named_by_their_path()
    {
        using var file = Open(
            TorchArchive.Of(
                PickleWriter.Whole(p =>
                    p.Value(
                        new Dictionary<object, object?>
                        {
                            ["t3"] = new Dictionary<object, object?>
                            {
                                ["clap_emb"] = null,
                                ["emb"] = Stored("FloatStorage", "0", 24, 0, [2], [1], "cuda:0"),
                            },
                            ["optimizer"] = new List<object?>
                            {
                                Stored("FloatStorage", "0", 24, 1, [], []),
                                new object?[] { 1, -2.5, "é", true, long.MinValue, 70000, -1 },
                            },
                            [7] =
                                (Action<PickleWriter>)(
                                    size => size.Global("torch", "Size").Value(new object?[] { new object?[] { 2, 3 } }).Raw((byte)'R')
                                ),
                            ["dtype"] = (Action<PickleWriter>)(dtype => dtype.Global("torch", "bfloat16")),
                        }
                    )
                ),
                ("0", Ramp)
            )
        );
        var root = Assert.IsAssignableFrom<IReadOnlyDictionary<object, object?>>(file.Root);
        Assert.Equal(["t3", "optimizer", 7L, "dtype"], root.Keys);
        Assert.Null(Assert.IsAssignableFrom<IReadOnlyDictionary<object, object?>>(root["t3"])["clap_emb"]);
        var list = Assert.IsAssignableFrom<IReadOnlyList<object?>>(root["optimizer"]);
        Assert.Equal([1L, -2.5, "é", true, long.MinValue, 70000L, -1L], Assert.IsAssignableFrom<IReadOnlyList<object?>>(list[1]));
        Assert.Equal([2L, 3L], Assert.IsAssignableFrom<IReadOnlyList<object?>>(root[7L]));
        Assert.Equal(ScalarType.BFloat16, root["dtype"]);
        Assert.Equal(["optimizer.0", "t3.emb"], file.Tensors.Keys.Order());
    }

    [Fact]
    public void A_parameter_and_a_value_used_twice_are_read()
    {
        using var file = Open(
            TorchArchive.Of(
                PickleWriter.Whole(p =>
                    p.Raw((byte)'}', (byte)'q', 0, (byte)'(')
                        .Text("a")
                        .Global("torch._utils", "_rebuild_parameter")
                        .Raw((byte)'(')
                        .Value(Stored("FloatStorage", "0", 24, 0, [24], [1]))
                        .Value(true)
                        .Global("collections", "OrderedDict")
                        .Raw((byte)')', (byte)'R', (byte)'t', (byte)'R', (byte)'r', 0, 1, 0, 0)
                        .Text("b")
                        .Raw((byte)'j', 0, 1, 0, 0, (byte)'u')
                ),
                ("0", Ramp)
            )
        );
        Assert.Equal(Floats(file, "a"), Floats(file, "b"));
    }

    public static TheoryData<string, bool> Wrappers =>
        new()
        {
            { "model", false },
            { "model", true },
            { "state_dict", false },
        };

    [Theory]
    [MemberData(nameof(Wrappers))]
    public void The_wrapper_of_a_training_checkpoint_is_not_part_of_the_names(string key, bool list)
    {
        object? state = new Dictionary<object, object?> { ["conv.weight"] = Stored("FloatStorage", "0", 24, 0, [24], [1]) };
        using var file = Open(
            TorchArchive.Of(
                PickleWriter.Whole(p =>
                    p.Value(new Dictionary<object, object?> { [key] = list ? new List<object?> { state } : state, ["step"] = 250000 })
                ),
                ("0", Ramp)
            )
        );
        Assert.Equal(["conv.weight"], file.Tensors.Keys);
        Assert.Equal(250000L, ((IReadOnlyDictionary<object, object?>)file.Root!)["step"]);
    }

    [Fact]
    public void A_name_that_is_not_there_is_an_error()
    {
        using var file = Open(TorchArchive.Of(PickleWriter.Whole(p => p.Raw((byte)'}'))));
        Assert.Contains("has no tensor 'x'", Assert.Throws<CheckpointException>(() => file.Read("x")).Message, StringComparison.Ordinal);
        Assert.Contains(
            "cannot be read",
            Assert.Throws<CheckpointException>(() => TorchFile.Open(Path.Combine(_folder, "none.pt"))).Message,
            StringComparison.Ordinal
        );
        Assert.Throws<CheckpointException>(() => TorchFile.Open(_folder));
    }

    public static TheoryData<byte[], string> OtherFormats =>
        new()
        {
            { [], "it is empty" },
            { [0x80, 2, 0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, (byte)'.'], "before version 1.6" },
            { [.. new byte[257], .. "ustar"u8, .. new byte[250]], "tar archive" },
            { [0x80, 2, (byte)'}', (byte)'.'], "bare Python pickle" },
            { "version https://git-lfs.github.com/spec/v1\n"u8.ToArray(), "Git LFS pointer" },
            { "<!DOCTYPE html>"u8.ToArray(), "web page" },
            { [0x1F, 0x8B, 8], "gzip" },
            { "safe"u8.ToArray(), "not a zip archive" },
            { "PK\u0003\u0004 cut off"u8.ToArray(), "downloaded whole" },
            { new TorchArchive().Add("m/data.pkl", []).Add("m/constants.pkl", []).Bytes(), "TorchScript" },
            { new TorchArchive().Add("m/data.pkl", []).Add("m/byteorder", "big"u8.ToArray()).Bytes(), "big-endian" },
            { new TorchArchive().Add("m/data.pkl", []).Bytes(), "ends in the middle" },
            { new TorchArchive().Add("m/data.txt", []).Bytes(), "0 entries named data.pkl" },
            { new TorchArchive().Add("m/n/data.pkl", []).Bytes(), "0 entries named data.pkl" },
            { new TorchArchive().Add("m/data.pkl", []).Add("n/data.pkl", []).Bytes(), "2 entries named data.pkl" },
        };

    [Theory]
    [MemberData(nameof(OtherFormats), DisableDiscoveryEnumeration = true)]
    public void Other_formats_are_refused_with_their_name(byte[] bytes, string message) => AssertRefused(bytes, message);

    public static TheoryData<TorchArchiveForgery, string> ForgedArchives =>
        new()
        {
            { new("compressed", (_, entry) => entry[10] = 8), "is not a sound" },
            { new("compressed in another way", (_, entry) => entry[10] = 12), "another way than by deflating" },
            { new("encrypted", (_, entry) => entry[8] = 1), "is encrypted" },
            { new("sizes differ", (_, entry) => entry[20] ^= 1), "claims" },
            { new("too long", (_, entry) => entry[22] = entry[26] = 0x7F), "does not lie" },
            { new("overlapping", (name, entry) => entry[42] = name.EndsWith('0') ? (byte)0 : entry[42], EqualNames: true), "overlaps" },
            { new("outside", (_, entry) => entry[45] = 0x7F), "claims" },
            { new("moved", (_, entry) => entry[42] += 8), "does not lie" },
            { new("signature", (_, entry) => entry[0] = 0), "directory is damaged" },
            { new("name too long", (_, entry) => entry[29] = 0xFF), "directory is damaged" },
            { new("not UTF-8", (_, entry) => entry[46] = 0xFF), "not UTF-8" },
            { new("absolute", (_, entry) => entry[46] = (byte)'/'), "leads out" },
            { new("backslash", (_, entry) => entry[46] = (byte)'\\'), "leads out" },
            { new("control character", (_, entry) => entry[46] = 0), "leads out" },
            { new("parent", (name, entry) => "../"u8.CopyTo(entry.AsSpan(46))), "leads out" },
            { new("twice", (name, entry) => entry[^1] = name.EndsWith('1') ? (byte)'0' : entry[^1]), "is there twice" },
        };

    [Theory]
    [MemberData(nameof(ForgedArchives), DisableDiscoveryEnumeration = true)]
    public void Forged_archives_are_refused(TorchArchiveForgery forgery, string message)
    {
        var archive = new TorchArchive { Forge = forgery.Forge };
        foreach (var name in (string[])[forgery.EqualNames ? "archive/data/9" : "archive/data.pkl", "archive/data/0", "archive/data/1"])
        {
            archive.Add(name, PickleWriter.Whole(p => p.Value(null)));
        }

        AssertRefused(archive.Bytes(), message);
    }

    [Fact]
    public void A_split_archive_and_false_counts_are_refused()
    {
        var bytes = TorchArchive.Of(PickleWriter.Whole(p => p.Value(null)));
        AssertRefused(Changed(bytes, bytes.Length - 18, 1), "split zip archive");
        AssertRefused(Changed(bytes, bytes.Length - 12, 0xFF), "its directory claims");
        AssertRefused(Changed(bytes, bytes.Length - 11, 0xFF), "its directory claims");
        AssertRefused(Changed(bytes, bytes.Length - 3, 0xFF), "its directory claims");
        AssertRefused(Changed(bytes, bytes.Length - 12, 1), "bytes more than its 1 entries");
        AssertRefused(Changed(bytes, bytes.Length - 12, 4), "directory is damaged");
        var wide = new TorchArchive { Zip64 = true }
            .Add("a/data.pkl", PickleWriter.Whole(p => p.Value(null)))
            .Bytes();
        AssertRefused(Changed(wide, wide.Length - 22 - 12, 0xFF), "64-bit directory end claims");
        AssertRefused(Changed(wide, wide.Length - 22 - 20 - 56, 0), "64-bit directory end is damaged");
        AssertRefused(Changed(wide, wide.Length - 22 - 20 - 1, 0xFF), "its directory claims");
    }

    public static TheoryData<string, byte[]> UnsafePickles
    {
        get
        {
            byte[] Of(Action<PickleWriter> write) => PickleWriter.Whole(write);
            return new()
            {
                { "'os.system'", Of(p => p.Global("os", "system").Text("echo").Raw(0x85, (byte)'R')) },
                { "'builtins.eval'", Of(p => p.Global("builtins", "eval")) },
                { "'torch._utils._rebuild_tensor_v3'", Of(p => p.Global("torch._utils", "_rebuild_tensor_v3")) },
                { "'torch.QInt8Storage'", Of(p => p.Global("torch", "QInt8Storage")) },
                { "'a?[2J.b'", Of(p => p.Global("a\u001b[2J", "b")) },
                { "uses NEWOBJ", Of(p => p.Raw(0x81)) },
                { "uses INST", Of(p => p.Raw((byte)'i')) },
                { "uses STACK_GLOBAL", Of(p => p.Raw(0x93)) },
                { "uses EXT1", Of(p => p.Raw(0x82)) },
                { "uses POP", Of(p => p.Raw((byte)'0')) },
                { "protocol 4", Of(p => p.Raw(0x80, 4)) },
                { "0xff is no instruction", Of(p => p.Raw(0xFF)) },
                { "integer of 72 bits", Of(p => p.Raw(0x8A, 9).Raw(new byte[9])) },
                { "neither an integer nor text", Of(p => p.Raw((byte)'}').Value(null).Value(1).Raw((byte)'s')) },
                { "neither an integer nor text", Of(p => p.Raw((byte)'}').Text(new string('x', 300)).Value(1).Raw((byte)'s')) },
                { "'k' twice", Of(p => p.Raw((byte)'}').Text("k").Value(1).Raw((byte)'s').Text("k").Value(2).Raw((byte)'s')) },
                { "key without a value", Of(p => p.Raw((byte)'}', (byte)'(').Text("k").Raw((byte)'u')) },
                { "what is no dict", Of(p => p.Raw((byte)']').Text("k").Value(2).Raw((byte)'s')) },
                { "what is no list", Of(p => p.Raw((byte)'}').Value(2).Raw((byte)'a')) },
                { "what is no OrderedDict", Of(p => p.Raw((byte)'}').Value(2).Raw((byte)'b')) },
                { "a mark is missing", Of(p => p.Raw((byte)'t')) },
                { "a value is missing", Of(p => p.Raw((byte)'(', (byte)'a')) },
                { "a value is missing", Of(p => p.Raw(0x87)) },
                { "ends with 2 values", Of(p => p.Value(1).Value(2)) },
                { "ends with 0 values", Of(_ => { }) },
                { "it has not stored", Of(p => p.Raw((byte)'h', 9)) },
                { "text claims", Of(p => p.Raw((byte)'X', 0xFF, 0xFF, 0xFF, 0xFF)) },
                { "not UTF-8", Of(p => p.Raw((byte)'X', 1, 0, 0, 0, 0xFF)) },
                { "a name does not end", Of(p => p.Raw((byte)'c').Raw(new byte[300])) },
                { "arguments that do not fit", Of(p => p.Global("collections", "OrderedDict").Value(new object?[] { 1 }).Raw((byte)'R')) },
                { "arguments that do not fit", Of(p => p.Value(1).Value(Array.Empty<object?>()).Raw((byte)'R')) },
                {
                    "refers to a storage in an unknown way",
                    Of(p => p.Value(new object?[] { "storage", 1, "0", "cpu", 24 }).Raw((byte)'Q'))
                },
                { "other than tensors", Of(p => p.Global("collections", "OrderedDict")) },
                {
                    "other than tensors",
                    Of(p =>
                        p.Raw((byte)'(')
                            .Text("storage")
                            .Global("torch", "FloatStorage")
                            .Text("0")
                            .Text("cpu")
                            .Value(24)
                            .Raw((byte)'t', (byte)'Q')
                    )
                },
                { "in a circle", Of(p => p.Raw((byte)']', (byte)'q', 0, (byte)'h', 0, (byte)'a')) },
                { "nested over 64 deep", Of(p => p.Value(null).Raw(Enumerable.Repeat((byte)0x85, 5000).ToArray())) },
                {
                    "over 200000 values",
                    Of(p => p.Value(null).Raw([.. Enumerable.Repeat<byte[]>([(byte)'q', 0, (byte)'h', 0, 0x86], 60).SelectMany(b => b)]))
                },
                {
                    "same name",
                    Of(p =>
                        p.Value(
                            new Dictionary<object, object?>
                            {
                                ["1"] = Stored("FloatStorage", "0", 24, 0, [1], [1]),
                                [1] = Stored("FloatStorage", "0", 24, 0, [1], [1]),
                            }
                        )
                    )
                },
                {
                    "a name of over 256",
                    Of(p =>
                        p.Value(
                            new Dictionary<object, object?>
                            {
                                [new string('x', 200)] = new Dictionary<object, object?> { [new string('x', 200)] = 1 },
                            }
                        )
                    )
                },
            };
        }
    }

    [Theory]
    [MemberData(nameof(UnsafePickles), DisableDiscoveryEnumeration = true)]
    public void Pickles_that_are_more_than_tensors_and_settings_are_refused(string message, byte[] pickle) =>
        AssertRefused(TorchArchive.Of(pickle, ("0", Ramp)), message);

    public static TheoryData<long, long, long[], long[], string> ForgedTensors =>
        new()
        {
            { 24, 0, [25], [1], "lies outside" },
            { 24, 1, [24], [1], "lies outside" },
            { 24, -1, [1], [1], "lies outside" },
            { 24, 25, [0], [1], "lies outside" },
            { 24, 0, [-1], [1], "lies outside" },
            { 24, 0, [2], [-1], "lies outside" },
            { 24, 0, [2, 2], [1], "2 sizes and 1 strides" },
            { 24, 0, [long.MaxValue, long.MaxValue], [long.MaxValue, 1], "lies outside" },
            { 24, long.MaxValue, [2], [1], "lies outside" },
            { 24, 0, [1L << 40], [0], "larger than any tensor" },
            { 24, 0, [1L << 40, 1L << 40], [0, 0], "lies outside" },
            { 24, 0, [1 << 25], [0], "larger than any tensor" },
            { 23, 0, [1], [1], "23 elements of 4 bytes" },
            { long.MaxValue, 0, [1], [1], "elements of 4 bytes" },
            { -1, 0, [1], [1], "has -1 elements" },
        };

    [Theory]
    [MemberData(nameof(ForgedTensors))]
    public void Tensors_outside_their_storage_are_refused(long count, long offset, long[] shape, long[] strides, string message) =>
        AssertRefused(
            TorchArchive.Of(PickleWriter.Whole(p => p.Value(Stored("FloatStorage", "0", count, offset, shape, strides))), ("0", Ramp)),
            message
        );

    [Fact]
    public void As_many_tensors_as_the_largest_model_has_are_read()
    {
        var names = Enumerable.Range(0, 2490).Select(i => $"flow.decoder.estimator.block.{i}.weight").ToList();
        var pickle = PickleWriter.Whole(p =>
            p.OrderedDict(
                names.Select((name, i) => ((object)name, (object?)Stored("FloatStorage", $"{i}", 1, 0, [1], [1]))),
                withMetadata: true
            )
        );
        using var file = Open(TorchArchive.Of(pickle, [.. names.Select((_, i) => ($"{i}", BitConverter.GetBytes((float)i)))]));
        Assert.Equal(names.Order(), file.Tensors.Keys.Order());
        Assert.Equal([2489f], Floats(file, names[2489]));
    }

    [Fact]
    public void Descriptions_beyond_any_models_are_refused()
    {
        AssertRefused(new TorchArchive().Add("m/data.pkl", new byte[(16 << 20) + 1]).Bytes(), "more than any model's");
        AssertRefused(
            TorchArchive.Of(PickleWriter.Whole(p => p.Raw(Enumerable.Repeat((byte)'N', 1_100_000).ToArray()))),
            "over 1000000 steps"
        );
    }

    [Fact]
    public void A_storage_that_is_not_there_is_refused() =>
        AssertRefused(
            TorchArchive.Of(PickleWriter.Whole(p => p.Value(Stored("FloatStorage", "../data.pkl", 24, 0, [1], [1]))), ("0", Ramp)),
            "not there"
        );

    [Fact]
    public void Any_damage_ends_quickly_in_a_result_or_an_error()
    {
        var sound = new TorchArchive { Zip64 = true }
            .Add(
                "a/data.pkl",
                PickleWriter.Whole(p =>
                    p.OrderedDict(
                        [
                            ("w", Stored("FloatStorage", "0", 24, 0, [6, 4], [1, 6])),
                            ("b", Stored("LongStorage", "1", 3, 0, [3], [1], "cuda:0")),
                            (
                                "nested",
                                new Dictionary<object, object?>
                                {
                                    ["x"] = null,
                                    ["y"] = new List<object?> { 1, 2.5, "text", true },
                                }
                            ),
                        ],
                        withMetadata: true
                    )
                )
            )
            .Add("a/data/0", Ramp)
            .Add("a/data/1", Ramp[..24])
            .Add("a/byteorder", "little"u8.ToArray())
            .Bytes();
        TryReadAll(sound);
        var longest = 1000 * (ProcessorTime.Of(() => TryReadAll(sound)) + TimeSpan.FromMilliseconds(1));
        byte[] telling = [0, 1, 0x7F, 0x80, 0xFF, (byte)'(', (byte)'.', (byte)'R'];
        var value = Gen.OneOf(Gen.Byte, Gen.Int[0, telling.Length - 1].Select(i => telling[i]));
        var edit = Gen.Select(Gen.Int[0, sound.Length - 1], value, Gen.Int[0, 9]);
        edit.Array[1, 6]
            .Sample(
                edits =>
                {
                    var bytes = edits.Aggregate(sound, (before, e) => Mutated(before, e.Item1 % before.Length, e.Item2, e.Item3));
                    var taken = ProcessorTime.Of(() => TryReadAll(bytes), tries: 1);
                    Assert.True(taken < longest, $"took {taken}, expected less than {longest}, a thousand times what a sound file takes");
                },
                iter: 4000,
                threads: 1
            );
    }

    private static byte[] Mutated(byte[] bytes, int at, byte value, int kind) =>
        kind switch
        {
            0 => bytes.Length > 1 ? bytes[..Math.Max(1, at)] : bytes,
            1 => [.. bytes[..at], value, .. bytes[at..]],
            2 => bytes.Length > 1 ? [.. bytes[..at], .. bytes[(at + 1)..]] : bytes,
            _ => Changed(bytes, at, value),
        };

    private void TryReadAll(byte[] bytes)
    {
        try
        {
            using var file = Open(bytes);
            foreach (var name in file.Tensors.Keys)
            {
                file.Read(name).Dispose();
            }
        }
        catch (CheckpointException)
        {
            // The other of the two allowed ends.
        }
    }

    private void AssertRefused(byte[] bytes, string message)
    {
        var error = Assert.Throws<CheckpointException>(() => Open(bytes));
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
        Assert.Contains("file.pt", error.Message, StringComparison.Ordinal);
        Assert.EndsWith(".", error.Message, StringComparison.Ordinal);
    }

    /// <summary>An archive of one tensor w, as TorchSharp.PyBridge writes it.</summary>
    private static byte[] Deflated(byte[] elements)
    {
        using var stream = new MemoryStream();
        using (var zip = new ZipArchive(stream, ZipArchiveMode.Create, leaveOpen: true))
        {
            void Add(string name, byte[] data)
            {
                using var entry = zip.CreateEntry(name, CompressionLevel.Optimal).Open();
                entry.Write(data);
            }

            var count = elements.Length / sizeof(float);
            Add(
                "ve/data.pkl",
                PickleWriter.Whole(p =>
                    p.Value(new Dictionary<object, object?> { ["w"] = Stored("FloatStorage", "0", count, 0, [count], [1]) })
                )
            );
            Add("ve/data/0", elements);
        }

        return stream.ToArray();
    }

    private TorchFile Open(byte[] bytes)
    {
        var path = Path.Combine(_folder, "file.pt");
        File.WriteAllBytes(path, bytes);
        return TorchFile.Open(path);
    }

    private static byte[] Changed(byte[] bytes, int at, byte value)
    {
        var changed = bytes.ToArray();
        changed[at] = value;
        return changed;
    }

    private static float[] Floats(TorchFile file, string name)
    {
        using var tensor = file.Read(name);
        return tensor.data<float>().ToArray();
    }

    private static Action<PickleWriter> Stored(
        string storage,
        string key,
        long count,
        long offset,
        long[] shape,
        long[] strides,
        string location = "cpu"
    ) => writer => writer.Tensor(storage, key, count, offset, shape, strides, location);
}

/// <summary>One way of forging an entry of a zip directory.</summary>
public sealed record TorchArchiveForgery(string What, Action<string, byte[]> Forge, bool EqualNames = false)
{
    public override string ToString() => What;
}
