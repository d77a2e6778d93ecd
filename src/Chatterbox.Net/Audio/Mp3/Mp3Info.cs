using System.Buffers.Binary;

namespace Chatterbox.Audio.Mp3;

/// <summary>What an encoder writes about the whole file into its first frame, which is silent: the tag Xing, or Info at a constant bit
/// rate,
/// with LAME's extension.</summary>
/// <param name="Frames">Frames that follow; 0 where it does not say.</param>
/// <param name="HasDelay">Whether the next two are known.</param>
/// <param name="Delay">Samples that the encoder put before the recording.</param>
/// <param name="Padding">Samples that it put after it.</param>
internal sealed record Mp3Info(long Frames, bool HasDelay, int Delay, int Padding)
{
    /// <summary>Samples that every decoder is late by.</summary>
    public const int DecoderDelay = 529;

    private const int FlagFrames = 1;
    private const int FlagBytes = 2;
    private const int FlagPlaces = 4;
    private const int Places = 100; // of the file, for seeking
    private const int EncoderBytes = 36; // LAME's extension
    private const int TagBytes = 4 + 4 + 4 + 4 + Places + EncoderBytes;

    // Players use the delay only if the tag begins with a name that they know, such as LAME; the rest of the name says that it is another
    // encoder.
    private static ReadOnlySpan<byte> EncoderName => "LAME form"u8;

    /// <summary>Samples of the recording; null where the file does not say.</summary>
    /// <param name="frameSamples">Samples of a frame.</param>
    public long? Length(int frameSamples) =>
        Frames == 0 ? null
        : HasDelay ? Math.Max(1, (Frames * frameSamples) - Delay - Math.Max(Padding, DecoderDelay))
        : Frames * frameSamples;

    /// <summary>The header of the frame: that of the file's frames, at a bit rate that gives it room.</summary>
    /// <param name="frames">The header of the file's frames.</param>
    public static Mp3Header HeaderFor(Mp3Header frames) =>
        Mp3Header
            .BitRates(frames.SampleRate)
            .Where(bitRate => bitRate >= frames.BitRate)
            .Select(bitRate => frames with { BitRate = bitRate })
            .First(header => header.FrameBytes >= Mp3Header.Bytes + header.SideBytes + TagBytes);

    /// <summary>Writes the frame that the file begins with.</summary>
    /// <param name="header">Its header.</param>
    /// <param name="head">The file's first bytes.</param>
    /// <param name="fileBytes">Length of the file.</param>
    public void Write(Mp3Header header, Span<byte> head, long fileBytes)
    {
        var frame = head[..header.FrameBytes];
        frame.Clear();
        header.Write(frame);
        var tag = frame[(Mp3Header.Bytes + header.SideBytes)..];
        "Info"u8.CopyTo(tag);
        BinaryPrimitives.WriteInt32BigEndian(tag[4..], FlagFrames | FlagBytes | FlagPlaces);
        BinaryPrimitives.WriteUInt32BigEndian(tag[8..], (uint)Frames);
        BinaryPrimitives.WriteUInt32BigEndian(tag[12..], (uint)fileBytes);
        for (var i = 0; i < Places; i++)
        {
            tag[16 + i] = (byte)(i * 256 / Places);
        }

        var encoder = tag[(16 + Places)..];
        EncoderName.CopyTo(encoder);
        encoder[9] = 1; // constant bit rate
        encoder[20] = (byte)Math.Min(255, header.BitRate / 1000);
        encoder[21] = (byte)(Delay >> 4);
        encoder[22] = (byte)((Delay << 4) | (Padding >> 8));
        encoder[23] = (byte)Padding;
        BinaryPrimitives.WriteInt32BigEndian(encoder[28..], (int)fileBytes);
    }

    /// <summary>Reads it.</summary>
    /// <returns>Null where the frame is one of sound.</returns>
    public static Mp3Info? Of(Mp3Frame frame)
    {
        var rest = frame.Bytes[Math.Min(Mp3Header.Bytes + frame.Header.SideBytes, frame.Bytes.Length)..];
        if (rest.Length < 8 || !(rest.StartsWith("Xing"u8) || rest.StartsWith("Info"u8)))
        {
            return null;
        }

        var flags = BinaryPrimitives.ReadUInt32BigEndian(rest[4..]);
        rest = rest[8..];
        var frames = (flags & FlagFrames) != 0 && rest.Length >= 4 ? BinaryPrimitives.ReadUInt32BigEndian(rest) : 0;
        var before = ((flags & 1) != 0 ? 4 : 0) + ((flags & 2) != 0 ? 4 : 0) + ((flags & 4) != 0 ? 100 : 0) + ((flags & 8) != 0 ? 4 : 0);
        var encoder = rest.Length >= before + 24 ? rest[before..] : default;
        var hasDelay = encoder.StartsWith("LAME"u8) || encoder.StartsWith("Lavf"u8) || encoder.StartsWith("Lavc"u8);
        return hasDelay
            ? new Mp3Info(frames, true, (encoder[21] << 4) | (encoder[22] >> 4), ((encoder[22] & 15) << 8) | encoder[23])
            : new Mp3Info(frames, false, 0, 0);
    }
}
