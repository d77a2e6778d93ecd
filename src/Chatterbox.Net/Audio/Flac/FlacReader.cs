using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Chatterbox.Audio.Flac;

/// <summary>Reads FLAC files, bit for bit, and checks every checksum in them.</summary>
/// <remarks>Source: RFC 9639. A file cut short gives the frames that are whole.</remarks>
internal sealed class FlacReader
{
    private const int StreamInfoBytes = 34;
    private const int FrameSync = 0b11111111111110;

    private readonly Stream _stream;
    private readonly RecordingSource _source;
    private readonly byte[] _info = new byte[StreamInfoBytes];
    private readonly FlacFrame _frame;

    private FlacReader(Stream stream, RecordingSource source)
    {
        (_stream, _source) = (stream, source);
        _frame = new FlacFrame(new FlacBits(stream), source);
    }

    private int SampleRate => (_info[10] << 12) | (_info[11] << 4) | (_info[12] >> 4);

    private int Channels => ((_info[12] >> 1) & 7) + 1;

    private int Bits => (((_info[12] & 1) << 4) | (_info[13] >> 4)) + 1;

    private long TotalSamples => ((long)(_info[13] & 15) << 32) | BinaryPrimitives.ReadUInt32BigEndian(_info.AsSpan(14));

    private ReadOnlySpan<byte> Digest => _info.AsSpan(18, 16);

    /// <summary>Whether a file that begins so is FLAC.</summary>
    public static bool Matches(ReadOnlySpan<byte> head) => head.StartsWith("fLaC"u8);

    /// <inheritdoc cref="RecordingReader"/>
    /// <exception cref="VoiceException">It is damaged or too long.</exception>
    public static AudioClip Read(Stream stream, RecordingSource source) => new FlacReader(stream, source).Read();

    private AudioClip Read()
    {
        ReadMetadata();
        var collector = _source.Collect(SampleRate, Channels);
        collector.ThrowIfLonger(TotalSamples);
        using var digest = IncrementalHash.CreateHash(HashAlgorithmName.MD5);
        var scale = 1f / (1L << (Bits - 1));
        float[] interleaved = [];
        byte[] bytes = [];
        while (_frame.TryRead(FrameSync, SampleRate, Channels, Bits))
        {
            _source.Cancel.ThrowIfCancellationRequested();
            var count = _frame.Length * Channels;
            (interleaved, bytes) = interleaved.Length < count ? (new float[count], new byte[count * SampleBytes]) : (interleaved, bytes);
            Interleave(interleaved.AsSpan(0, count), bytes, scale);
            digest.AppendData(bytes, 0, count * SampleBytes);
            collector.Add(interleaved.AsSpan(0, count));
        }

        var isWhole = TotalSamples == 0 ? !_frame.WasCutShort : collector.Count == TotalSamples;
        if (isWhole && Digest.ContainsAnyExcept((byte)0) && !digest.GetHashAndReset().AsSpan().SequenceEqual(Digest))
        {
            throw _source.IsDamaged("the MD5 sum of its samples is not the one that it declares");
        }

        return collector.Finish();
    }

    private int SampleBytes => (Bits + 7) / 8;

    // The MD5 sum is of the samples as little-endian integers of whole bytes.
    private void Interleave(Span<float> interleaved, Span<byte> bytes, float scale)
    {
        for (var channel = 0; channel < Channels; channel++)
        {
            var samples = _frame.Channel(channel);
            for (var i = 0; i < samples.Length; i++)
            {
                var at = (i * Channels) + channel;
                interleaved[at] = samples[i] * scale;
                for (var b = 0; b < SampleBytes; b++)
                {
                    bytes[(at * SampleBytes) + b] = (byte)(samples[i] >> (8 * b));
                }
            }
        }
    }

    private void ReadMetadata()
    {
        Span<byte> header = stackalloc byte[4];
        ReadHeader(header); // fLaC
        var isFirst = true;
        for (var isLast = false; !isLast; isFirst = false)
        {
            ReadHeader(header);
            isLast = header[0] >> 7 == 1;
            var length = (header[1] << 16) | (header[2] << 8) | header[3];
            if (!isFirst)
            {
                Skip(length);
            }
            else if (
                (header[0] & 0x7F) != 0
                || length != StreamInfoBytes
                || _stream.ReadAtLeast(_info, StreamInfoBytes, throwOnEndOfStream: false) < StreamInfoBytes
            )
            {
                throw _source.IsDamaged("it does not begin with its stream information (STREAMINFO)");
            }
        }
    }

    private void ReadHeader(Span<byte> header)
    {
        if (_stream.ReadAtLeast(header, header.Length, throwOnEndOfStream: false) < header.Length)
        {
            throw _source.IsDamaged("it ends within its header");
        }
    }

    private void Skip(int count)
    {
        var skipped = new byte[Math.Min(count, 4096)];
        while (count > 0 && _stream.Read(skipped, 0, Math.Min(count, skipped.Length)) is > 0 and var read)
        {
            count -= read;
        }
    }
}
