using System.IO.Compression;

namespace Chatterbox.Weights;

/// <summary>Unpacks a zip archive whose entries are deflated, as TorchSharp.PyBridge writes them, so that tensors are read from a place of
/// a file.</summary>
/// <remarks>The unpacked entries lie in a temporary file that goes with its handle. Its size is known before it is written, from the
/// directory, and may not exceed a multiple of the archive's.</remarks>
internal static class DeflatedArchive
{
    private const int MostTimesLarger = 32; // weights are noise to a compressor; only what is constant shrinks further
    private const long AlwaysAllowedBytes = 64 << 20;
    private const int BufferBytes = 1 << 16;

    /// <summary>Unpacks an archive.</summary>
    /// <param name="file">The archive.</param>
    /// <param name="entries">Its entries; some are compressed.</param>
    /// <returns>The unpacked file and where the entries lie in it.</returns>
    /// <exception cref="InvalidDataException">An entry is not what its size says.</exception>
    /// <exception cref="NotSupportedException">An entry is not deflated, or all of them together are far larger than the
    /// archive.</exception>
    /// <exception cref="CheckpointException">The temporary file cannot be written.</exception>
    public static (WeightFile File, IReadOnlyDictionary<string, ZipEntry> Entries) Unpack(
        WeightFile file,
        IReadOnlyDictionary<string, ZipEntry> entries
    )
    {
        Check(file, entries);
        var path = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        try
        {
            var unpacked = Unpack(file, entries, path);
            return (WeightFile.OpenTemporary(path), unpacked);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            File.Delete(path);
            throw new CheckpointException($"The archive's entries are compressed, and cannot be unpacked to {path}: {e.Message}", e);
        }
        catch
        {
            File.Delete(path);
            throw;
        }
    }

    private static void Check(WeightFile file, IReadOnlyDictionary<string, ZipEntry> entries)
    {
        if (entries.FirstOrDefault(e => e.Value.Method == ZipMethod.Other).Key is { } other)
        {
            throw new NotSupportedException(
                $"entry '{other}' is compressed in another way than by deflating. Use the file as it was saved"
            );
        }

        var total = entries.Values.Sum(e => (decimal)e.Size);
        if (total > (MostTimesLarger * (decimal)file.Length) + AlwaysAllowedBytes)
        {
            throw new NotSupportedException($"its {file.Length} bytes claim to be {total} unpacked, far more than any weights");
        }
    }

    private static Dictionary<string, ZipEntry> Unpack(WeightFile file, IReadOnlyDictionary<string, ZipEntry> entries, string path)
    {
        using var target = new FileStream(path, FileMode.CreateNew, FileAccess.Write, FileShare.None, bufferSize: 0);
        var unpacked = new Dictionary<string, ZipEntry>();
        var buffer = new byte[BufferBytes];
        foreach (var (name, entry) in entries)
        {
            var start = target.Position;
            Unpack(file, name, entry, target, buffer);
            unpacked.Add(name, entry with { Start = start, StoredSize = entry.Size, Method = ZipMethod.Stored });
        }

        return unpacked;
    }

    private static void Unpack(WeightFile file, string name, ZipEntry entry, FileStream target, byte[] buffer)
    {
        using var stored = new EntryStream(file, entry);
        using var source = entry.Method == ZipMethod.Stored ? (Stream)stored : new DeflateStream(stored, CompressionMode.Decompress);
        for (var left = entry.Size; left > 0; )
        {
            var read = Read(source, buffer.AsSpan(0, (int)Math.Min(buffer.Length, left)), name);
            if (read == 0)
            {
                throw new InvalidDataException($"entry '{name}' is shorter than its {entry.Size} bytes");
            }

            target.Write(buffer, 0, read);
            left -= read;
        }

        if (Read(source, buffer.AsSpan(0, 1), name) > 0)
        {
            throw new InvalidDataException($"entry '{name}' is longer than its {entry.Size} bytes");
        }
    }

    private static int Read(Stream source, Span<byte> buffer, string name)
    {
        try
        {
            return source.Read(buffer);
        }
        catch (InvalidDataException e)
        {
            throw new InvalidDataException($"entry '{name}' cannot be unpacked: {e.Message}", e);
        }
    }

    /// <summary>The stored bytes of an entry, in order.</summary>
    private sealed class EntryStream(WeightFile file, ZipEntry entry) : Stream
    {
        private long _read;

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => entry.StoredSize;

        public override long Position
        {
            get => _read;
            set => throw new NotSupportedException();
        }

        public override int Read(Span<byte> buffer)
        {
            var part = buffer[..(int)Math.Min(buffer.Length, entry.StoredSize - _read)];
            file.Read(part, entry.Start + _read);
            _read += part.Length;
            return part.Length;
        }

        public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

        public override void Flush() { }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
