using System.Globalization;
using System.Text.Json.Serialization;
using Chatterbox.Audio;
using Chatterbox.Service.OpenAi;

namespace Chatterbox.Service.Jobs;

/// <summary>The form of a job's file: an audio format, an audiobook, or a zip file with an MP3 for each chapter.</summary>
/// <param name="Name">Its name in requests.</param>
/// <param name="SampleRate">Samples a second (Hz).</param>
internal sealed record JobFormat(string Name, int SampleRate)
{
    /// <summary>An audiobook with chapters.</summary>
    public const string Book = "m4b";

    /// <summary>A zip file of chapters.</summary>
    public const string Zip = "zip";

    /// <summary>The format of its audio; AAC in an audiobook.</summary>
    [JsonIgnore]
    public AudioFormat Audio =>
        Name switch
        {
            Book => AudioFormat.Named["aac"],
            Zip => AudioFormat.Named["mp3"].At(SampleRate),
            _ => AudioFormat.Named[Name].At(SampleRate),
        };

    /// <summary>Its media type.</summary>
    [JsonIgnore]
    public string ContentType =>
        Name switch
        {
            Book => "audio/mp4",
            Zip => "application/zip",
            _ => Audio.ContentType,
        };

    /// <summary>The name of the file in the job's folder.</summary>
    [JsonIgnore]
    public string FileName => $"result.{Name}";

    /// <summary>The format that a request asks for: without ffmpeg, a zip of chapters stands for an audiobook.</summary>
    /// <exception cref="Hosting.RefusedException">There is no such format here.</exception>
    public static JobFormat Of(SpeechBody body, AudioCodecs codecs)
    {
        switch (body.ResponseFormat)
        {
            case Book when body.SampleRate is not null:
                throw OpenAiErrors.Invalid("sample_rate", "An m4b file has 24000 Hz. Leave 'sample_rate' out.");
            case Book when codecs.UnsupportedBookReason is null:
                return new JobFormat(Book, SpeechResult.SampleRate);
            case Book or Zip:
                return new JobFormat(Zip, SpeechFormat.Of("mp3", body.SampleRate, codecs).SampleRate);
            case "aac":
                throw OpenAiErrors.Invalid("response_format", "A job writes AAC as an audiobook. Ask for m4b.");
            default:
                var audio = SpeechFormat.Of(body.ResponseFormat, body.SampleRate, codecs);
                return new JobFormat(audio.Name, audio.SampleRate);
        }
    }

    /// <summary>The format of a file's ending.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="RequestException">There is none.</exception>
    public static JobFormat OfFile(string path) =>
        Path.GetExtension(path).ToLowerInvariant() switch
        {
            ".m4b" or ".m4a" => new JobFormat(Book, SpeechResult.SampleRate),
            ".zip" => new JobFormat(Zip, SpeechResult.SampleRate),
            _ when AudioFormat.OfFile(path) is { Codec: not AudioCodec.Aac } audio => new JobFormat(audio.Name, audio.SampleRate),
            var ending => throw new RequestException(
                $"A book is not written as {ending}. Let the file end in .m4b, .mp3, .opus, .flac, .wav or .zip.",
                "out"
            ),
        };

    /// <summary>The name of a chapter's file in a zip file.</summary>
    /// <param name="number">Its number, from 1.</param>
    /// <param name="count">How many there are.</param>
    /// <param name="title">Its title.</param>
    public static string ChapterFile(int number, int count, string title)
    {
        const int longest = 80;
        var digits = Math.Max(2, count.ToString(CultureInfo.InvariantCulture).Length);
        var words = string.Concat(title.Where(character => char.IsLetterOrDigit(character) || character is ' ' or '-' or '_')).Trim();
        return $"{number.ToString($"D{digits}", CultureInfo.InvariantCulture)} "
            + $"{(words.Length > longest ? words[..longest].Trim() : words)}".Trim()
            + ".mp3";
    }
}
