namespace Chatterbox.Audio.Flac;

/// <summary>A frame that is being written, bit by bit.</summary>
internal sealed class FlacFrameBits
{
    private byte[] _bytes = new byte[8192];
    private int _length; // in bits

    /// <summary>What has been written, to a whole byte.</summary>
    public ReadOnlySpan<byte> Bytes => _bytes.AsSpan(0, (_length + 7) / 8);

    /// <summary>Begins another frame.</summary>
    public void Begin()
    {
        _bytes.AsSpan().Clear();
        _length = 0;
    }

    /// <summary>Writes a number without sign.</summary>
    /// <param name="value">The number.</param>
    /// <param name="count">Its bits, 0 to 32.</param>
    public void Write(uint value, int count)
    {
        Reserve(count);
        for (var left = count; left > 0; )
        {
            var room = 8 - (_length & 7);
            var taken = Math.Min(room, left);
            var part = (value >> (left - taken)) & ((1u << taken) - 1);
            _bytes[_length >> 3] |= (byte)(part << (room - taken));
            _length += taken;
            left -= taken;
        }
    }

    /// <summary>Writes a number in two's complement.</summary>
    public void WriteSigned(int value, int count) => Write((uint)value & (uint)((1L << count) - 1), count);

    /// <summary>Writes so many zeros, and a one.</summary>
    public void WriteUnary(int zeros)
    {
        Reserve(zeros + 1);
        _length += zeros;
        Write(1, 1);
    }

    /// <summary>Fills up a byte with zeros.</summary>
    public void Align() => _length = (_length + 7) & ~7;

    /// <summary>CRC-8 of what has been written.</summary>
    public byte Crc8() => FlacChecksums.Crc8(0, Bytes);

    /// <summary>CRC-16 of what has been written.</summary>
    public ushort Crc16() => FlacChecksums.Crc16(0, Bytes);

    private void Reserve(int count)
    {
        var bytes = ((_length + count + 7) / 8) + 1;
        if (bytes > _bytes.Length)
        {
            Array.Resize(ref _bytes, 2 * bytes);
        }
    }
}
