using System.Buffers.Binary;

namespace Chatterbox.Audio.Ogg;

/// <summary>A packet of an Ogg stream.</summary>
/// <param name="Bytes">Its bytes.</param>
/// <param name="Granule">The stream's position after the page on which the packet ends; -1 where another packet ends there later.</param>
/// <param name="IsLast">Whether it ends the stream.</param>
internal readonly record struct OggPacket(byte[] Bytes, long Granule, bool IsLast);

/// <summary>Reads the packets of an Ogg file's first stream; other streams in between are skipped.</summary>
/// <param name="stream">The file's bytes.</param>
/// <param name="source">What the file is called.</param>
internal sealed class OggPackets(Stream stream, RecordingSource source)
{
    // An Opus packet has at most 61 KB, a header with pictures some hundred.
    private const int MostPacketBytes = 1 << 20;

    private readonly MemoryStream _packet = new();

    /// <summary>The packets, in order. A file cut short gives those that are whole.</summary>
    /// <exception cref="VoiceException">A page is damaged.</exception>
    public IEnumerable<OggPacket> Read()
    {
        var header = new byte[OggPage.HeaderBytes + OggPage.MostSegments];
        var body = new byte[OggPage.MostSegments * OggPage.MostSegments];
        uint? serial = null;
        for (var page = 0; ReadPage(header, body, page) is { } segments; page++)
        {
            source.Cancel.ThrowIfCancellationRequested();
            serial ??= BinaryPrimitives.ReadUInt32LittleEndian(header.AsSpan(14));
            if (BinaryPrimitives.ReadUInt32LittleEndian(header.AsSpan(14)) != serial)
            {
                continue;
            }

            var lengths = header.AsMemory(OggPage.HeaderBytes, segments);
            foreach (var packet in Packets(lengths, body, header[5], BinaryPrimitives.ReadInt64LittleEndian(header.AsSpan(6))))
            {
                yield return packet;
            }

            if ((header[5] & OggPage.Last) != 0)
            {
                yield break;
            }
        }
    }

    /// <returns>The page's segments; null at the end of the file.</returns>
    private int? ReadPage(byte[] header, byte[] body, int page)
    {
        if (stream.ReadAtLeast(header.AsSpan(0, OggPage.HeaderBytes), OggPage.HeaderBytes, throwOnEndOfStream: false) < OggPage.HeaderBytes)
        {
            return null;
        }

        if (!header.AsSpan().StartsWith(OggPage.Capture) || header[4] != 0)
        {
            throw source.IsDamaged($"page {page} does not begin as an Ogg page does");
        }

        var segments = header[OggPage.HeaderBytes - 1];
        var lengths = header.AsSpan(OggPage.HeaderBytes, segments);
        if (stream.ReadAtLeast(lengths, segments, throwOnEndOfStream: false) < segments)
        {
            return null;
        }

        var size = 0;
        foreach (var length in lengths)
        {
            size += length;
        }

        if (stream.ReadAtLeast(body.AsSpan(0, size), size, throwOnEndOfStream: false) < size)
        {
            return null;
        }

        var declared = BinaryPrimitives.ReadUInt32LittleEndian(header.AsSpan(OggPage.ChecksumOffset));
        header.AsSpan(OggPage.ChecksumOffset, sizeof(uint)).Clear();
        var checksum = OggPage.Checksum(OggPage.Checksum(0, header.AsSpan(0, OggPage.HeaderBytes + segments)), body.AsSpan(0, size));
        return declared == checksum ? segments : throw source.IsDamaged($"page {page} has a wrong checksum");
    }

    private IEnumerable<OggPacket> Packets(ReadOnlyMemory<byte> lengths, byte[] body, byte flags, long granule)
    {
        var skips = (flags & OggPage.Continued) != 0 && _packet.Length == 0; // the rest of a packet whose beginning is missing
        if ((flags & OggPage.Continued) == 0)
        {
            _packet.SetLength(0);
        }

        var lastEnd = lengths.Span.LastIndexOfAnyExcept((byte)255);
        for (var (i, at) = (0, 0); i < lengths.Length; i++)
        {
            var length = lengths.Span[i];
            _packet.Write(body, at, length);
            at += length;
            if (_packet.Length > MostPacketBytes)
            {
                throw source.IsDamaged($"it has a packet of more than {MostPacketBytes} bytes");
            }

            if (length == 255)
            {
                continue;
            }

            if (!skips)
            {
                var isLastOfPage = i == lastEnd;
                yield return new OggPacket(_packet.ToArray(), isLastOfPage ? granule : -1, isLastOfPage && (flags & OggPage.Last) != 0);
            }

            skips = false;
            _packet.SetLength(0);
        }
    }
}
