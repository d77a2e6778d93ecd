using System.Text.RegularExpressions;

namespace Chatterbox.Text.SpelledOut;

/// <summary>Times of day in words: 10:30 am is "ten thirty AM".</summary>
/// <remarks>Ports convert_time_to_words of text_norm/time_norm.py. The space and the full stop after a time are lost, and am or pm may
/// go on as a word.</remarks>
internal static partial class Times
{
    /// <summary>Expands them.</summary>
    public static string Expand(string text) => Time().Replace(text, InWords);

    private static string InWords(Match match)
    {
        var (minutes, half) = (match.Groups["minutes"], match.Groups["half"]);
        if (!half.Success && !(minutes.Success && match.Groups["separator"].Value == ":"))
        {
            return match.Value;
        }

        var minute = (int)NumberWords.Parse(minutes.Value);
        return NumberWords.Plain((int)NumberWords.Parse(match.Groups["hour"].Value))
            + minute switch
            {
                0 => "",
                < 10 => $" oh {NumberWords.Plain(minute)}",
                _ => $" {NumberWords.Plain(minute)}",
            }
            + (half.Success ? $" {half.Value.Replace(".", "", StringComparison.Ordinal).ToUpperInvariant()}" : "");
    }

    [GeneratedRegex(@"(?<hour>\d{1,2})(?<separator>[.:])?\s*(?<minutes>\d{2})?\s*(?<half>[AaPp]\.?[Mm]\.?)?")]
    private static partial Regex Time();
}
