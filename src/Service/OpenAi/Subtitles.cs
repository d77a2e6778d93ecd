using System.Collections.Frozen;
using System.Globalization;
using System.Net;
using System.Text;
using Chatterbox.Service.Streaming;

namespace Chatterbox.Service.OpenAi;

/// <summary>The sentences of some speech as subtitles, a cue each.</summary>
/// <param name="contentType">Type of the answer.</param>
/// <param name="head">What a file begins with.</param>
/// <param name="timeFormat">How times are written.</param>
/// <param name="isNumbered">Whether cues have numbers.</param>
/// <param name="escape">How the text of a cue is written.</param>
internal sealed class Subtitles(string contentType, string head, string timeFormat, bool isNumbered, Func<string, string> escape)
{
    /// <summary>SubRip and WebVTT, by their names in requests.</summary>
    public static readonly FrozenDictionary<string, Subtitles> Named = new Dictionary<string, Subtitles>
    {
        ["srt"] = new("application/x-subrip", "", @"hh\:mm\:ss\,fff", isNumbered: true, text => text),
        ["vtt"] = new("text/vtt", "WEBVTT\n\n", @"hh\:mm\:ss\.fff", isNumbered: false, text => WebUtility.HtmlEncode(text)),
    }.ToFrozenDictionary();

    /// <summary>Type of the answer.</summary>
    public string ContentType => contentType;

    /// <summary>Answers with the subtitles, once all of the speech is generated.</summary>
    public async Task<IResult> AnswerAsync(SpokenAnswer answer, HttpContext http)
    {
        await answer.CollectAsync(http.RequestAborted);
        SpeechHeaders.Set(http.Response.Headers, answer.Speech);
        return TypedResults.Text(Write(answer.Sentences), contentType, Encoding.UTF8);
    }

    /// <summary>A file of subtitles.</summary>
    public string Write(IEnumerable<SentenceTime> sentences)
    {
        var file = new StringBuilder(head);
        foreach (var (index, sentence) in sentences.Index())
        {
            if (isNumbered)
            {
                file.Append(CultureInfo.InvariantCulture, $"{index + 1}\n");
            }

            // An empty line ends a cue.
            var text = string.Join(' ', sentence.Text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
            file.Append(CultureInfo.InvariantCulture, $"{Time(sentence.StartSeconds)} --> {Time(sentence.EndSeconds)}\n{escape(text)}\n\n");
        }

        return file.ToString();
    }

    private string Time(double seconds) => TimeSpan.FromSeconds(seconds).ToString(timeFormat, CultureInfo.InvariantCulture);
}
