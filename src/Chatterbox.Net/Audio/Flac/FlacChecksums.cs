namespace Chatterbox.Audio.Flac;

/// <summary>The two checksums of a frame.</summary>
internal static class FlacChecksums
{
    private static readonly byte[] Table8 = [.. Enumerable.Range(0, 256).Select(i => (byte)Remainder(i, 0x07, 8))];
    private static readonly ushort[] Table16 = [.. Enumerable.Range(0, 256).Select(i => (ushort)Remainder(i, 0x8005, 16))];

    /// <summary>Continues a CRC-8 (polynomial 0x07) by a byte.</summary>
    public static byte Crc8(byte crc, byte value) => Table8[crc ^ value];

    /// <summary>Continues a CRC-16 (polynomial 0x8005) by a byte.</summary>
    public static ushort Crc16(ushort crc, byte value) => (ushort)((crc << 8) ^ Table16[(crc >> 8) ^ value]);

    /// <summary>Continues a CRC-8 by some bytes.</summary>
    public static byte Crc8(byte crc, ReadOnlySpan<byte> bytes)
    {
        foreach (var value in bytes)
        {
            crc = Crc8(crc, value);
        }

        return crc;
    }

    /// <summary>Continues a CRC-16 by some bytes.</summary>
    public static ushort Crc16(ushort crc, ReadOnlySpan<byte> bytes)
    {
        foreach (var value in bytes)
        {
            crc = Crc16(crc, value);
        }

        return crc;
    }

    private static int Remainder(int value, int polynomial, int bits)
    {
        value <<= bits - 8;
        for (var i = 0; i < 8; i++)
        {
            value = (value << 1) ^ (((value >> (bits - 1)) & 1) * polynomial);
        }

        return value & ((1 << bits) - 1);
    }
}
