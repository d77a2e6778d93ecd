using System.Buffers.Binary;
using System.Collections.Frozen;
using System.Text.Json;

namespace Chatterbox.Weights;

/// <summary>A tensor on its way into a file.</summary>
/// <param name="Name">Its key in the file.</param>
/// <param name="Info">Element type and shape.</param>
/// <param name="WriteTo">Writes the elements, little-endian and row by row, when their turn comes.</param>
internal sealed record TensorToWrite(string Name, TensorInfo Info, Action<Stream> WriteTo)
{
    /// <summary>Writes a tensor that lives, on any device, until the file is written.</summary>
    public static TensorToWrite From(string name, Tensor tensor) =>
        new(
            name,
            new(tensor.dtype, tensor.shape),
            stream =>
            {
                using var scope = NewDisposeScope();
                stream.Write(tensor.detach().cpu().contiguous().bytes);
            }
        );
}

/// <summary>Writes safetensors files of any size, holding no more than the writing of one tensor needs in memory.</summary>
/// <remarks>Format: github.com/huggingface/safetensors. Wider element types come first and the header is filled up to
/// eight bytes, so that every tensor is aligned to its elements; otherwise the order is the caller's.</remarks>
internal static class SafetensorsWriter
{
    private const int Alignment = 8;
    private const string MetadataKey = "__metadata__";

    private static readonly FrozenDictionary<ScalarType, (string Name, int Size)> DTypes = SafetensorsFile.DTypes.ToFrozenDictionary(
        d => d.Value.Type,
        d => (d.Key, d.Value.Size)
    );

    /// <summary>Writes a file: beside its place first, so that what stands there is whole at any time.</summary>
    /// <param name="path">Where; a file that is there is replaced.</param>
    /// <param name="tensors">What.</param>
    /// <param name="metadata">Free-form strings for the header.</param>
    /// <param name="late">The metadata once the tensors are written, where one of its strings is known only then; of the same
    /// length.</param>
    /// <exception cref="CheckpointException">The file cannot be written.</exception>
    /// <exception cref="ArgumentException">A name is there twice, or an element type has no name in the format.</exception>
    /// <exception cref="InvalidOperationException">A tensor did not write as many bytes as its shape needs, or late metadata need another
    /// room.</exception>
    public static void Write(
        string path,
        IEnumerable<TensorToWrite> tensors,
        IReadOnlyDictionary<string, string>? metadata = null,
        Func<IReadOnlyDictionary<string, string>>? late = null
    )
    {
        var ordered = tensors.OrderByDescending(tensor => DTypeOf(tensor).Size).ToList();
        var header = Header(ordered, metadata ?? FrozenDictionary<string, string>.Empty);
        var target = Path.GetFullPath(path);
        var unfinished = Path.Combine(Path.GetDirectoryName(target)!, $".{Guid.NewGuid():N}.part");
        try
        {
            using (var stream = new FileStream(unfinished, FileMode.CreateNew, FileAccess.Write, FileShare.None))
            {
                stream.Write(header);
                ordered.ForEach(tensor => WriteTensor(stream, tensor));
                if (late is not null)
                {
                    stream.Flush(flushToDisk: true); // while the caller may still be finding out
                    Replace(stream, header, Header(ordered, late()));
                }

                stream.Flush(flushToDisk: true);
            }

            File.Move(unfinished, target, overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException(
                $"{path} cannot be written: {e.Message} Check that the folder is there, may be written to, and has room.",
                e
            );
        }
        finally
        {
            if (File.Exists(unfinished))
            {
                File.Delete(unfinished);
            }
        }
    }

    private static void Replace(FileStream stream, byte[] header, byte[] other)
    {
        if (other.Length != header.Length)
        {
            throw new InvalidOperationException(
                $"The header with late metadata has {other.Length} bytes; there is room for {header.Length}."
            );
        }

        stream.Position = 0;
        stream.Write(other);
    }

    private static void WriteTensor(FileStream stream, TensorToWrite tensor)
    {
        var start = stream.Position;
        tensor.WriteTo(stream);
        if (stream.Position - start != BytesOf(tensor))
        {
            throw new InvalidOperationException(
                $"'{tensor.Name}' wrote {stream.Position - start} bytes; its shape [{string.Join(", ", tensor.Info.Shape)}] of "
                    + $"{tensor.Info.DType} needs {BytesOf(tensor)}."
            );
        }
    }

    /// <summary>The length of the header, then the header.</summary>
    private static byte[] Header(List<TensorToWrite> tensors, IReadOnlyDictionary<string, string> metadata)
    {
        using var buffer = new MemoryStream();
        buffer.Write(stackalloc byte[sizeof(ulong)]);
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            if (metadata.Count > 0)
            {
                json.WriteStartObject(MetadataKey);
                foreach (var (key, value) in metadata.OrderBy(item => item.Key, StringComparer.Ordinal))
                {
                    json.WriteString(key, value);
                }

                json.WriteEndObject();
            }

            WriteEntries(json, tensors);
            json.WriteEndObject();
        }

        while (buffer.Length % Alignment != 0)
        {
            buffer.WriteByte((byte)' ');
        }

        var header = buffer.ToArray();
        BinaryPrimitives.WriteUInt64LittleEndian(header, (ulong)(header.Length - sizeof(ulong)));
        return header;
    }

    private static void WriteEntries(Utf8JsonWriter json, List<TensorToWrite> tensors)
    {
        var names = new HashSet<string> { MetadataKey };
        var offset = 0L;
        foreach (var tensor in tensors)
        {
            if (!names.Add(tensor.Name))
            {
                throw new ArgumentException($"'{tensor.Name}' cannot be the name of a tensor: it is taken.", nameof(tensors));
            }

            json.WriteStartObject(tensor.Name);
            json.WriteString("dtype", DTypeOf(tensor).Name);
            json.WriteStartArray("shape");
            Array.ForEach(tensor.Info.Shape, json.WriteNumberValue);
            json.WriteEndArray();
            json.WriteStartArray("data_offsets");
            json.WriteNumberValue(offset);
            json.WriteNumberValue(offset += BytesOf(tensor));
            json.WriteEndArray();
            json.WriteEndObject();
        }
    }

    private static long BytesOf(TensorToWrite tensor) => checked(tensor.Info.Count * DTypeOf(tensor).Size);

    private static (string Name, int Size) DTypeOf(TensorToWrite tensor) =>
        DTypes.TryGetValue(tensor.Info.DType, out var dtype)
            ? dtype
            : throw new ArgumentException(
                $"'{tensor.Name}' has element type {tensor.Info.DType}, which safetensors does not know.",
                nameof(tensor)
            );
}
