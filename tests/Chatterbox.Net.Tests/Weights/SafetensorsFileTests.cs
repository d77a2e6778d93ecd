using System.Buffers.Binary;
using System.Text;
using Chatterbox.Weights;
using CsCheck;

namespace Chatterbox.Tests.Weights;

public sealed class SafetensorsFileTests : IDisposable
{
    private readonly string _path = Path.GetTempFileName();

    [Fact]
    public void Reads_every_type_and_shape()
    {
        Write(
            """{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"b":{"dtype":"BF16","shape":[2],"data_offsets":[16,20]},"c":{"dtype":"I64","shape":[],"data_offsets":[20,28]},"d":{"dtype":"F16","shape":[0,3],"data_offsets":[28,28]},"__metadata__":{"who":"me"}}""",
            [.. Bytes(1f), .. Bytes(2f), .. Bytes(3f), .. Bytes(-4f), 0x80, 0x3f, 0x00, 0xc0, .. BitConverter.GetBytes(7L)]
        );
        using var file = SafetensorsFile.Open(_path);
        using var a = file.Read("a");
        using var b = file.Read("b");
        using var c = file.Read("c");
        using var d = file.Read("d");
        Assert.Equal([1f, 2f, 3f, -4f], a.data<float>().ToArray());
        Assert.Equal([1f, -2f], b.to(ScalarType.Float32).data<float>().ToArray());
        Assert.Equal(7, c.item<long>());
        Assert.Equal([0, 3], d.shape);
        Assert.Equal("me", file.Metadata["who"]);
        Assert.Equal([2, 2], file.Tensors["a"].Shape);
    }

    [Theory]
    [InlineData(
        """{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}""",
        12,
        "overlaps"
    )]
    [InlineData(
        """{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}""",
        16,
        "twice"
    )]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}""", 16, "gap")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 16, "end at byte 8")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 4, "lies at bytes")]
    [InlineData("""{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}""", 8, "needs 12 bytes")]
    [InlineData("""{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}""", 8, "negative")]
    [InlineData("""{"a":{"dtype":"F32","shape":[4611686018427387904,8],"data_offsets":[0,8]}}""", 8, "")]
    [InlineData("""{"a":{"dtype":"F99","shape":[2],"data_offsets":[0,8]}}""", 8, "element type 'F99'")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2]}}""", 8, "no data_offsets")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}""", 8, "lies at bytes")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}}""", 8, "lies at bytes")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,1e300]}}""", 8, "")]
    [InlineData("""{"a":7}""", 8, "no dtype")]
    [InlineData("""[1,2]""", 0, "not a JSON object")]
    [InlineData("""{"a":""", 0, "")]
    public void A_lying_header_is_refused_by_name(string header, int dataBytes, string reason)
    {
        Write(header, new byte[dataBytes]);
        var error = Assert.Throws<CheckpointException>(() => SafetensorsFile.Open(_path));
        Assert.Contains(_path, error.Message, StringComparison.Ordinal);
        Assert.Contains(reason, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(ulong.MaxValue)]
    [InlineData(1UL << 40)]
    [InlineData(99_000_000UL)]
    public void A_huge_header_length_allocates_nothing(ulong length)
    {
        var bytes = new byte[64];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, length);
        File.WriteAllBytes(_path, bytes);
        var before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Throws<CheckpointException>(() => SafetensorsFile.Open(_path));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1 << 20);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(7)]
    public void A_file_too_short_for_a_header_is_refused(int bytes)
    {
        File.WriteAllBytes(_path, new byte[bytes]);
        Assert.Contains("too few", Assert.Throws<CheckpointException>(() => SafetensorsFile.Open(_path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_missing_file_and_a_missing_tensor_are_named()
    {
        Assert.Contains(
            "no-such-file",
            Assert.Throws<CheckpointException>(() => SafetensorsFile.Open("/no-such-file")).Message,
            StringComparison.Ordinal
        );
        Write("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", new byte[4]);
        using var file = SafetensorsFile.Open(_path);
        Assert.Contains("'b'", Assert.Throws<CheckpointException>(() => file.Read("b")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_mutated_file_is_read_or_refused()
    {
        Write(
            """{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"b":{"dtype":"BF16","shape":[2],"data_offsets":[16,20]},"__metadata__":{"k":"v"}}""",
            new byte[20]
        );
        var sound = File.ReadAllBytes(_path);
        var mutation = Gen.Select(Gen.Int[0, sound.Length - 1], Gen.Byte).Array[1, 6];
        Gen.Select(mutation, Gen.Int[0, sound.Length])
            .Sample(
                (changes, length) =>
                {
                    var bytes = sound.ToArray();
                    foreach (var (at, value) in changes)
                    {
                        bytes[at] = value;
                    }

                    var path = Path.GetTempFileName();
                    try
                    {
                        File.WriteAllBytes(path, bytes[..length]);
                        using var file = SafetensorsFile.Open(path);
                        foreach (var name in file.Tensors.Keys)
                        {
                            file.Read(name).Dispose();
                        }
                    }
                    catch (CheckpointException) { }
                    finally
                    {
                        File.Delete(path);
                    }
                },
                iter: 2000,
                threads: 1
            );
    }

    public void Dispose() => File.Delete(_path);

    private static byte[] Bytes(float value) => BitConverter.GetBytes(value);

    private void Write(string header, byte[] data)
    {
        var json = Encoding.UTF8.GetBytes(header);
        File.WriteAllBytes(_path, [.. BitConverter.GetBytes((ulong)json.Length), .. json, .. data]);
    }
}
