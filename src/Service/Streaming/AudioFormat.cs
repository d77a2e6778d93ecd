using Chatterbox.Audio;

namespace Chatterbox.Service.Streaming;

/// <summary>A format in which speech is sent.</summary>
/// <param name="Name">Its name in requests.</param>
/// <param name="ContentType">Its media type.</param>
/// <param name="Encoding">ffmpeg's arguments for it; null for what needs no encoder.</param>
internal sealed record AudioFormat(string Name, string ContentType, IReadOnlyList<string>? Encoding)
{
    /// <summary>Every format. What comes of the first samples is not to wait for others: MP3 keeps no reservoir of bits, an Ogg page
    /// holds one packet and FLAC's frames are short, without the room for tags that is usual behind its header.</summary>
    public static readonly IReadOnlyList<AudioFormat> All =
    [
        new("mp3", "audio/mpeg", ["-c:a", "libmp3lame", "-b:a", "128k", "-reservoir", "0", "-write_xing", "0", "-id3v2_version", "0", "-f", "mp3"]),
        new("opus", "audio/opus", ["-c:a", "libopus", "-b:a", "64k", "-frame_duration", "20", "-page_duration", "20000", "-f", "ogg"]),
        new("aac", "audio/aac", ["-c:a", "aac", "-b:a", "128k", "-f", "adts"]),
        new("flac", "audio/flac", ["-c:a", "flac", "-sample_fmt", "s16", "-frame_size", "1152", "-metadata_header_padding", "0", "-f", "flac"]),
        new("wav", "audio/wav", null),
        new("pcm", "audio/pcm", null),
    ];

    /// <summary>Whether ffmpeg is needed for this format at this speed.</summary>
    public bool NeedsFfmpeg(double speed) => Encoding is not null || speed != 1;

    /// <summary>Encodes speech while it is made. A block of bytes is good until the next is asked for.</summary>
    /// <param name="speech">Blocks of samples.</param>
    /// <param name="begun">Completes when the first of them is near.</param>
    /// <param name="speed">Tempo; the pitch stays.</param>
    /// <param name="ffmpeg">Encodes.</param>
    /// <param name="cancel">Ends it.</param>
    public IAsyncEnumerable<ReadOnlyMemory<byte>> Encode(IAsyncEnumerable<float[]> speech, Task begun, double speed, FfmpegEncoder ffmpeg, CancellationToken cancel)
    {
        if (Encoding is not null)
        {
            return ffmpeg.Encode(speech, begun, speed, Encoding, cancel);
        }

        var pcm = speed == 1 ? speech.Select(block => (ReadOnlyMemory<byte>)Pcm16.Encode(block)) : ffmpeg.Encode(speech, begun, speed, ["-f", "s16le"], cancel);
        return Name == "wav" ? WithHeader(pcm) : pcm;
    }

    /// <summary>The header waits for the first audio: until then an error can still be an error.</summary>
    private static async IAsyncEnumerable<ReadOnlyMemory<byte>> WithHeader(IAsyncEnumerable<ReadOnlyMemory<byte>> pcm)
    {
        var begins = true;
        await foreach (var block in pcm)
        {
            if (begins)
            {
                yield return WavFormat.StreamHeader();
                begins = false;
            }

            yield return block;
        }
    }
}
