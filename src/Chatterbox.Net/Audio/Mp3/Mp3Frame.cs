using NLayer;

namespace Chatterbox.Audio.Mp3;

/// <summary>A frame as NLayer's decoder wants it: what the header declares, and the bits after it.</summary>
internal sealed class Mp3Frame : IMpegFrame
{
    /// <summary>Most bytes of a frame: 320 kbit/s at 32 kHz, padded.</summary>
    public const int MostBytes = 1441;

    private readonly byte[] _bytes = new byte[MostBytes];
    private int _length;
    private int _next; // in bits

    /// <summary>The frame's header.</summary>
    public Mp3Header Header { get; private set; }

    /// <inheritdoc/>
    public int SampleRate => Header.SampleRate;

    /// <inheritdoc/>
    public int SampleRateIndex => Header.RateIndex;

    /// <inheritdoc/>
    public int FrameLength => Header.FrameBytes;

    /// <inheritdoc/>
    public int BitRate => Header.BitRate;

    /// <inheritdoc/>
    public MpegVersion Version =>
        Header.Generation switch
        {
            MpegGeneration.Mpeg1 => MpegVersion.Version1,
            MpegGeneration.Mpeg2 => MpegVersion.Version2,
            _ => MpegVersion.Version25,
        };

    /// <inheritdoc/>
    public MpegLayer Layer => MpegLayer.LayerIII;

    /// <inheritdoc/>
    public MpegChannelMode ChannelMode => (MpegChannelMode)Header.ChannelMode;

    /// <inheritdoc/>
    public int ChannelModeExtension => Header.ModeExtension;

    /// <inheritdoc/>
    public int SampleCount => Header.Samples;

    /// <inheritdoc/>
    public int BitRateIndex => Header.BitRateIndex;

    /// <inheritdoc/>
    public bool IsCopyrighted => false;

    /// <inheritdoc/>
    public bool HasCrc => Header.HasChecksum;

    /// <inheritdoc/>
    public bool IsCorrupted => false;

    /// <summary>The frame's bytes.</summary>
    public ReadOnlySpan<byte> Bytes => _bytes.AsSpan(0, _length);

    /// <summary>Takes another frame.</summary>
    /// <param name="header">Its header.</param>
    /// <param name="bytes">All of its bytes, copied.</param>
    public void Set(Mp3Header header, ReadOnlySpan<byte> bytes)
    {
        (Header, _length) = (header, bytes.Length);
        bytes.CopyTo(_bytes);
        Reset();
    }

    /// <inheritdoc/>
    public void Reset() => _next = 8 * (Mp3Header.Bytes + (HasCrc ? 2 : 0));

    /// <inheritdoc/>
    public int ReadBits(int bitCount)
    {
        if (_next + bitCount > 8 * _length)
        {
            return -1;
        }

        var value = 0;
        for (var i = 0; i < bitCount; i++, _next++)
        {
            value = (value << 1) | ((_bytes[_next >> 3] >> (7 - (_next & 7))) & 1);
        }

        return value;
    }
}
