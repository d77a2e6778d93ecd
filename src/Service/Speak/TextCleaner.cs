using System.Text.RegularExpressions;

namespace Chatterbox.Service.Speak;

/// <summary>Removes a language model's markup from a text, and cuts and splits it as <c>/speak</c> does.</summary>
internal static partial class TextCleaner
{
    private const int LongestText = 1000;
    private const int ShortestCut = 500;
    private const int DeepestEmphasis = 4; // marks within marks

    /// <summary>Takes out tags, fields and marks of emphasis, and makes each run of white space one space.</summary>
    public static string Clean(string text)
    {
        text = Tags().Replace(text, "");
        text = Fields().Replace(text, "");
        text = Control().Replace(text, " ");
        text = Space().Replace(text, " ");
        for (var depth = 0; depth < DeepestEmphasis; depth++)
        {
            text = Emphasis().Replace(Stars().Replace(text, "$2"), "$2");
        }

        return Space().Replace(text, " ").Trim();
    }

    /// <summary>Cuts a text over 1000 characters there, and back to its last sentence end if that leaves more than half.</summary>
    /// <returns>The text, the number of its characters (code points, not UTF-16 units), and whether it was cut.</returns>
    public static (string Text, int Length, bool Truncated) Cut(string text)
    {
        var starts = new List<int>();
        for (var i = 0; i < text.Length; i += char.IsSurrogatePair(text, i) ? 2 : 1)
        {
            starts.Add(i);
            if (starts.Count > LongestText)
            {
                break;
            }
        }

        if (starts.Count <= LongestText)
        {
            return (text, starts.Count, false);
        }

        var last = starts.FindLastIndex(LongestText - 1, i => text[i] is '.' or '!' or '?');
        var length = last > ShortestCut ? last + 1 : LongestText;
        return (text[..starts[length]], length, true);
    }

    /// <summary>Splits after <c>.</c>, <c>!</c> or <c>?</c> followed by white space.</summary>
    public static IReadOnlyList<string> Sentences(string text) => SentenceEnd().Split(text).Where(s => s.Length > 0).ToList();

    /// <summary>A tag begins with a letter, a slash or a mark: "2 &lt; 3" stays.</summary>
    [GeneratedRegex(@"<[\p{L}/!?|][^<>]*>")]
    private static partial Regex Tags();

    [GeneratedRegex(@"\|[^|]*\|")]
    private static partial Regex Fields();

    [GeneratedRegex(@"[\p{Cc}-[\s]]")]
    private static partial Regex Control();

    [GeneratedRegex(@"\s+")]
    private static partial Regex Space();

    /// <summary>Emphasis hugs its words, so "2 * 3 * 4" and "2*3*4" stay.</summary>
    [GeneratedRegex(@"(?<![\d*])(\*{1,3})(?=[^\s*])([^*]*[^\s*])\1(?!\*)")]
    private static partial Regex Stars();

    /// <summary>Underscores within words, as in a_name_like_this, are no emphasis.</summary>
    [GeneratedRegex(@"(?<![\p{L}\p{N}_])(_{1,3})(?=[^\s_])([^_]*[^\s_])\1(?![\p{L}\p{N}_])")]
    private static partial Regex Emphasis();

    [GeneratedRegex(@"(?<=[.!?])\s+")]
    private static partial Regex SentenceEnd();
}
