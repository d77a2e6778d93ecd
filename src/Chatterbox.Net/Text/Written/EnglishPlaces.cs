namespace Chatterbox.Text.Written;

/// <summary>What stands around a match.</summary>
internal static class EnglishPlaces
{
    /// <summary>Whether a full stop before this place ends a sentence, and not only an abbreviation.</summary>
    public static bool EndsSentence(string text, int after)
    {
        var at = after;
        while (at < text.Length && text[at] is '"' or '”' or '’' or '\'' or ')' or ']')
        {
            at++;
        }

        var next = at;
        while (next < text.Length && char.IsWhiteSpace(text[next]) && next - at < 20)
        {
            next++;
        }

        return next == text.Length || (next > at && (char.IsUpper(text[next]) || text.AsSpan(at, next - at).Contains('\n')));
    }

    /// <summary>The word before a place; empty if none stands directly before it.</summary>
    public static string WordBefore(string text, int at)
    {
        var end = at;
        while (end > 0 && at - end < 3 && text[end - 1] is ' ' or '\u00A0' or '(')
        {
            end--;
        }

        var start = end;
        while (start > 0 && end - start < 20 && (char.IsLetter(text[start - 1]) || text[start - 1] == '.'))
        {
            start--;
        }

        return text[start..end];
    }

    /// <summary>Whether the next character behind spaces is a digit, or begins a number.</summary>
    public static bool NumberFollows(string text, int at)
    {
        at = at < text.Length && text[at] == ' ' ? at + 1 : at;
        at = at < text.Length && text[at] is '.' or '(' or '$' or '£' or '€' or '-' or '−' ? at + 1 : at;
        return at < text.Length && char.IsAsciiDigit(text[at]);
    }

    /// <summary>Whether the character before a space is a digit, or ends a number.</summary>
    public static bool NumberPrecedes(string text, int at)
    {
        at = at > 0 && text[at - 1] == ' ' ? at - 1 : at;
        return at > 0 && (char.IsAsciiDigit(text[at - 1]) || (text[at - 1] is ')' or '%' && at > 1 && char.IsAsciiDigit(text[at - 2])));
    }
}
