using Chatterbox.Audio.Aiff;
using Chatterbox.Audio.Ffmpeg;
using Chatterbox.Audio.Flac;
using Chatterbox.Audio.Mp3;
using Chatterbox.Audio.Ogg;

namespace Chatterbox.Audio;

/// <summary>Finds the reader of a recording by its content: WAV, FLAC, MP3, Ogg Opus and AIFF are decoded in this process, everything else,
/// and what those readers do not know, by ffmpeg where it is installed.</summary>
/// <param name="ffmpeg">The program.</param>
internal sealed class RecordingDecoder(FfmpegProgram ffmpeg)
{
    /// <summary>The formats that need nothing installed, in words.</summary>
    public const string InProcess = "WAV, FLAC, MP3, Ogg Opus and AIFF";

    private const int HeadBytes = 256;

    private static readonly (Func<byte[], bool> Matches, RecordingReader Read)[] Readers =
    [
        (head => WavReader.Matches(head) || head.Length == 0, WavReader.Read), // which says what is wrong with an empty file
        (head => FlacReader.Matches(head), FlacReader.Read),
        (head => OpusReader.Matches(head), OpusReader.Read),
        (head => AiffReader.Matches(head), AiffReader.Read),
        (head => FfmpegDemuxer.Of(head) is null or FfmpegDemuxer.Mp3, Mp3Reader.Read), // some bytes may come before its first frame
    ];

    /// <summary>Decodes a recording.</summary>
    /// <param name="stream">The file's bytes from here on, seekable.</param>
    /// <param name="source">What it is called, and how long it may be.</param>
    /// <exception cref="VoiceException">It is no recording, damaged or too long, or it needs ffmpeg, which is not installed.</exception>
    public AudioClip Decode(Stream stream, RecordingSource source)
    {
        source.Cancel.ThrowIfCancellationRequested();
        var start = stream.Position;
        var head = new byte[HeadBytes];
        head = head[..stream.ReadAtLeast(head, head.Length, throwOnEndOfStream: false)];
        stream.Position = start;
        var reason = "it is of a format that is not decoded in this process";
        if (Readers.FirstOrDefault(reader => reader.Matches(head)).Read is { } read)
        {
            try
            {
                return read(stream, source);
            }
            catch (NotDecodedHereException e)
            {
                reason = e.Message;
                stream.Position = start;
            }
        }

        var demuxer =
            FfmpegDemuxer.Of(head)
            ?? throw new VoiceException(
                $"{source.Name}: there is no sound in it; expected a recording such as WAV, FLAC, MP3, Ogg or M4A. Choose another file."
            );
        try
        {
            return new FfmpegDecoder(ffmpeg).Decode(stream, demuxer, source);
        }
        catch (FfmpegMissingException e)
        {
            throw new VoiceException(
                $"{source.Name}: {reason}, so that it needs ffmpeg, and {e.Message} {FfmpegProgram.HowToInstall}, or convert the "
                    + $"recording to "
                    + $"16-bit WAV: {InProcess} need nothing.",
                e
            );
        }
    }
}
