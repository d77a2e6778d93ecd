using System.Text.RegularExpressions;

namespace Chatterbox.Text.SpelledOut;

/// <summary>Telephone numbers digit by digit: 555-1234 is "five five five, one two three four".</summary>
/// <remarks>Ports convert_phone_numbers_to_words of text_norm/phone_norm.py, which takes any number of 6 to 13 digits for one. A hyphen
/// at an end, on which the reference fails, is no year's.</remarks>
internal static partial class PhoneNumbers
{
    private const string Characters = "0123456789.+-()[] ",
        Enders = ".!?,;";
    private const int FewestDigits = 6,
        MostDigits = 13;

    private static readonly string[] Digits = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];

    /// <summary>Expands them.</summary>
    public static string Expand(string text) =>
        WithoutLetters()
            .Replace(
                text,
                match =>
                {
                    var number = match.Value.TrimEnd(Enders.ToCharArray());
                    return IsPhoneNumber(number) ? InWords(number) + match.Value[number.Length..] : match.Value;
                }
            );

    private static bool IsPhoneNumber(string text) =>
        text.All(Characters.Contains)
        && text.Count(c => c == '.') != 1
        && text.Count(char.IsAsciiDigit) is >= FewestDigits and <= MostDigits
        && !IsYears(text);

    /// <summary>True for two years with a hyphen between them.</summary>
    private static bool IsYears(string text) =>
        !text.Contains('+', StringComparison.Ordinal)
        && !text.Contains('.', StringComparison.Ordinal)
        && text.Split('-') is { Length: 2 } parts
        && parts.Select(part => string.Concat(part.Where(char.IsAsciiDigit))).All(digits => digits.Length == 4 && digits[0] is '1' or '2');

    private static string InWords(string text)
    {
        var groups = DigitRuns().Matches(text).SelectMany(run => run.Length > 4 ? Grouped(run.Value, last: 4) : [run.Value]);
        var words = string.Join(", ", groups.Select(group => string.Join(' ', group.Select(digit => Digits[digit - '0']))));
        return $"{(text[0] == ' ' ? " " : "")}{words}{(text[^1] == ' ' ? " " : "")}";
    }

    /// <summary>Digits as they are spoken in one breath: up to four at the end, threes before them.</summary>
    private static IEnumerable<string> Grouped(string digits, int last) =>
        digits.Length == 0 ? []
        : digits.Length <= last ? [digits]
        : digits.Length == 5 ? [digits[..2], digits[2..]]
        : digits.Length == 8 ? [digits[..2], digits[2..5], digits[5..]]
        : [.. Grouped(digits[..^last], last: 3), digits[^last..]];

    [GeneratedRegex(@"\s?[^a-zA-Z]+\s?")]
    private static partial Regex WithoutLetters();

    [GeneratedRegex("[0-9]+")]
    private static partial Regex DigitRuns();
}
