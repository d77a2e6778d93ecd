using System.Globalization;
using System.Text;
using Chatterbox.Text.Unicode;

namespace Chatterbox.Text;

/// <summary>Python's string methods, as the reference's text preparation calls them, equal to the character.</summary>
/// <remarks>
/// .NET's own differ: <c>Trim</c> and <c>Split</c> know four white-space characters fewer, casing maps one character to one
/// and leaves İ and ı alone, and under invariant globalisation <c>Normalize</c> does nothing. Equal to CPython 3.12 and 3.13
/// on every code point that Unicode 15.1 assigns, but for ƛ and ɤ, whose capitals came with Unicode 16.
/// </remarks>
internal static class PythonText
{
    /// <summary><c>str.isspace</c> of one character.</summary>
    public static bool IsSpace(char c) => char.IsWhiteSpace(c) || c is >= '\u001C' and <= '\u001F';

    /// <summary><c>" ".join(text.split())</c>: runs of white space become one space, none is left at the ends.</summary>
    public static string CollapseSpaces(string text)
    {
        var collapsed = new StringBuilder(text.Length);
        var pendingSpace = false;
        foreach (var c in text)
        {
            if (IsSpace(c))
            {
                pendingSpace = collapsed.Length > 0;
                continue;
            }

            if (pendingSpace)
            {
                collapsed.Append(' ');
                pendingSpace = false;
            }

            collapsed.Append(c);
        }

        return collapsed.ToString();
    }

    /// <summary><c>text.strip()</c>.</summary>
    public static string Strip(string text)
    {
        var (start, end) = (0, text.Length);
        while (start < end && IsSpace(text[start]))
        {
            start++;
        }

        while (end > start && IsSpace(text[end - 1]))
        {
            end--;
        }

        return text[start..end];
    }

    /// <summary><c>text[0].upper() + text[1:]</c> where <c>text[0].islower()</c>; the first code point may become several (ß →
    /// SS).</summary>
    public static string UpperFirst(string text)
    {
        if (
            Rune.DecodeFromUtf16(text, out var first, out var length) != System.Buffers.OperationStatus.Done
            || Rune.GetUnicodeCategory(first) == UnicodeCategory.TitlecaseLetter
        )
        {
            return text;
        }

        return (UnicodeTables.SpecialUpper(first.Value) ?? Rune.ToUpperInvariant(first).ToString()) + text[length..];
    }

    /// <summary><c>text.lower()</c>: İ becomes i with a dot above (U+0307), and Σ at the end of a word becomes ς.</summary>
    public static string Lower(string text)
    {
        var runes = text.EnumerateRunes().ToArray();
        var lower = new StringBuilder(text.Length);
        for (var i = 0; i < runes.Length; i++)
        {
            switch (runes[i].Value)
            {
                case 'İ':
                    lower.Append("i\u0307");
                    break;
                case 'Σ' when EndsWord(runes, i):
                    lower.Append('ς');
                    break;
                default:
                    lower.Append(Rune.ToLowerInvariant(runes[i]).ToString());
                    break;
            }
        }

        return lower.ToString();
    }

    /// <summary>Unicode's Final_Sigma: a cased letter before and none after, looking past what case ignores.</summary>
    private static bool EndsWord(Rune[] runes, int sigma)
    {
        var before = sigma == 0 ? -1 : Array.FindLastIndex(runes, sigma - 1, r => !IsCaseIgnorable(r));
        var after = Array.FindIndex(runes, sigma + 1, r => !IsCaseIgnorable(r));
        return before >= 0 && IsCased(runes[before]) && (after < 0 || !IsCased(runes[after]));
    }

    private static bool IsCased(Rune rune) =>
        Rune.GetUnicodeCategory(rune)
            is UnicodeCategory.UppercaseLetter
                or UnicodeCategory.LowercaseLetter
                or UnicodeCategory.TitlecaseLetter
        || rune.Value
            is 0xAA
                or 0xBA
                or (>= 0x2160 and <= 0x217F)
                or (>= 0x24B6 and <= 0x24E9) // ª º Ⅷ ⓐ
                or (>= 0x1F130 and <= 0x1F149)
                or (>= 0x1F150 and <= 0x1F169)
                or (>= 0x1F170 and <= 0x1F189); // 🄰 🅐 🅰

    private static bool IsCaseIgnorable(Rune rune) =>
        Rune.GetUnicodeCategory(rune)
            is UnicodeCategory.NonSpacingMark
                or UnicodeCategory.EnclosingMark
                or UnicodeCategory.Format
                or UnicodeCategory.ModifierLetter
                or UnicodeCategory.ModifierSymbol
        || rune.Value
            is '\''
                or '.'
                or ':'
                or 0xB7
                or 0x387
                or 0x55F
                or 0x5F4
                or 0x2018
                or 0x2019
                or 0x2024
                or 0x2027
                or 0xFE13
                or 0xFE52
                or 0xFE55
                or 0xFF07
                or 0xFF0E
                or 0xFF1A; // apostrophes, stops and colons that stand within words
}
