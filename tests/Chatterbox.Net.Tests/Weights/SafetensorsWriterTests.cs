using System.Text;
using Chatterbox.Weights;
using CsCheck;

namespace Chatterbox.Tests.Weights;

public sealed class SafetensorsWriterTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("safetensors-").FullName;
    private readonly DisposeScope _scope = NewDisposeScope();

    private string File => Path.Combine(_folder, "file.safetensors");

    public void Dispose()
    {
        _scope.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    public static TheoryData<ScalarType> Types =>
        new(
            ScalarType.Float64,
            ScalarType.Float32,
            ScalarType.Float16,
            ScalarType.BFloat16,
            ScalarType.Int64,
            ScalarType.Int32,
            ScalarType.Int16,
            ScalarType.Int8,
            ScalarType.Byte,
            ScalarType.Bool
        );

    [Theory, MemberData(nameof(Types))]
    public void Tensors_come_back_as_they_were(ScalarType type)
    {
        var values = arange(24, ScalarType.Float32).reshape(2, 3, 4).to(type);
        SafetensorsWriter.Write(File, [TensorToWrite.From("x", values)]);
        using var file = SafetensorsFile.Open(File);
        using var read = file.Read("x");
        Assert.Equal(type, read.dtype);
        Assert.True(read.eq(values).all().item<bool>());
    }

    [Fact]
    public void Views_scalars_and_empty_tensors_come_back_too()
    {
        var view = arange(12, ScalarType.Float32).reshape(3, 4).T[1..3];
        SafetensorsWriter.Write(
            File,
            [TensorToWrite.From("view", view), TensorToWrite.From("scalar", tensor(7L)), TensorToWrite.From("empty", zeros(0, 5))]
        );
        using var file = SafetensorsFile.Open(File);
        Assert.True(file.Read("view").eq(view).all().item<bool>());
        Assert.Equal(7L, file.Read("scalar").item<long>());
        Assert.Equal([], file.Tensors["scalar"].Shape);
        Assert.Equal([0, 5], file.Tensors["empty"].Shape);
    }

    [Fact]
    public void While_a_file_is_written_there_is_a_partial_one_alone()
    {
        string[] seen = [];
        SafetensorsWriter.Write(
            File,
            [
                new(
                    "x",
                    new(ScalarType.Byte, [1]),
                    stream =>
                    {
                        seen = Directory.GetFiles(_folder);
                        stream.WriteByte(1);
                    }
                ),
            ]
        );
        Assert.Matches(@"^\.[0-9a-f]{32}\.part$", Path.GetFileName(Assert.Single(seen)));
        Assert.Equal([File], Directory.GetFiles(_folder));
    }

    [Fact]
    public void Metadata_comes_back()
    {
        var metadata = new Dictionary<string, string> { ["name"] = "Jürgen \"J\" \n 声", ["empty"] = "" };
        SafetensorsWriter.Write(File, [], metadata);
        using var file = SafetensorsFile.Open(File);
        Assert.Equal(metadata.OrderBy(m => m.Key), file.Metadata.OrderBy(m => m.Key));
    }

    [Fact]
    public void The_same_tensors_give_the_same_bytes_aligned_and_in_the_callers_order()
    {
        TensorToWrite[] tensors =
        [
            TensorToWrite.From("bytes", ones(3, dtype: ScalarType.Byte)),
            TensorToWrite.From("b", ones(1)),
            TensorToWrite.From("a", ones(1)),
            TensorToWrite.From("long", tensor(1L)),
        ];
        SafetensorsWriter.Write(File, tensors, new Dictionary<string, string> { ["k"] = "v" });
        const string Expected = """
            {"__metadata__":{"k":"v"},"long":{"dtype":"I64","shape":[],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},"a":{"dtype":"F32","shape":[1],"data_offsets":[12,16]},"bytes":{"dtype":"U8","shape":[3],"data_offsets":[16,19]}}
            """;
        var bytes = System.IO.File.ReadAllBytes(File);
        var length = BitConverter.ToInt32(bytes, 0);
        Assert.Equal(0, length % 8);
        Assert.Equal(Expected, Encoding.UTF8.GetString(bytes, 8, length).TrimEnd(' '));
        Assert.Equal(8 + length + 19, bytes.Length);
    }

    [Fact]
    public void Any_shapes_round_trip() =>
        Gen.Select(Gen.Int[0, 4].List[0, 3], Gen.Bool)
            .List[0, 6]
            .Sample(
                shapes =>
                {
                    using var scope = NewDisposeScope();
                    var tensors = shapes
                        .Select(
                            (s, i) =>
                                (
                                    Name: $"t{i}",
                                    Value: rand([.. s.Item1.Select(d => (long)d)]).to(s.Item2 ? ScalarType.Float64 : ScalarType.Float16)
                                )
                        )
                        .ToList();
                    SafetensorsWriter.Write(File, tensors.Select(t => TensorToWrite.From(t.Name, t.Value)));
                    using var file = SafetensorsFile.Open(File);
                    Assert.Equal(tensors.Count, file.Tensors.Count);
                    Assert.All(tensors, t => Assert.True(file.Read(t.Name).MoveToOuterDisposeScope().eq(t.Value).all().item<bool>()));
                },
                iter: 50,
                threads: 1
            );

    [Fact]
    public void Tensors_are_asked_for_their_bytes_one_after_the_other()
    {
        var calls = new List<string>();
        TensorToWrite Recorded(string name) =>
            new(
                name,
                new(ScalarType.Byte, [3]),
                stream =>
                {
                    calls.Add($"{name} at {stream.Length % 8}");
                    stream.Write(stackalloc byte[3]);
                }
            );

        SafetensorsWriter.Write(File, [Recorded("first"), Recorded("second")]);
        Assert.Equal(["first at 0", "second at 3"], calls);
    }

    [Fact]
    public void Late_metadata_take_the_place_of_the_first_once_all_is_written()
    {
        var written = false;
        var tensors = new[]
        {
            new TensorToWrite(
                "x",
                new(ScalarType.Byte, [1]),
                stream =>
                {
                    stream.WriteByte(7);
                    written = true;
                }
            ),
        };
        SafetensorsWriter.Write(File, tensors, Hash("--"), () => Hash(written ? "ok" : "no"));
        using (var file = SafetensorsFile.Open(File))
        {
            Assert.Equal("ok", file.Metadata["hash"]);
            Assert.Equal([7], file.Read("x").data<byte>().ToArray());
        }

        Assert.Throws<InvalidOperationException>(() =>
            SafetensorsWriter.Write(File, tensors, Hash("--"), () => Hash("much longer than that"))
        );
        Assert.Single(Directory.GetFiles(_folder));

        static Dictionary<string, string> Hash(string value) => new() { ["hash"] = value };
    }

    [Fact]
    public void A_failed_write_leaves_what_was_there()
    {
        System.IO.File.WriteAllText(File, "before");
        var wrong = new TensorToWrite("x", new(ScalarType.Float32, [2]), stream => stream.WriteByte(1));
        var error = Assert.Throws<InvalidOperationException>(() => SafetensorsWriter.Write(File, [wrong]));
        Assert.Contains("'x' wrote 1 bytes", error.Message, StringComparison.Ordinal);
        Assert.Equal("before", System.IO.File.ReadAllText(File));
        Assert.Single(Directory.GetFiles(_folder));
    }

    [Theory]
    [InlineData("x")]
    [InlineData("__metadata__")]
    public void Names_that_are_taken_are_refused(string name)
    {
        TensorToWrite[] tensors = [TensorToWrite.From("x", ones(1)), TensorToWrite.From(name, ones(1))];
        Assert.Throws<ArgumentException>(() => SafetensorsWriter.Write(File, tensors));
    }

    [Fact]
    public void Types_that_the_format_lacks_are_refused() =>
        Assert.Throws<ArgumentException>(() =>
            SafetensorsWriter.Write(File, [TensorToWrite.From("x", ones(1, dtype: ScalarType.ComplexFloat32))])
        );

    [Fact]
    public void A_missing_folder_is_named() =>
        Assert.Contains(
            "no-such-folder",
            Assert.Throws<CheckpointException>(() => SafetensorsWriter.Write(Path.Combine(_folder, "no-such-folder", "f"), [])).Message,
            StringComparison.Ordinal
        );
}
