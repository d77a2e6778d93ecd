using System.Buffers;
using System.Buffers.Binary;

namespace Chatterbox.Audio;

/// <summary>Reads one WAV file from its first byte: the chunks up to the samples, then the samples.</summary>
/// <remarks>
/// Scaling follows libsndfile (full scale is ±1), the mixdown librosa.load (the mean of the channels). Sizes in the header
/// are never trusted: nothing is allocated for samples that are not there; a data size of zero or 0xFFFFFFFF, as programs
/// leave it that write to a pipe, means "to the end"; and a file cut short gives what it holds.
/// </remarks>
/// <param name="stream">The file's bytes from here on; it need not be seekable.</param>
/// <param name="name">What to call the file in errors.</param>
/// <param name="cancel">Ends the reading early.</param>
internal sealed class WavReader(Stream stream, string name, CancellationToken cancel)
{
    /// <summary>Format tag of integer samples.</summary>
    public const ushort Pcm = 1;

    /// <summary>Format tag of floating-point samples.</summary>
    public const ushort Float = 3;

    private const ushort Extensible = 0xFFFE;
    private const uint UnknownSize = uint.MaxValue;
    private const long MostSamples = 1L << 30;
    private const string Damaged = "The file is damaged: export the recording again.";

    private long _position;

    /// <summary>What the header says of the samples.</summary>
    /// <param name="Codec">Format tag; that of the subformat where the format is the extensible one.</param>
    /// <param name="Bits">Bits of one sample.</param>
    /// <param name="Channels">Channels, one or more.</param>
    /// <param name="SampleRate">Samples a second (Hz) in each channel.</param>
    /// <param name="FrameBytes">Bytes of one sample of each channel.</param>
    /// <param name="DataBytes">Declared size of all samples; null where they run to the end.</param>
    /// <param name="Sample">Reads one sample from its bytes; null for a codec that is not read here.</param>
    public sealed record Layout(
        ushort Codec, int Bits, int Channels, int SampleRate, int FrameBytes, long? DataBytes, Func<ReadOnlySpan<byte>, float>? Sample);

    /// <summary>Whether a file that begins so is a WAV file, of whatever codec.</summary>
    /// <param name="head">The file's first bytes.</param>
    public static bool IsWav(ReadOnlySpan<byte> head) =>
        head.Length >= 12 && head[8..12].SequenceEqual("WAVE"u8)
        && (head[..4].SequenceEqual("RIFF"u8) || head[..4].SequenceEqual("RF64"u8) || head[..4].SequenceEqual("BW64"u8));

    /// <summary>Reads the whole file and mixes its channels to one.</summary>
    /// <param name="longest">Refuses a longer recording; null sets no limit.</param>
    /// <exception cref="VoiceException">It is no WAV file, a damaged or empty one, of another codec, or too long.</exception>
    public AudioClip Read(TimeSpan? longest) => ReadSamples(ReadHeader(), longest);

    /// <summary>Reads up to the first sample.</summary>
    /// <exception cref="VoiceException">It is no WAV file, or its header is damaged.</exception>
    public Layout ReadHeader()
    {
        var riff = Take(12);
        if (!IsWav(riff))
        {
            throw Error(riff.Length == 0 ? "it is empty. Choose another recording." : "it does not begin as a WAV file does (RIFF, size, WAVE). Choose a WAV file.");
        }

        var riffBytes = BinaryPrimitives.ReadUInt32LittleEndian(riff.AsSpan(4));
        Layout? layout = null;
        long? largeDataBytes = null;
        while (Take(8) is { Length: 8 } chunk)
        {
            var size = BinaryPrimitives.ReadUInt32LittleEndian(chunk.AsSpan(4));
            var id = chunk.AsSpan(0, 4);
            if (id.SequenceEqual("data"u8))
            {
                layout = layout ?? throw Error($"its samples come before their format ('fmt '). {Damaged}");
                return layout with { DataBytes = DataBytes(size, riffBytes, largeDataBytes) };
            }

            var body = Take((int)Math.Min(size, 40));
            if (id.SequenceEqual("fmt "u8))
            {
                layout = ReadLayout(body);
            }
            else if (id.SequenceEqual("ds64"u8) && body.Length >= 16)
            {
                largeDataBytes = BinaryPrimitives.ReadInt64LittleEndian(body.AsSpan(8));
            }

            Skip(size + (size & 1L) - body.Length);     // chunks are padded to an even size
        }

        throw Error($"it ends after {_position} bytes without samples (no 'data' chunk). {Damaged}");
    }

    private AudioClip ReadSamples(Layout layout, TimeSpan? longest)
    {
        if (layout.Sample is null)
        {
            throw Error($"its samples are of codec 0x{layout.Codec:X4} with {layout.Bits} bits; expected PCM of 8, 16, 24 or 32 bits or floating point of 32 or 64. "
                + "Convert it to 16-bit PCM.");
        }

        var limit = (long)Math.Min(MostSamples, (longest ?? TimeSpan.MaxValue).TotalSeconds * layout.SampleRate);
        var bytesLeft = layout.DataBytes ?? long.MaxValue;
        if (stream.CanSeek)
        {
            bytesLeft = Math.Min(bytesLeft, stream.Length - stream.Position);
            ThrowIfLonger(bytesLeft / layout.FrameBytes, "it lasts");
        }

        var mono = new ArrayBufferWriter<float>();
        var block = new byte[Math.Max(1, 65536 / layout.FrameBytes) * layout.FrameBytes];
        for (var filled = block.Length; filled == block.Length;)
        {
            cancel.ThrowIfCancellationRequested();
            filled = Fill(block.AsSpan(0, (int)Math.Min(block.Length, bytesLeft)));
            bytesLeft -= filled;
            MixDown(block.AsSpan(0, filled - filled % layout.FrameBytes), layout, mono);
            ThrowIfLonger(mono.WrittenCount, "it lasts at least");
        }

        return mono.WrittenCount > 0
            ? new AudioClip(mono.WrittenSpan.ToArray(), layout.SampleRate)
            : throw Error("it holds no samples. Choose another recording.");

        void ThrowIfLonger(long frames, string lasts)
        {
            if (frames > limit)
            {
                throw Error(AudioFile.TooLong(lasts, (double)frames / layout.SampleRate, (double)limit / layout.SampleRate));
            }
        }
    }

    private Layout ReadLayout(ReadOnlySpan<byte> fmt)
    {
        if (fmt.Length < 16)
        {
            throw Error($"its format ('fmt ') has {fmt.Length} bytes, expected at least 16. {Damaged}");
        }

        var codec = BinaryPrimitives.ReadUInt16LittleEndian(fmt);
        var channels = BinaryPrimitives.ReadUInt16LittleEndian(fmt[2..]);
        var rate = BinaryPrimitives.ReadUInt32LittleEndian(fmt[4..]);
        var frameBytes = BinaryPrimitives.ReadUInt16LittleEndian(fmt[12..]);
        var bits = BinaryPrimitives.ReadUInt16LittleEndian(fmt[14..]);
        if (codec == Extensible && fmt.Length >= 26)
        {
            codec = BinaryPrimitives.ReadUInt16LittleEndian(fmt[24..]);
        }

        if (channels == 0 || rate is < Resampler.LowestRate or > Resampler.HighestRate)
        {
            throw Error($"its header names {channels} channels at {rate} Hz, expected one or more at {Resampler.LowestRate} to {Resampler.HighestRate} Hz. {Damaged}");
        }

        var sample = SampleOf(codec, bits);
        return sample is null || frameBytes == channels * (bits / 8)
            ? new Layout(codec, bits, channels, (int)rate, frameBytes, null, sample)
            : throw Error($"its header names {frameBytes} bytes for {channels} channels of {bits} bits, expected {channels * (bits / 8)}. {Damaged}");
    }

    private static Func<ReadOnlySpan<byte>, float>? SampleOf(ushort codec, int bits) => (codec, bits) switch
    {
        (Pcm, 8) => bytes => (bytes[0] - 128) / 128f,
        (Pcm, 16) => bytes => BinaryPrimitives.ReadInt16LittleEndian(bytes) / 32768f,
        (Pcm, 24) => bytes => ((bytes[0] << 8) | (bytes[1] << 16) | (bytes[2] << 24)) / 2147483648f,
        (Pcm, 32) => bytes => BinaryPrimitives.ReadInt32LittleEndian(bytes) / 2147483648f,
        (Float, 32) => bytes => BinaryPrimitives.ReadSingleLittleEndian(bytes),
        (Float, 64) => bytes => (float)BinaryPrimitives.ReadDoubleLittleEndian(bytes),
        _ => null,
    };

    // Programs that write to a pipe leave zero or the largest number, in the size of the whole file too.
    private long? DataBytes(uint size, uint riffBytes, long? largeDataBytes) => size switch
    {
        UnknownSize => largeDataBytes > 0 ? largeDataBytes : null,
        0 when riffBytes == UnknownSize || riffBytes + 8L <= _position => null,
        _ => size,
    };

    private void MixDown(ReadOnlySpan<byte> frames, Layout layout, ArrayBufferWriter<float> mono)
    {
        var count = frames.Length / layout.FrameBytes;
        var sampleBytes = layout.FrameBytes / layout.Channels;
        var mixed = mono.GetSpan(count + 1);
        for (var i = 0; i < count; i++)
        {
            var sum = 0f;
            for (var rest = frames.Slice(i * layout.FrameBytes, layout.FrameBytes); rest.Length > 0; rest = rest[sampleBytes..])
            {
                sum += layout.Sample!(rest);
            }

            mixed[i] = sum / layout.Channels;
            if (!float.IsFinite(mixed[i]))
            {
                throw Error($"sample {mono.WrittenCount + i} is {mixed[i]}, expected numbers between -1 and 1. {Damaged}");
            }
        }

        mono.Advance(count);
    }

    private byte[] Take(int count)
    {
        var bytes = new byte[count];
        return bytes[..Fill(bytes)];
    }

    private int Fill(Span<byte> bytes)
    {
        var filled = stream.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false);
        _position += filled;
        return filled;
    }

    private void Skip(long count)
    {
        var skipped = new byte[(int)Math.Clamp(count, 0, 65536)];
        while (count > 0 && Fill(skipped.AsSpan(0, (int)Math.Min(count, skipped.Length))) is > 0 and var filled)
        {
            cancel.ThrowIfCancellationRequested();
            count -= filled;
        }
    }

    private VoiceException Error(string what) => new($"{name}: {what}");
}
