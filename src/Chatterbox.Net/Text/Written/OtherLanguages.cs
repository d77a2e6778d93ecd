using System.Globalization;
using System.Text.RegularExpressions;
using Humanizer;

namespace Chatterbox.Text.Written;

/// <summary>Numbers, percentages, euros and ordinals in languages other than English: those whose form does not depend on more than stands
/// there. Everything else stays as it is written.</summary>
internal static partial class OtherLanguages
{
    private static readonly Dictionary<string, Spelling> Spellings = new()
    {
        ["de"] = new("de", '.', "Komma", "{0} Prozent", "Euro", "Euro", "{0} {1}", 1_000_000_000_000, n => n % 100 == 1)
        {
            One = "ein",
            YearsByHundreds = "hundert",
        },
        ["fr"] = new(
            "fr",
            ' ',
            "virgule",
            "{0} pour cent",
            "euro",
            "euros",
            "{0} {1}",
            1_000_000_000_000,
            n => n % 10 == 1 && n % 100 is not (11 or 71 or 91)
        )
        {
            One = "un",
            Ordinals = FrenchOrdinal(),
        },
        ["es"] = new(
            "es",
            '.',
            "coma",
            "{0} por ciento",
            "euro",
            "euros",
            "{0} con {1}",
            1_000_000_000_000,
            n => (n % 10 == 1 && n % 100 != 11) || n % 1000 is >= 200
        )
        {
            One = "un",
            Ordinals = RomanceOrdinal(),
        },
        ["it"] = new("it", '.', "virgola", "{0} per cento", "euro", "euro", "{0} e {1}", 1_000_000_000, n => n == 1)
        {
            One = "un",
            Ordinals = RomanceOrdinal(),
        },
        ["pt"] = new(
            "pt",
            '.',
            "vírgula",
            "{0} por cento",
            "euro",
            "euros",
            "{0} e {1}",
            1_000_000_000,
            n => (n % 10 is 1 or 2 && n % 100 is not (11 or 12)) || n % 1000 is >= 200
        )
        {
            One = "um",
            Other = "pt-BR",
            Ordinals = RomanceOrdinal(),
        },
        ["nl"] = new("nl", '.', "komma", "{0} procent", "euro", "euro", "{0} {1}", 1_000_000_000_000, n => n == 1)
        {
            One = "een",
            YearsByHundreds = "honderd",
            Ordinals = DutchOrdinal(),
        },
        ["sv"] = new("sv", ' ', "komma", "{0} procent", "euro", "euro", null, 1_000_000, n => n % 10 == 1 && n % 100 != 11)
        {
            One = "en",
            YearsByHundreds = "hundra",
        },
        ["no"] = new("nb", ' ', "komma", "{0} prosent", "euro", "euro", null, 1_000_000, n => n % 10 == 1 && n % 100 != 11) { One = "en" },
        ["tr"] = new("tr", '.', "virgül", "yüzde {0}", "euro", "euro", null, 1_000_000_000_000, _ => false) { One = "bir" },
    };

    /// <summary>Writes out what is known to be right.</summary>
    public static string Say(string text, string language)
    {
        if (!Spellings.TryGetValue(language, out var spelling))
        {
            return text;
        }

        text = spelling.Ordinals?.Replace(text, match => spelling.Ordinal(match) ?? match.Value) ?? text;
        return Figure().Replace(text, match => spelling.Say(match, text) ?? match.Value);
    }

    // A number by itself: not part of a date, a time, a version, a telephone number, a range or a word.
    [GeneratedRegex(
        @"(?<![\p{L}\d_.,:/+#$£¥@%-])(?<!\d[\s\u00A0\u202F])(?<sign>[-−](?=[0-9]))?(?<euro>€\s?)?(?<whole>[0-9]{1,3}(?:[.\u00A0\u202F ][0-9]{3}(?!\d)){1,4}|[0-9]{1,15})(?:,(?<fraction>[0-9]{1,6}))?(?![\p{L}\d_:/+°^@-]|[.,]\d|[\s\u00A0\u202F]\d)"
            + @"(?:[\s\u00A0\u202F]?(?:(?<percent>%)|(?<euro>€|EUR\b)))?(?<stop>\.)?(?<word>[ \u00A0]\p{L})?"
    )]
    private static partial Regex Figure();

    [GeneratedRegex(@"(?<![\p{L}\d.,])(?<n>[0-9]{1,3})(?<suffix>er|re|e|ème|ère)(?![\p{L}\d])")]
    private static partial Regex FrenchOrdinal();

    [GeneratedRegex(@"(?<![\p{L}\d.,])(?<n>[0-9]{1,3})\.?(?<suffix>[ºª])(?![\p{L}\d])")]
    private static partial Regex RomanceOrdinal();

    [GeneratedRegex(@"(?<![\p{L}\d.,])(?<n>[0-9]{1,3})(?<suffix>e|de|ste)(?![\p{L}\d])")]
    private static partial Regex DutchOrdinal();

    /// <summary>How a language writes and reads numbers.</summary>
    /// <param name="Culture">Its name.</param>
    /// <param name="Grouping">What stands between thousands: a full stop, or a space of any kind.</param>
    /// <param name="Comma">The decimal comma in words.</param>
    /// <param name="Percent">A percentage.</param>
    /// <param name="Euro">One euro.</param>
    /// <param name="Euros">Several.</param>
    /// <param name="EurosAndCents">An amount with cents; null leaves it as it is.</param>
    /// <param name="Limit">Numbers from here on stay as they are.</param>
    /// <param name="Agrees">Whether the form of a number depends on the noun behind it.</param>
    private sealed record Spelling(
        string Culture,
        char Grouping,
        string Comma,
        string Percent,
        string Euro,
        string Euros,
        string? EurosAndCents,
        long Limit,
        Func<long, bool> Agrees
    )
    {
        /// <summary>One, before a unit.</summary>
        public required string One { get; init; }

        /// <summary>Another name under which numbers must be the same.</summary>
        public string? Other { get; init; }

        /// <summary>The word for hundred where 1999 is read by hundreds; null where such numbers are read as any other.</summary>
        public string? YearsByHundreds { get; init; }

        /// <summary>How ordinals are written; null where they stay as they are.</summary>
        public Regex? Ordinals { get; init; }

        /// <summary>An ordinal in words.</summary>
        public string? Ordinal(Match match)
        {
            var number = int.Parse(match.Groups["n"].Value, CultureInfo.InvariantCulture);
            var feminine = match.Groups["suffix"].Value is "ª" or "re" or "ère";
            return number == 0
                ? null
                : number.ToOrdinalWords(feminine ? GrammaticalGender.Feminine : GrammaticalGender.Masculine, new NamedCulture(Culture));
        }

        /// <summary>A number in words, with what belongs to it.</summary>
        public string? Say(Match match, string text)
        {
            var (whole, fraction) = (match.Groups["whole"].Value, match.Groups["fraction"].Value);
            if (whole.Any(c => !char.IsAsciiDigit(c) && (Grouping == ' ' ? c == '.' : c != Grouping)) || !IsNumber(whole, out var number))
            {
                return null;
            }

            // Euros and percent are masculine where that is told apart.
            var (percent, euro) = (match.Groups["percent"].Success, match.Groups["euro"].Success);
            var follows = match.Groups["word"].Success;
            var isOrdinal =
                match.Groups["stop"].Success
                && !percent
                && !euro
                && fraction.Length == 0
                && (follows || match.Index + match.Length == text.Length)
                && number < 100;
            var agrees = fraction.Length == 0 && Agrees(number) && (percent || euro ? number > 1 && number % 10 == 1 : follows);
            if (isOrdinal || agrees)
            {
                return null;
            }

            var words =
                percent || euro
                    ? number == 1 && fraction.Length == 0
                        ? One
                        : Words(number)
                    : IsYear(number, whole)
                        ? Year(number)
                        : Words(number);
            if (words is null)
            {
                return null;
            }

            var sign = match.Groups["sign"].Success ? Words(-1)![..Words(-1)!.IndexOf(' ')] + " " : "";
            var amount =
                euro ? Amount(number, words, fraction)
                : fraction.Length == 0 ? words
                : $"{words} {Comma} {string.Join(' ', fraction.Select(digit => Words(digit - '0')))}";
            return amount is null
                ? null
                : sign
                    + (percent ? string.Format(CultureInfo.InvariantCulture, Percent, amount) : amount)
                    + match.Groups["stop"].Value
                    + match.Groups["word"].Value;
        }

        private string? Amount(long euros, string words, string cents)
        {
            var amount = $"{words} {(euros == 1 ? Euro : Euros)}";
            return cents.Length switch
            {
                0 => amount,
                2 when cents == "00" => amount,
                2 when EurosAndCents is not null && Words(int.Parse(cents, CultureInfo.InvariantCulture)) is { } rest => string.Format(
                    CultureInfo.InvariantCulture,
                    EurosAndCents,
                    amount,
                    rest
                ),
                _ => null,
            };
        }

        private bool IsNumber(string whole, out long number)
        {
            var digits = string.Concat(whole.Where(char.IsAsciiDigit));
            number = long.Parse(digits, CultureInfo.InvariantCulture);
            return number < Limit && (digits.Length == 1 || digits[0] != '0');
        }

        private bool IsYear(long number, string whole) => YearsByHundreds is not null && number is >= 1100 and < 2000 && whole.Length == 4;

        private string? Year(long number) => Words(number / 100) + YearsByHundreds + (number % 100 == 0 ? "" : Words(number % 100));

        private string? Words(long number)
        {
            var words = number.ToWords(new NamedCulture(Culture));
            return Other is null || number.ToWords(new NamedCulture(Other)) == words ? words : null;
        }
    }

    /// <summary>A culture by its name alone: it exists also where a program runs without the data of cultures.</summary>
    private sealed class NamedCulture(string name) : CultureInfo("")
    {
        public override string Name => name;
    }
}
