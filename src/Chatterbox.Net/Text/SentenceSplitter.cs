using System.Globalization;
using System.Text.RegularExpressions;

namespace Chatterbox.Text;

/// <summary>Long text → pieces short enough to be spoken well, cut at sentence ends, else clauses, else words.</summary>
/// <remarks>
/// Not of the reference, whose model grows unsteady after some 30 seconds and stops at 40. A tag such as [clear throat]
/// stays whole. No character but white space between pieces is lost. There can be pieces of punctuation alone, which
/// <see cref="TextPlan"/> leaves out.
/// </remarks>
public static partial class SentenceSplitter
{
    /// <summary>Some 20 seconds of speech.</summary>
    public const int DefaultLength = 280;

    /// <summary>Shortest allowed limit: room for the longest tag.</summary>
    public const int LeastLength = 40;

    private const int LongestTag = 32; // its brackets too

    /// <summary>A sentence or clause shorter than this part of the limit does not stand alone while a later end is as good.</summary>
    private const int ShortPart = 5;

    private static readonly (Break Least, int Part)[] Preferences =
    [
        (Break.Sentence, ShortPart),
        (Break.Clause, ShortPart),
        (Break.Sentence, 0),
        (Break.Clause, 0),
        (Break.Word, 0),
        (Break.Character, 0),
    ];

    /// <summary>Shortened words whose full stop is not a sentence's, lower-case.</summary>
    private static readonly HashSet<string> Titles =
    [
        .. (
            "mr mrs ms mx messrs dr dra drs prof rev hon st ste gen col capt cmdr lt maj sgt sen rep gov pres mt ft vs cf al "
            + "approx dept viz "
            + "hr fr frl bzw ca vgl evtl ggf inkl zzgl str mme mlle mgr sr sra srta ud uds sig dott dhr mevr np tzw"
        ).Split(' '),
    ];

    /// <summary>Shortened words whose full stop is not a sentence's where a number follows, lower-case.</summary>
    private static readonly HashSet<string> BeforeNumber =
    [
        .. "no nos nr núm num n vol fig figs art sec ch pp p par jan feb mar apr jun jul aug sep sept oct nov dec".Split(' '),
    ];

    private enum Break
    {
        None,
        Character,
        Word,
        Clause,
        Sentence,
    }

    /// <summary>Cuts a text into pieces; white space at their ends is dropped.</summary>
    /// <param name="text">Any text; a blank one has no pieces.</param>
    /// <param name="maxLength">Most characters of a piece. An ideograph or Hangul syllable counts as 3 and kana as 2, taking longer to
    /// speak.</param>
    public static IReadOnlyList<string> Split(string text, int maxLength = DefaultLength)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(maxLength, LeastLength);
        text = PythonText.Strip(text);
        var pieces = new List<string>();
        var breaks = Breaks(text);
        var cost = Costs(text); // [i] = cost of text[..i]
        for (var start = 0; start < text.Length; )
        {
            var fits = Fits(cost, start, maxLength);
            var cut = fits == text.Length ? fits : BestBreak(breaks, cost, start, fits, maxLength);
            pieces.Add(PythonText.Strip(text[start..cut]));
            start = SkipSpace(text, cut);
        }

        return pieces;
    }

    /// <summary>Finds what can be spoken already of a text that is still being written: its first sentence, once what comes
    /// behind it has begun; or the first part of one that has to be cut whatever comes.</summary>
    /// <param name="text">The text so far, from where it has not been spoken yet.</param>
    /// <param name="maxLength">As of <see cref="Split"/>.</param>
    /// <returns>Its length, which follows from the text alone and not from where the writing stands; 0 if more must come first.</returns>
    public static int FirstSpeakable(string text, int maxLength = DefaultLength)
    {
        // Half a character says neither what it costs nor whether it belongs to the one before it.
        if (text.Length > 0 && char.IsHighSurrogate(text[^1]))
        {
            text = text[..^1];
        }

        // What is decided in the beginning stays so whatever follows: a long text is not scanned again for each of its sentences.
        var beginning = 2 * (maxLength + LongestTag); // a character may be a pair of surrogates
        if (text.Length > beginning && FirstSpeakable(text[..beginning], maxLength) is > 0 and var length)
        {
            return length;
        }

        var (breaks, cost) = (Breaks(text), Costs(text));
        var fits = Fits(cost, 0, maxLength);
        var end = Array.IndexOf(breaks, Break.Sentence);
        var isSentence = end > 0 && end <= fits;
        if (!isSentence && fits >= text.Length)
        {
            return 0;
        }

        // Whether a stop ends a sentence depends on what follows it, and on whether the tag that it may be in is one.
        var isKnown =
            SkipSpace(text, isSentence ? end : fits) < text.Length && !MayBeTag(text, text.LastIndexOf('[', (isSentence ? end : fits) - 1));
        return !isKnown ? 0
            : isSentence ? end
            : BestBreak(breaks, cost, 0, fits, maxLength);
    }

    private static bool MayBeTag(string text, int open) => open >= 0 && text.Length - open <= LongestTag && text.IndexOf(']', open) < 0;

    /// <summary>The index up to which a piece may go.</summary>
    private static int Fits(int[] cost, int start, int maxLength)
    {
        var fits = start + 1;
        while (fits < cost.Length - 1 && cost[fits + 1] - cost[start] <= maxLength)
        {
            fits++;
        }

        return fits;
    }

    private static int BestBreak(Break[] breaks, int[] cost, int start, int fits, int maxLength)
    {
        foreach (var (least, part) in Preferences)
        {
            var shortest = part == 0 ? 1 : maxLength / part;
            for (var i = fits; i > start && cost[i] - cost[start] >= shortest; i--)
            {
                if (breaks[i] >= least)
                {
                    return i;
                }
            }
        }

        return fits; // one endless heap of combining marks
    }

    /// <summary>How good a place each index is to end a piece before it.</summary>
    private static Break[] Breaks(string text)
    {
        var breaks = new Break[text.Length + 1];
        foreach (var start in StringInfo.ParseCombiningCharacters(text))
        {
            breaks[start] = start > 0 && PythonText.IsSpace(text[start]) ? Break.Word : Break.Character;
        }

        Mark(ClauseEnd(), _ => Break.Clause);
        Mark(SentenceEnd(), end => KindOfStop(text, end));
        foreach (var tag in Tag().EnumerateMatches(text))
        {
            breaks.AsSpan(tag.Index + 1, tag.Length - 1).Clear();
        }

        return breaks;

        void Mark(Regex ends, Func<Match, Break> kind)
        {
            foreach (var end in ends.Matches(text).Cast<Match>())
            {
                var at = end.Index + end.Length;
                breaks[at] = breaks[at] == Break.None ? Break.None : kind(end);
            }
        }
    }

    /// <summary>Tells a sentence's end from a stop within it: Dr. Smith, J. Smith, e.g. this, 3. Mai, "Why?" he asked.</summary>
    private static Break KindOfStop(string text, Match stop)
    {
        var next = SkipSpace(text, stop.Index + stop.Length);
        var follows = next < text.Length ? text[next] : '\0';
        if (stop.Groups["stop"].Value != ".")
        {
            return char.IsLower(follows) ? Break.Clause : Break.Sentence;
        }

        var start = stop.Index;
        while (start > 0 && (char.IsLetterOrDigit(text[start - 1]) || text[start - 1] == '.'))
        {
            start--;
        }

        var word = text[start..stop.Index].ToLowerInvariant();
        var isShortened =
            Titles.Contains(word)
            || (char.IsDigit(follows) && BeforeNumber.Contains(word))
            || (word.Contains('.', StringComparison.Ordinal) && !word.Any(char.IsDigit))
            || (word.Length == 1 && word != "i")
            || (word.Length is 1 or 2 && word.All(char.IsDigit));
        return isShortened || char.IsLower(follows) ? Break.Word : Break.Sentence;
    }

    private static int[] Costs(string text)
    {
        var cost = new int[text.Length + 1];
        var i = 0;
        foreach (var rune in text.EnumerateRunes())
        {
            var length = i + 1 < text.Length && char.IsSurrogatePair(text, i) ? 2 : 1;
            var spoken = rune.Value switch
            {
                >= 0x3040 and <= 0x30FF => 2,
                (>= 0x3400 and <= 0x9FFF) or (>= 0xAC00 and <= 0xD7A3) or (>= 0xF900 and <= 0xFAFF) or (>= 0x20000 and <= 0x3FFFF) => 3,
                _ => length,
            };
            cost[i + 1] = cost[i + length] = cost[i] + spoken;
            i += length;
        }

        return cost;
    }

    private static int SkipSpace(string text, int index)
    {
        while (index < text.Length && PythonText.IsSpace(text[index]))
        {
            index++;
        }

        return index;
    }

    // A stop and the quotes and brackets closing behind it; in scripts without spaces none need follow. Or an empty line.
    // Atomic, and tried once a run of stops: a page of dots takes no longer than a page of words.
    [GeneratedRegex(
        """(?<![.!?…])(?<stop>(?>[.!?…]+))(?>["'”’»)\]]*)(?=\s|$)|(?<stop>[。！？｡؟۔।॥።]+)["'”’»)\]」』）】]*|(?<=\S)(?=[^\S\n]*\n[^\S\n]*\n)""",
        RegexOptions.ExplicitCapture
    )]
    private static partial Regex SentenceEnd();

    [GeneratedRegex("""[,;:]["'”’»)\]]*(?=\s)|(?<=\s)[-–](?=\s)|[，、；：،؛—]["'”’»)\]」』）】]*""")]
    private static partial Regex ClauseEnd();

    [GeneratedRegex(@"\[[A-Za-z0-9_. ]{1,30}\]")]
    private static partial Regex Tag();
}
