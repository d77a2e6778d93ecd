using Chatterbox.Audio;
using Chatterbox.Service.Hosting;
using Chatterbox.Text.Languages;

namespace Chatterbox.Service.Diagnostics;

/// <summary>Checks the programs that formats and languages need.</summary>
internal static class FormatChecks
{
    private const string Topic = "formats";

    /// <summary>What is installed.</summary>
    /// <param name="service">Names the programs.</param>
    public static IEnumerable<Finding> Of(ServiceOptions service)
    {
        using var codecs = new AudioCodecs(service.Ffmpeg);
        foreach (var support in codecs.Support())
        {
            yield return support.Encoder is { } encoder
                ? new(Topic, support.Name, Verdict.Ok, $"encoded by {encoder}")
                : new(Topic, support.Name, Verdict.Note, support.Missing!, "Or set Service:Ffmpeg to the path of ffmpeg.");
        }

        yield return codecs.DecodesRareFormats
            ? new(Topic, "ffmpeg", Verdict.Ok, $"'{service.Ffmpeg}' is installed: recordings of every common format can be read")
            : new(
                Topic,
                "ffmpeg",
                Verdict.Note,
                $"'{service.Ffmpeg}' is not installed: recordings other than WAV, FLAC, MP3, Ogg Opus and AIFF cannot be read",
                "Install it (Linux: apt install ffmpeg), or set Service:Ffmpeg to its path, if you need M4A, Vorbis or others."
            );
        yield return MecabReader.Find() is not null
            ? new(Topic, "MeCab", Verdict.Ok, "is installed: Japanese text may have kanji")
            : new(
                Topic,
                "MeCab",
                Verdict.Note,
                "is not installed: Japanese text is spoken from kana only",
                "Install it with a dictionary (Linux: apt install mecab mecab-ipadic-utf8), if you need Japanese."
            );
    }
}
