namespace Chatterbox.Audio.Ffmpeg;

/// <summary>Which of ffmpeg's demuxers reads a file, by the file's first bytes: ffmpeg itself is not asked to guess, as some of what it
/// would guess are playlists and scripts that open other files and addresses.</summary>
internal static class FfmpegDemuxer
{
    private static readonly (int Offset, byte[] Magic, string Name)[] Known =
    [
        (4, [.. "ftyp"u8], Mov),
        (4, [.. "moov"u8], Mov),
        (4, [.. "mdat"u8], Mov),
        (4, [.. "wide"u8], Mov),
        (0, [.. "RIFF"u8], "wav"), // AVI too; distinguished below
        (0, [.. "RF64"u8], "wav"),
        (0, [.. "FORM"u8], "aiff"),
        (0, [.. "fLaC"u8], "flac"),
        (0, [.. "OggS"u8], "ogg"),
        (0, [0x1A, 0x45, 0xDF, 0xA3], "matroska"),
        (0, [.. "caff"u8], "caf"),
        (0, [.. "wvpk"u8], "wv"),
        (0, [.. "#!AMR"u8], "amr"),
        (0, [.. ".snd"u8], "au"),
        (0, [.. "MAC "u8], "ape"),
        (0, [.. "TTA1"u8], "tta"),
        (0, [.. "FLV"u8], "flv"),
        (0, [0x30, 0x26, 0xB2, 0x75, 0x8E, 0x66, 0xCF, 0x11], "asf"),
        (0, [.. "riff"u8, 0x2E, 0x91, 0xCF, 0x11], "w64"),
        (0, [0x00, 0x00, 0x01, 0xBA], "mpeg"),
        (0, [0x0B, 0x77], "ac3"),
    ];

    /// <summary>The demuxer that must seek, for its index may stand at the end.</summary>
    public const string Mov = "mov";

    /// <summary>The demuxer of MPEG audio.</summary>
    public const string Mp3 = "mp3";

    /// <summary>The demuxer's name.</summary>
    /// <param name="head">The file's first bytes, some hundred where it has them.</param>
    /// <returns>Null where it is no recording.</returns>
    public static string? Of(ReadOnlySpan<byte> head)
    {
        foreach (var (offset, magic, name) in Known)
        {
            if (head.Length > offset && head[offset..].StartsWith(magic))
            {
                return name == "wav" && head.Length >= 12 && head[8..12].SequenceEqual("AVI "u8) ? "avi" : name;
            }
        }

        const int PacketOfTransportStream = 188;
        return head.StartsWith("ID3"u8) ? Mp3
            : head.Length > PacketOfTransportStream && head[0] == 'G' && head[PacketOfTransportStream] == 'G' ? "mpegts"
            : head.Length >= 2 && head[0] == 0xFF && (head[1] & 0xF6) == 0xF0 ? "aac"
            : head.Length >= 2 && head[0] == 0xFF && (head[1] & 0xE0) == 0xE0 && (head[1] & 6) != 0 ? Mp3
            : null;
    }
}
