using System.Text;
using System.Text.RegularExpressions;

namespace Chatterbox.Text.Written;

/// <summary>A way to read what stands at a place of a text.</summary>
/// <param name="Pattern">What it reads, from that place on: of bounded length.</param>
/// <param name="Say">Its words, from the match and the whole text; null where it is not meant.</param>
internal sealed record EnglishRule(Regex Pattern, Func<Match, string, string?> Say)
{
    /// <summary>A rule for what begins where the search does.</summary>
    public static EnglishRule Of(string pattern, Func<Match, string, string?> say) =>
        new(new Regex(@"\G" + pattern, RegexOptions.CultureInvariant), say);

    /// <inheritdoc cref="Of(string, Func{Match, string, string?})"/>
    public static EnglishRule Of(string pattern, Func<Match, string?> say) => Of(pattern, (match, _) => say(match));
}

/// <summary>English text with everything in it that is not a word written out as words. Reading its own output changes nothing.</summary>
internal static class EnglishText
{
    /// <summary>Words that are written out may let an abbreviation beside them be read: without spaces, as in 7Mr.5, a second pass
    /// finds it.</summary>
    private const int MostPasses = 6;

    /// <summary>Writes a text out.</summary>
    public static string Say(string text) => Say(text, out _);

    /// <summary>Writes a text out, and counts how often a rule was tried.</summary>
    /// <param name="text">The text.</param>
    /// <param name="steps">The number of tries, each of bounded cost.</param>
    public static string Say(string text, out int steps)
    {
        text = WithAsciiDigits(text);
        steps = 0;
        for (var pass = 0; pass < MostPasses; pass++)
        {
            var said = SayOnce(text, ref steps);
            if (said == text)
            {
                break;
            }

            text = said;
        }

        return text;
    }

    private static string SayOnce(string text, ref int steps)
    {
        var said = new StringBuilder(text.Length);
        var isAfterWords = false;
        for (var i = 0; i < text.Length; )
        {
            var words = (string?)null;
            var length = 1;
            foreach (var rule in RulesAt(text, i))
            {
                steps++;
                if (rule.Pattern.Match(text, i) is { Success: true, Length: > 0 } match && (words = rule.Say(match, text)) is not null)
                {
                    length = match.Length;
                    break;
                }
            }

            if (words is { Length: > 0 })
            {
                // A hyphen before a number, as in COVID-19, is not heard; a minus has been read by its rule.
                if (said is [.., _, '-'] && char.IsLetter(said[^2]) && char.IsAsciiDigit(text[i]))
                {
                    said[^1] = ' ';
                }

                Separate(said, words[0]);
                said.Append(words);
            }
            else if (words is null)
            {
                if (isAfterWords)
                {
                    Separate(said, text[i]);
                }

                said.Append(text[i]);
            }

            isAfterWords = words is not null;
            i += length;
        }

        return said.ToString();
    }

    private static IReadOnlyList<EnglishRule> RulesAt(string text, int at)
    {
        var c = text[at];
        var before = at > 0 ? text[at - 1] : ' ';
        return char.IsAsciiDigit(c) ? EnglishFigures.Rules
            : char.IsLetter(c)
                ? char.IsLetterOrDigit(before) ? []
                    : EnglishWords.Rules
            : char.IsWhiteSpace(c) ? []
            : EnglishSigns.Rules;
    }

    /// <summary>Puts a space between two words.</summary>
    private static void Separate(StringBuilder said, char next)
    {
        if (
            said.Length > 0
            && char.IsLetterOrDigit(next)
            && (char.IsLetterOrDigit(said[^1]) || said[^1] is '%' or '.' or ',' or ')' or ':' or ';')
        )
        {
            said.Append(' ');
        }
    }

    private static string WithAsciiDigits(string text)
    {
        if (!text.EnumerateRunes().Any(rune => Rune.IsDigit(rune) && !rune.IsAscii))
        {
            return text;
        }

        var ascii = new StringBuilder(text.Length);
        foreach (var rune in text.EnumerateRunes())
        {
            if (Rune.IsDigit(rune))
            {
                ascii.Append((char)('0' + (int)Rune.GetNumericValue(rune)));
            }
            else
            {
                ascii.Append(rune.ToString());
            }
        }

        return ascii.ToString();
    }
}
