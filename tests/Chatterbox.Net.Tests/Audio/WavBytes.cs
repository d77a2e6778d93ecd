using System.Text;

namespace Chatterbox.Tests.Audio;

/// <summary>WAV files put together byte by byte, whole or wrong.</summary>
internal static class WavBytes
{
    /// <summary>A file of RIFF form with these chunks, and sizes as they are.</summary>
    public static byte[] File(params byte[][] chunks) => File(null, chunks);

    /// <summary>A file of RIFF form with these chunks that states another size.</summary>
    public static byte[] File(uint? riffSize, params byte[][] chunks)
    {
        var body = chunks.SelectMany(chunk => chunk).ToArray();
        return [.. "RIFF"u8, .. BitConverter.GetBytes(riffSize ?? (uint)(4 + body.Length)), .. "WAVE"u8, .. body];
    }

    /// <summary>A chunk, padded to an even size, that may state another size.</summary>
    public static byte[] Chunk(string id, byte[] body, uint? size = null) =>
        [.. Encoding.ASCII.GetBytes(id), .. BitConverter.GetBytes(size ?? (uint)body.Length), .. body, .. new byte[body.Length % 2]];

    /// <summary>A plain 'fmt ' chunk.</summary>
    public static byte[] Format(int codec, int channels, uint rate, int bits, int? frameBytes = null, byte[]? extra = null)
    {
        var frame = frameBytes ?? channels * bits / 8;
        return Chunk(
            "fmt ",
            [
                .. BitConverter.GetBytes((ushort)codec),
                .. BitConverter.GetBytes((ushort)channels),
                .. BitConverter.GetBytes(rate),
                .. BitConverter.GetBytes(unchecked(rate * (uint)frame)),
                .. BitConverter.GetBytes((ushort)frame),
                .. BitConverter.GetBytes((ushort)bits),
                .. extra ?? [],
            ]
        );
    }

    /// <summary>WAVE_FORMAT_EXTENSIBLE around a codec.</summary>
    public static byte[] ExtensibleFormat(int codec, int channels, uint rate, int bits) =>
        Format(
            0xFFFE,
            channels,
            rate,
            bits,
            extra:
            [
                .. BitConverter.GetBytes((ushort)22),
                .. BitConverter.GetBytes((ushort)bits),
                .. new byte[4],
                .. BitConverter.GetBytes((ushort)codec),
                .. new byte[] { 0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71 },
            ]
        );

    /// <summary>Little-endian 16-bit samples.</summary>
    public static byte[] Shorts(params short[] samples) => samples.SelectMany(BitConverter.GetBytes).ToArray();
}

/// <summary>A stream that can only be read forward, a few bytes at a time, as a pipe or a network is.</summary>
internal sealed class Trickle(byte[] bytes, int step) : Stream
{
    private int _position;

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public override int Read(byte[] buffer, int offset, int count)
    {
        var read = Math.Min(Math.Min(count, step), bytes.Length - _position);
        bytes.AsSpan(_position, read).CopyTo(buffer.AsSpan(offset));
        _position += read;
        return read;
    }

    public override void Flush() { }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
}
