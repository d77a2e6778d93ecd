using System.Buffers.Binary;

namespace Chatterbox.Audio.Aiff;

/// <summary>Reads AIFF and uncompressed AIFF-C files.</summary>
/// <remarks>Source: Apple's "Audio Interchange File Format", version 1.3, and AIFF-C. Sizes in the header are never trusted; a file cut
/// short gives what it holds.</remarks>
internal static class AiffReader
{
    private const int BlockBytes = 1 << 16;

    private delegate float SampleOf(ReadOnlySpan<byte> bytes);

    private sealed record Layout(int Channels, int SampleRate, int SampleBytes, SampleOf Sample);

    /// <summary>Whether a file that begins so is AIFF or AIFF-C.</summary>
    public static bool Matches(ReadOnlySpan<byte> head) =>
        head.Length >= 12
        && head[..4].SequenceEqual("FORM"u8)
        && (head[8..12].SequenceEqual("AIFF"u8) || head[8..12].SequenceEqual("AIFC"u8));

    /// <inheritdoc cref="RecordingReader"/>
    /// <exception cref="VoiceException">It is damaged or too long.</exception>
    /// <exception cref="NotDecodedHereException">Its samples are compressed.</exception>
    public static AudioClip Read(Stream stream, RecordingSource source)
    {
        Skip(stream, 12, source);
        Layout? layout = null;
        Span<byte> chunk = stackalloc byte[8];
        while (stream.ReadAtLeast(chunk, chunk.Length, throwOnEndOfStream: false) == chunk.Length)
        {
            var size = BinaryPrimitives.ReadUInt32BigEndian(chunk[4..]);
            if (chunk[..4].SequenceEqual("SSND"u8))
            {
                layout = layout ?? throw source.IsDamaged("its samples come before their format (no 'COMM' chunk)");
                return ReadSamples(stream, layout, size, source);
            }

            var body = new byte[Math.Min(size, 32)];
            var length = stream.ReadAtLeast(body, body.Length, throwOnEndOfStream: false);
            layout = chunk[..4].SequenceEqual("COMM"u8) ? ReadLayout(body.AsSpan(0, length), source) : layout;
            Skip(stream, size + (size & 1L) - length, source); // chunks are padded to an even size
        }

        throw source.IsDamaged("it ends without samples (no 'SSND' chunk)");
    }

    private static Layout ReadLayout(ReadOnlySpan<byte> common, RecordingSource source)
    {
        if (common.Length < 18)
        {
            throw source.IsDamaged($"its format ('COMM') has {common.Length} bytes, expected at least 18");
        }

        var channels = BinaryPrimitives.ReadInt16BigEndian(common);
        var bits = BinaryPrimitives.ReadInt16BigEndian(common[6..]);
        var rate = ReadExtended(common[8..18]);
        var codec = common.Length >= 22 ? common[18..22].ToArray() : "NONE"u8.ToArray();
        if (channels < 1 || !(rate >= 1 && rate <= int.MaxValue))
        {
            throw source.IsDamaged($"its header names {channels} channels at {rate:0} Hz, expected one or more at a rate of Hz");
        }

        return SampleFormat(codec, bits) is { } sample
            ? new Layout(channels, (int)Math.Round(rate), (bits + 7) / 8, sample)
            : throw new NotDecodedHereException(
                $"its samples are of AIFF-C codec '{string.Concat(codec.Select(Printable))}' with {bits} bits"
            );
    }

    // Fewer bits than a whole number of bytes are the upper ones.
    private static SampleOf? SampleFormat(ReadOnlySpan<byte> codec, int bits)
    {
        var isBig = codec.SequenceEqual("NONE"u8) || codec.SequenceEqual("twos"u8);
        if (isBig || codec.SequenceEqual("sowt"u8))
        {
            return ((bits + 7) / 8, isBig) switch
            {
                (1, _) when bits > 0 => bytes => (sbyte)bytes[0] / 128f,
                (2, true) => bytes => BinaryPrimitives.ReadInt16BigEndian(bytes) / 32768f,
                (2, false) => bytes => BinaryPrimitives.ReadInt16LittleEndian(bytes) / 32768f,
                (3, true) => bytes => ((bytes[2] << 8) | (bytes[1] << 16) | (bytes[0] << 24)) / 2147483648f,
                (3, false) => bytes => ((bytes[0] << 8) | (bytes[1] << 16) | (bytes[2] << 24)) / 2147483648f,
                (4, true) => bytes => BinaryPrimitives.ReadInt32BigEndian(bytes) / 2147483648f,
                (4, false) => bytes => BinaryPrimitives.ReadInt32LittleEndian(bytes) / 2147483648f,
                _ => null,
            };
        }

        var isFloat32 = bits == 32 && (codec.SequenceEqual("fl32"u8) || codec.SequenceEqual("FL32"u8));
        var isFloat64 = bits == 64 && (codec.SequenceEqual("fl64"u8) || codec.SequenceEqual("FL64"u8));
        return isFloat32 ? bytes => BinaryPrimitives.ReadSingleBigEndian(bytes)
            : isFloat64 ? bytes => (float)BinaryPrimitives.ReadDoubleBigEndian(bytes)
            : null;
    }

    private static AudioClip ReadSamples(Stream stream, Layout layout, uint size, RecordingSource source)
    {
        var collector = source.Collect(layout.SampleRate, layout.Channels);
        Span<byte> offsets = stackalloc byte[8];
        if (stream.ReadAtLeast(offsets, offsets.Length, throwOnEndOfStream: false) < offsets.Length)
        {
            return collector.Finish();
        }

        var offset = BinaryPrimitives.ReadUInt32BigEndian(offsets);
        Skip(stream, offset, source);
        var frameBytes = layout.Channels * layout.SampleBytes;
        var bytesLeft = size - 8L - offset;
        var block = new byte[Math.Max(1, BlockBytes / frameBytes) * frameBytes];
        var samples = new float[block.Length / layout.SampleBytes];
        while (bytesLeft > 0)
        {
            source.Cancel.ThrowIfCancellationRequested();
            var wanted = (int)Math.Min(block.Length, bytesLeft);
            var filled = stream.ReadAtLeast(block.AsSpan(0, wanted), wanted, throwOnEndOfStream: false);
            var count = filled / frameBytes * layout.Channels;
            for (var i = 0; i < count; i++)
            {
                samples[i] = layout.Sample(block.AsSpan(i * layout.SampleBytes, layout.SampleBytes));
            }

            collector.Add(samples.AsSpan(0, count));
            bytesLeft = filled == block.Length ? bytesLeft - filled : 0;
        }

        return collector.Finish();
    }

    // 80 bits: a sign, 15 bits of exponent, 64 of mantissa with its leading one.
    private static double ReadExtended(ReadOnlySpan<byte> bytes)
    {
        var exponent = BinaryPrimitives.ReadUInt16BigEndian(bytes);
        return Math.ScaleB(BinaryPrimitives.ReadUInt64BigEndian(bytes[2..]), exponent - 16383 - 63);
    }

    private static char Printable(byte b) => b is >= 32 and < 127 ? (char)b : '?';

    private static void Skip(Stream stream, long count, RecordingSource source)
    {
        var skipped = new byte[(int)Math.Clamp(count, 0, BlockBytes)];
        while (count > 0 && stream.Read(skipped, 0, (int)Math.Min(count, skipped.Length)) is > 0 and var read)
        {
            source.Cancel.ThrowIfCancellationRequested();
            count -= read;
        }
    }
}
