using System.Buffers.Binary;
using System.Text;

namespace Chatterbox.Weights;

/// <summary>Where the entries of a zip archive lie in its file.</summary>
/// <remarks>
/// torch.save stores its entries as they are, so that a tensor can be read from its place in the file, which
/// System.IO.Compression does not tell. The central directory is read, with its 64-bit extension; each entry's own header
/// is asked only for its length. Format: PKWARE's APPNOTE.
/// </remarks>
internal static class ZipDirectory
{
    private const int EndBytes = 22;
    private const int End64LocatorBytes = 20;
    private const int End64Bytes = 56;
    private const int CentralBytes = 46;
    private const int LocalBytes = 30;
    private const int MaxComment = ushort.MaxValue;
    private const int MaxEntries = 100_000;
    private const int MaxDirectoryBytes = 32 << 20;

    private static readonly UTF8Encoding StrictUtf8 = new(false, throwOnInvalidBytes: true);

    /// <summary>Reads the directory: place and size of each entry's data by name.</summary>
    /// <exception cref="InvalidDataException">The archive is damaged or forged.</exception>
    /// <exception cref="NotSupportedException">The archive uses encryption or more than one file.</exception>
    public static IReadOnlyDictionary<string, ZipEntry> Read(WeightFile file)
    {
        var (start, bytes, count) = FindDirectory(file);
        var directory = new byte[bytes];
        file.Read(directory, start);
        var entries = new Dictionary<string, ZipEntry>();
        ReadOnlySpan<byte> rest = directory;
        for (var i = 0; i < count; i++)
        {
            var (name, entry) = ReadEntry(file, ref rest, start);
            if (!entries.TryAdd(name, entry))
            {
                throw new InvalidDataException($"entry '{name}' is there twice");
            }
        }

        if (rest.Length > 0)
        {
            throw new InvalidDataException($"its directory has {rest.Length} bytes more than its {count} entries");
        }

        CheckOverlaps(entries);
        return entries;
    }

    private static (long Start, int Bytes, int Count) FindDirectory(WeightFile file)
    {
        var end = FindEnd(file);
        Span<byte> record = stackalloc byte[EndBytes];
        file.Read(record, end);
        long count = U16(record, 10),
            bytes = U32(record, 12),
            start = U32(record, 16),
            limit = end;
        var disks = U16(record, 4) | U16(record, 6);

        Span<byte> locator = stackalloc byte[End64LocatorBytes];
        if (end >= End64LocatorBytes + End64Bytes)
        {
            file.Read(locator, end - End64LocatorBytes);
            if (U32(locator, 0) == 0x07064B50)
            {
                limit = I64(locator, 8);
                (start, bytes, count) = ReadEnd64(file, limit, end);
                disks = 0;
            }
        }

        if (disks != 0)
        {
            throw new NotSupportedException("it is one part of a split zip archive. Put the parts together first");
        }

        if (
            count is < 0 or > MaxEntries
            || bytes is < 0 or > MaxDirectoryBytes
            || bytes < count * CentralBytes
            || start < 0
            || start > limit - bytes
        )
        {
            throw new InvalidDataException($"its directory claims {count} entries in {bytes} bytes at {start} of {file.Length}");
        }

        return (start, (int)bytes, (int)count);
    }

    private static long FindEnd(WeightFile file)
    {
        var tail = new byte[Math.Min(file.Length, EndBytes + MaxComment)];
        file.Read(tail, file.Length - tail.Length);
        for (var at = tail.Length - EndBytes; at >= 0; at--)
        {
            if (U32(tail, at) == 0x06054B50 && at + EndBytes + U16(tail, at + 20) == tail.Length)
            {
                return file.Length - tail.Length + at;
            }
        }

        throw new InvalidDataException(
            $"it has no zip directory at its end ({file.Length} bytes): it may not have been copied or downloaded whole"
        );
    }

    private static (long Start, long Bytes, long Count) ReadEnd64(WeightFile file, long at, long end)
    {
        Span<byte> record = stackalloc byte[End64Bytes];
        if (at < 0 || at > end - End64LocatorBytes - End64Bytes)
        {
            throw new InvalidDataException($"its 64-bit directory end claims to lie at byte {at} of {file.Length}");
        }

        file.Read(record, at);
        return U32(record, 0) == 0x06064B50
            ? (I64(record, 48), I64(record, 40), I64(record, 32))
            : throw new InvalidDataException("its 64-bit directory end is damaged");
    }

    private static (string Name, ZipEntry Entry) ReadEntry(WeightFile file, ref ReadOnlySpan<byte> directory, long directoryStart)
    {
        if (directory.Length < CentralBytes || U32(directory, 0) != 0x02014B50)
        {
            throw new InvalidDataException("its directory is damaged");
        }

        int flags = U16(directory, 8),
            method = U16(directory, 10),
            nameLength = U16(directory, 28),
            extraLength = U16(directory, 30);
        var length = CentralBytes + nameLength + extraLength + U16(directory, 32);
        if (length > directory.Length)
        {
            throw new InvalidDataException("its directory is damaged");
        }

        var nameBytes = directory.Slice(CentralBytes, nameLength);
        var name = Name(nameBytes);
        if ((flags & 1) != 0)
        {
            throw new NotSupportedException(
                $"entry '{name}' is encrypted, and torch.save stores entries as they are. Use the file as it was saved"
            );
        }

        var (stored, size, header) = ((long)U32(directory, 20), (long)U32(directory, 24), (long)U32(directory, 42));
        Widen(directory.Slice(CentralBytes + nameLength, extraLength), ref size, ref stored, ref header);
        if ((stored != size && method == 0) || size < 0 || stored < 0 || header < 0 || header > directoryStart - LocalBytes)
        {
            throw new InvalidDataException($"entry '{name}' claims {stored} bytes for {size}, at byte {header} of {file.Length}");
        }

        directory = directory[length..];
        var how = method switch
        {
            0 => ZipMethod.Stored,
            8 => ZipMethod.Deflated,
            _ => ZipMethod.Other,
        };
        return (name, new ZipEntry(header, DataStart(file, name, nameBytes, header, directoryStart - stored), stored, size, how));
    }

    /// <summary>Takes 64-bit numbers from the extra field for those that did not fit, in the format's own order.</summary>
    private static void Widen(ReadOnlySpan<byte> extra, ref long size, ref long stored, ref long header)
    {
        while (extra.Length >= 4)
        {
            var (tag, length) = (U16(extra, 0), U16(extra, 2));
            if (length > extra.Length - 4)
            {
                break;
            }

            if (tag == 1)
            {
                var numbers = extra.Slice(4, length);
                WidenOne(ref numbers, ref size);
                WidenOne(ref numbers, ref stored);
                WidenOne(ref numbers, ref header);
                return;
            }

            extra = extra[(4 + length)..];
        }
    }

    private static void WidenOne(ref ReadOnlySpan<byte> numbers, ref long value)
    {
        if (value == uint.MaxValue && numbers.Length >= sizeof(long))
        {
            value = I64(numbers, 0);
            numbers = numbers[sizeof(long)..];
        }
    }

    private static long DataStart(WeightFile file, string name, ReadOnlySpan<byte> nameBytes, long header, long limit)
    {
        Span<byte> local = stackalloc byte[LocalBytes];
        file.Read(local, header);
        var start = header + LocalBytes + U16(local, 26) + U16(local, 28);
        if (U32(local, 0) != 0x04034B50 || U16(local, 26) != nameBytes.Length || start > limit)
        {
            throw new InvalidDataException($"entry '{name}' does not lie where the directory says, at byte {header}");
        }

        return start;
    }

    private static string Name(ReadOnlySpan<byte> bytes)
    {
        string name;
        try
        {
            name = StrictUtf8.GetString(bytes);
        }
        catch (DecoderFallbackException e)
        {
            throw new InvalidDataException("an entry's name is not UTF-8", e);
        }

        if (name.Length == 0 || name[0] == '/' || name.Contains('\\') || name.Any(char.IsControl) || name.Split('/').Contains(".."))
        {
            throw new InvalidDataException("an entry's name is empty, leads out of the archive or has control characters");
        }

        return name;
    }

    private static void CheckOverlaps(Dictionary<string, ZipEntry> entries)
    {
        var end = 0L;
        foreach (var (name, entry) in entries.OrderBy(e => e.Value.Header))
        {
            if (entry.Header < end)
            {
                throw new InvalidDataException($"entry '{name}' overlaps another");
            }

            end = entry.Start + entry.StoredSize;
        }
    }

    private static int U16(ReadOnlySpan<byte> from, int at) => BinaryPrimitives.ReadUInt16LittleEndian(from[at..]);

    private static uint U32(ReadOnlySpan<byte> from, int at) => BinaryPrimitives.ReadUInt32LittleEndian(from[at..]);

    private static long I64(ReadOnlySpan<byte> from, int at) => BinaryPrimitives.ReadInt64LittleEndian(from[at..]);
}

/// <summary>An entry of a zip archive: byte offsets in its file.</summary>
/// <param name="Header">Where its own header begins.</param>
/// <param name="Start">Where its data begins.</param>
/// <param name="StoredSize">Bytes that its data takes in the file.</param>
/// <param name="Size">Bytes of its data, unpacked.</param>
/// <param name="Method">How its data is stored.</param>
internal readonly record struct ZipEntry(long Header, long Start, long StoredSize, long Size, ZipMethod Method);

/// <summary>How an entry of a zip archive is stored.</summary>
internal enum ZipMethod
{
    /// <summary>As it is: what torch.save does.</summary>
    Stored,

    /// <summary>Deflated.</summary>
    Deflated,

    /// <summary>In another way.</summary>
    Other,
}
