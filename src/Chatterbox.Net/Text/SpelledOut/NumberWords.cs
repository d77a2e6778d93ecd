using System.Globalization;
using System.Numerics;
using Chatterbox.Text.Written;

namespace Chatterbox.Text.SpelledOut;

/// <summary>Numbers in words: no "and", no hyphens.</summary>
/// <remarks>Ports standard_number_to_words and _number_to_words of text_norm/number_norm.py.</remarks>
internal static class NumberWords
{
    private static readonly BigInteger TooLarge = BigInteger.Pow(10, 18);

    private static readonly string[] Units = ["", .. EnglishNumbers.Units[1..]]; // zero has no words of its own
    private static readonly string[] Tens = ["", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
    private static readonly string[] Groups = ["", "thousand", "million", "billion", "trillion", "quadrillion"];

    /// <summary>A number as it is read: hundreds up to 3000 as such, and digits where it is too large for words.</summary>
    public static string Of(BigInteger number) =>
        number >= TooLarge ? number.ToString(CultureInfo.InvariantCulture)
        : number.IsZero ? "zero"
        : number % 100 == 0 && number % 1000 != 0 && number < 3000 ? $"{Plain((long)number / 100)} hundred"
        : Plain((long)number);

    /// <summary>A number in words; zero has none.</summary>
    /// <param name="number">Below 10¹⁸.</param>
    public static string Plain(long number) => InGroup(number, 0);

    /// <summary>The value of decimal digits of any script; nothing is zero.</summary>
    public static BigInteger Parse(ReadOnlySpan<char> digits)
    {
        var value = BigInteger.Zero;
        foreach (var digit in digits)
        {
            value = (value * 10) + CharUnicodeInfo.GetDecimalDigitValue(digit);
        }

        return value;
    }

    private static string InGroup(long number, int group)
    {
        var words = new List<string>();
        if (number >= 1000)
        {
            words.Add(InGroup(number / 1000, group + 1));
            number %= 1000;
        }

        var (hundreds, rest) = ((int)(number / 100), (int)(number % 100));
        words.Add(hundreds > 0 ? $"{Units[hundreds]} hundred" : "");
        words.AddRange(rest >= Units.Length ? [Tens[rest / 10], Units[rest % 10]] : [Units[rest]]);
        words.Add(number > 0 ? Groups[group] : "");
        return string.Join(' ', words.Where(word => word.Length > 0));
    }
}
