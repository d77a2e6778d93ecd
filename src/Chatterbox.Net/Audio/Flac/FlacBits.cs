using System.Numerics;

namespace Chatterbox.Audio.Flac;

/// <summary>Reads a FLAC frame bit by bit, and keeps the checksums of what it has read.</summary>
/// <param name="stream">The bytes.</param>
internal sealed class FlacBits(Stream stream)
{
    private readonly byte[] _buffer = new byte[1 << 14];
    private int _next;
    private int _end;
    private ulong _cache; // the low _cached bits are still to be read
    private int _cached;

    /// <summary>CRC-8 (polynomial 0x07) of the bytes since the last <see cref="BeginFrame"/>.</summary>
    public byte Crc8 { get; private set; }

    /// <summary>CRC-16 (polynomial 0x8005) of the same bytes.</summary>
    public ushort Crc16 { get; private set; }

    /// <summary>Begins the checksums anew; to be called where no bit of a byte is left over.</summary>
    public void BeginFrame() => (Crc8, Crc16) = (0, 0);

    /// <summary>The next byte, from a byte's beginning; -1 at the end of the file.</summary>
    public int ReadByteOrEnd()
    {
        if (!TryFill(8))
        {
            return -1;
        }

        _cached -= 8;
        return (byte)(_cache >> _cached);
    }

    /// <summary>Reads a number without sign.</summary>
    /// <param name="count">Bits, 0 to 32.</param>
    /// <exception cref="EndOfStreamException">The file ends before.</exception>
    public uint Read(int count)
    {
        Fill(count);
        _cached -= count;
        return (uint)((_cache >> _cached) & ((1UL << count) - 1));
    }

    /// <summary>Reads a number in two's complement.</summary>
    /// <param name="count">Bits, 1 to 33.</param>
    /// <exception cref="EndOfStreamException">The file ends before.</exception>
    public long ReadSigned(int count)
    {
        Fill(count);
        _cached -= count;
        return (long)(_cache >> _cached << (64 - count)) >> (64 - count);
    }

    /// <summary>Counts zeros up to the next one, which it skips.</summary>
    /// <exception cref="EndOfStreamException">The file ends before.</exception>
    public int ReadUnary()
    {
        var zeros = 0;
        while (true)
        {
            Fill(1);
            var left = _cache << (64 - _cached);
            if (left != 0)
            {
                var leading = BitOperations.LeadingZeroCount(left);
                _cached -= leading + 1;
                return zeros + leading;
            }

            zeros += _cached;
            _cached = 0;
        }
    }

    /// <summary>Skips what is left of a byte.</summary>
    public void Align() => _cached &= ~7;

    private void Fill(int count)
    {
        if (!TryFill(count))
        {
            throw new EndOfStreamException();
        }
    }

    // Byte by byte, and no further than asked: the checksums are of exactly the bytes of the frame.
    private bool TryFill(int count)
    {
        while (_cached < count)
        {
            if (_next == _end)
            {
                (_next, _end) = (0, stream.Read(_buffer));
                if (_end == 0)
                {
                    return false;
                }
            }

            var value = _buffer[_next++];
            Crc8 = FlacChecksums.Crc8(Crc8, value);
            Crc16 = FlacChecksums.Crc16(Crc16, value);
            _cache = (_cache << 8) | value;
            _cached += 8;
        }

        return true;
    }
}
