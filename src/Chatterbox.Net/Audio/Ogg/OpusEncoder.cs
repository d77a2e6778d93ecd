using System.Buffers;
using System.Buffers.Binary;
using Concentus;
using Concentus.Enums;

namespace Chatterbox.Audio.Ogg;

/// <summary>Encodes Ogg Opus as a stream: packets of 20 ms, each on a page of its own, so that it can be played as soon as it has
/// come.</summary>
/// <remarks>Source: RFC 7845 and 3533; the codec is Concentus. The last page's position makes the decoded length exact to the
/// sample.</remarks>
internal sealed class OpusEncoder : IAudioEncoder
{
    private const int MostPacketBytes = 1275 * 3;
    private const uint Serial = 1; // the file's only stream

    private readonly IOpusEncoder _encoder;
    private readonly int _sampleRate;
    private readonly float[] _frame;
    private readonly byte[] _packet = new byte[MostPacketBytes];
    private int _filled;
    private long _taken; // samples at the encoder's rate
    private long _encoded;
    private uint _page;

    /// <param name="sampleRate">One of <see cref="SampleRates"/> (Hz).</param>
    /// <param name="bitRate">Bits a second.</param>
    public OpusEncoder(int sampleRate, int bitRate)
    {
        _sampleRate = sampleRate;
        _frame = new float[sampleRate / 50];
#pragma warning disable CS0618 // the factory would load whatever is called libopus on this computer
        _encoder = new Concentus.Structs.OpusEncoder(sampleRate, 1, OpusApplication.OPUS_APPLICATION_AUDIO)
        {
            Bitrate = bitRate,
            UseVBR = true,
        };
#pragma warning restore CS0618
    }

    /// <summary>The rates that the codec knows, Hz.</summary>
    public static IReadOnlyList<int> SampleRates { get; } = [8_000, 12_000, 16_000, 24_000, 48_000];

    private int InClock => OpusReader.SampleRate / _sampleRate;

    /// <inheritdoc/>
    public void Encode(ReadOnlySpan<float> samples, IBufferWriter<byte> output)
    {
        Begin(output);
        _taken += samples.Length;
        while (samples.Length > 0)
        {
            var count = Math.Min(samples.Length, _frame.Length - _filled);
            samples[..count].CopyTo(_frame.AsSpan(_filled));
            samples = samples[count..];
            _filled += count;
            if (_filled == _frame.Length)
            {
                WritePacket(output, isLast: false);
            }
        }
    }

    /// <inheritdoc/>
    public void Finish(IBufferWriter<byte> output)
    {
        Begin(output);
        for (var isLast = false; !isLast; )
        {
            _frame.AsSpan(_filled).Clear();
            isLast = _encoded + _frame.Length >= _taken + _encoder.Lookahead;
            WritePacket(output, isLast);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _encoder.Dispose();

    private void WritePacket(IBufferWriter<byte> output, bool isLast)
    {
        var length = _encoder.Encode(_frame, _frame.Length, _packet, _packet.Length);
        _filled = 0;
        _encoded += _frame.Length;
        var position = isLast ? _taken + _encoder.Lookahead : _encoded;
        WritePage(output, _packet.AsSpan(0, length), position * InClock, isLast ? OggPage.Last : (byte)0);
    }

    private void Begin(IBufferWriter<byte> output)
    {
        if (_page > 0)
        {
            return;
        }

        Span<byte> head = stackalloc byte[19];
        "OpusHead"u8.CopyTo(head);
        head[8] = 1; // version
        head[9] = 1; // channels
        BinaryPrimitives.WriteUInt16LittleEndian(head[10..], (ushort)(_encoder.Lookahead * InClock));
        BinaryPrimitives.WriteInt32LittleEndian(head[12..], _sampleRate);
        head[16..].Clear(); // no gain, one stream
        WritePage(output, head, 0, OggPage.First);

        ReadOnlySpan<byte> vendor = "Chatterbox.Net"u8;
        Span<byte> tags = stackalloc byte[8 + 4 + vendor.Length + 4];
        "OpusTags"u8.CopyTo(tags);
        BinaryPrimitives.WriteInt32LittleEndian(tags[8..], vendor.Length);
        vendor.CopyTo(tags[12..]);
        tags[^4..].Clear(); // no comments
        WritePage(output, tags, 0, 0);
    }

    private void WritePage(IBufferWriter<byte> output, ReadOnlySpan<byte> packet, long position, byte flags)
    {
        var segments = (packet.Length / 255) + 1;
        var length = OggPage.HeaderBytes + segments + packet.Length;
        var page = output.GetSpan(length)[..length];
        OggPage.Capture.CopyTo(page);
        page[4] = 0;
        page[5] = flags;
        BinaryPrimitives.WriteInt64LittleEndian(page[6..], position);
        BinaryPrimitives.WriteUInt32LittleEndian(page[14..], Serial);
        BinaryPrimitives.WriteUInt32LittleEndian(page[18..], _page++);
        page[26] = (byte)segments;
        page.Slice(OggPage.HeaderBytes, segments - 1).Fill(255);
        page[OggPage.HeaderBytes + segments - 1] = (byte)(packet.Length % 255);
        packet.CopyTo(page[(OggPage.HeaderBytes + segments)..]);
        OggPage.Seal(page);
        output.Advance(length);
    }
}
