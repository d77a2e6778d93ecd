using System.Buffers.Binary;

namespace Chatterbox.Audio.Ogg;

/// <summary>What the pages of an Ogg file are made of. Source: RFC 3533.</summary>
internal static class OggPage
{
    /// <summary>Bytes before the table of segments.</summary>
    public const int HeaderBytes = 27;

    /// <summary>Most segments of a page, and most bytes of a segment.</summary>
    public const int MostSegments = 255;

    /// <summary>The page's first packet goes on from the page before.</summary>
    public const byte Continued = 1;

    /// <summary>The stream's first page.</summary>
    public const byte First = 2;

    /// <summary>The stream's last page.</summary>
    public const byte Last = 4;

    /// <summary>Where the checksum stands in the header.</summary>
    public const int ChecksumOffset = 22;

    private static readonly uint[] Table = [.. Enumerable.Range(0, 256).Select(i => Remainder((uint)i << 24))];

    /// <summary>What a page begins with.</summary>
    public static ReadOnlySpan<byte> Capture => "OggS"u8;

    /// <summary>Continues a page's CRC-32 (polynomial 0x04C11DB7, not reflected), whose own four bytes count as zeros.</summary>
    public static uint Checksum(uint crc, ReadOnlySpan<byte> bytes)
    {
        foreach (var b in bytes)
        {
            crc = (crc << 8) ^ Table[(crc >> 24) ^ b];
        }

        return crc;
    }

    /// <summary>Writes a page's checksum into its header.</summary>
    public static void Seal(Span<byte> page)
    {
        page.Slice(ChecksumOffset, sizeof(uint)).Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(page[ChecksumOffset..], Checksum(0, page));
    }

    private static uint Remainder(uint value)
    {
        for (var bit = 0; bit < 8; bit++)
        {
            value = (value << 1) ^ (value >> 31 == 1 ? 0x04C11DB7u : 0);
        }

        return value;
    }
}
