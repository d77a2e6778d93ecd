using System.Buffers.Binary;

namespace Chatterbox.Audio;

/// <summary>Reads one WAV file from its first byte: the chunks up to the samples, then the samples.</summary>
/// <remarks>
/// Scaling follows libsndfile (full scale is ±1), the mixdown librosa.load (the mean of the channels). Sizes in the header
/// are never trusted: nothing is allocated for samples that are not there; a data size of zero or 0xFFFFFFFF, as programs
/// leave it that write to a pipe, means "to the end"; and a file cut short gives what it holds.
/// </remarks>
internal sealed class WavReader
{
    /// <summary>Format tag of integer samples.</summary>
    public const ushort Pcm = 1;

    /// <summary>Format tag of floating-point samples.</summary>
    public const ushort Float = 3;

    /// <summary>Format tag of G.711's A-law.</summary>
    public const ushort ALaw = 6;

    /// <summary>Format tag of G.711's μ-law.</summary>
    public const ushort MuLaw = 7;

    private const ushort Extensible = 0xFFFE;
    private const uint UnknownSize = uint.MaxValue;
    private const string Damaged = "The file is damaged: export the recording again.";

    private readonly Stream _stream;
    private readonly RecordingSource _source;
    private long _position;

    private WavReader(Stream stream, RecordingSource source) => (_stream, _source) = (stream, source);

    /// <summary>What the header says of the samples.</summary>
    /// <param name="Codec">Format tag; that of the subformat where the format is the extensible one.</param>
    /// <param name="Bits">Bits of one sample.</param>
    /// <param name="Channels">Channels, one or more.</param>
    /// <param name="SampleRate">Samples a second (Hz) in each channel.</param>
    /// <param name="FrameBytes">Bytes of one sample of each channel.</param>
    /// <param name="DataBytes">Declared size of all samples; null where they run to the end.</param>
    /// <param name="Sample">Reads one sample from its bytes; null for a codec that is not read here.</param>
    private sealed record Layout(
        ushort Codec,
        int Bits,
        int Channels,
        int SampleRate,
        int FrameBytes,
        long? DataBytes,
        Func<ReadOnlySpan<byte>, float>? Sample
    );

    /// <summary>Whether a file that begins so is a WAV file, of whatever codec.</summary>
    /// <param name="head">The file's first bytes.</param>
    public static bool Matches(ReadOnlySpan<byte> head) =>
        head.Length >= 12
        && head[8..12].SequenceEqual("WAVE"u8)
        && (head[..4].SequenceEqual("RIFF"u8) || head[..4].SequenceEqual("RF64"u8) || head[..4].SequenceEqual("BW64"u8));

    /// <summary>Reads the whole file and mixes its channels to one.</summary>
    /// <param name="stream">The file's bytes from here on; it need not be seekable.</param>
    /// <param name="source">What it is called, and how long it may be.</param>
    /// <exception cref="VoiceException">It is no WAV file, a damaged or empty one, or too long.</exception>
    /// <exception cref="NotDecodedHereException">It is of another codec than PCM, floating point and G.711.</exception>
    public static AudioClip Read(Stream stream, RecordingSource source)
    {
        var reader = new WavReader(stream, source);
        return reader.ReadSamples(reader.ReadHeader());
    }

    private Layout ReadHeader()
    {
        var riff = Take(12);
        if (!Matches(riff))
        {
            throw Error(
                riff.Length == 0
                    ? "it is empty. Choose another recording."
                    : "it does not begin as a WAV file does (RIFF, size, WAVE). Choose a WAV file."
            );
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

            Skip(size + (size & 1L) - body.Length); // chunks are padded to an even size
        }

        throw Error($"it ends after {_position} bytes without samples (no 'data' chunk). {Damaged}");
    }

    private AudioClip ReadSamples(Layout layout)
    {
        if (layout.Sample is null)
        {
            throw new NotDecodedHereException($"its samples are of WAV codec 0x{layout.Codec:X4} with {layout.Bits} bits");
        }

        var collector = _source.Collect(layout.SampleRate, layout.Channels);
        var bytesLeft = layout.DataBytes ?? long.MaxValue;
        if (_stream.CanSeek)
        {
            bytesLeft = Math.Min(bytesLeft, _stream.Length - _stream.Position);
            collector.ThrowIfLonger(bytesLeft / layout.FrameBytes);
        }

        var block = new byte[Math.Max(1, 65536 / layout.FrameBytes) * layout.FrameBytes];
        var samples = new float[block.Length / layout.FrameBytes * layout.Channels];
        for (var filled = block.Length; filled == block.Length; )
        {
            _source.Cancel.ThrowIfCancellationRequested();
            filled = Fill(block.AsSpan(0, (int)Math.Min(block.Length, bytesLeft)));
            bytesLeft -= filled;
            collector.Add(Convert(block.AsSpan(0, filled), layout, samples));
        }

        return collector.Finish();
    }

    private static ReadOnlySpan<float> Convert(ReadOnlySpan<byte> bytes, Layout layout, float[] samples)
    {
        var count = bytes.Length / layout.FrameBytes * layout.Channels;
        var sampleBytes = layout.FrameBytes / layout.Channels;
        for (var i = 0; i < count; i++)
        {
            samples[i] = layout.Sample!(bytes[(i * sampleBytes)..]);
        }

        return samples.AsSpan(0, count);
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

        if (channels == 0 || rate is < Resampler.LowestRate or > int.MaxValue)
        {
            throw Error(
                $"its header names {channels} channels at {rate} Hz, expected one or more at {Resampler.LowestRate} to "
                    + $"{SampleCollector.HighestRate} Hz. {Damaged}"
            );
        }

        var sample = SampleOf(codec, bits);
        return sample is null || frameBytes == channels * (bits / 8)
            ? new Layout(codec, bits, channels, (int)rate, frameBytes, null, sample)
            : throw Error(
                $"its header names {frameBytes} bytes for {channels} channels of {bits} bits, expected {channels * (bits / 8)}. {Damaged}"
            );
    }

    private static Func<ReadOnlySpan<byte>, float>? SampleOf(ushort codec, int bits) =>
        (codec, bits) switch
        {
            (Pcm, 8) => bytes => (bytes[0] - 128) / 128f,
            (Pcm, 16) => bytes => BinaryPrimitives.ReadInt16LittleEndian(bytes) / 32768f,
            (Pcm, 24) => bytes => ((bytes[0] << 8) | (bytes[1] << 16) | (bytes[2] << 24)) / 2147483648f,
            (Pcm, 32) => bytes => BinaryPrimitives.ReadInt32LittleEndian(bytes) / 2147483648f,
            (Float, 32) => bytes => BinaryPrimitives.ReadSingleLittleEndian(bytes),
            (Float, 64) => bytes => (float)BinaryPrimitives.ReadDoubleLittleEndian(bytes),
            (ALaw, 8) => bytes => G711.FromALaw(bytes[0]) / 32768f,
            (MuLaw, 8) => bytes => G711.FromMuLaw(bytes[0]) / 32768f,
            _ => null,
        };

    // Programs that write to a pipe leave zero or the largest number, in the size of the whole file too.
    private long? DataBytes(uint size, uint riffBytes, long? largeDataBytes) =>
        size switch
        {
            UnknownSize => largeDataBytes > 0 ? largeDataBytes : null,
            0 when riffBytes == UnknownSize || riffBytes + 8L <= _position => null,
            _ => size,
        };

    private byte[] Take(int count)
    {
        var bytes = new byte[count];
        return bytes[..Fill(bytes)];
    }

    private int Fill(Span<byte> bytes)
    {
        var filled = _stream.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false);
        _position += filled;
        return filled;
    }

    private void Skip(long count)
    {
        var skipped = new byte[(int)Math.Clamp(count, 0, 65536)];
        while (count > 0 && Fill(skipped.AsSpan(0, (int)Math.Min(count, skipped.Length))) is > 0 and var filled)
        {
            _source.Cancel.ThrowIfCancellationRequested();
            count -= filled;
        }
    }

    private VoiceException Error(string what) => new($"{_source.Name}: {what}");
}
