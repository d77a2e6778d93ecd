namespace Chatterbox.Text.Written;

/// <summary>English numbers as words, as an American reads them.</summary>
internal static class EnglishNumbers
{
    /// <summary>Zero to nineteen.</summary>
    internal static readonly string[] Units =
    [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
    ];

    private static readonly string[] Tens = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];

    private static readonly (long Value, string Name)[] Groups =
    [
        (1_000_000_000_000_000, "quadrillion"),
        (1_000_000_000_000, "trillion"),
        (1_000_000_000, "billion"),
        (1_000_000, "million"),
        (1000, "thousand"),
    ];

    private static readonly Dictionary<string, string> OddOrdinals = new()
    {
        ["one"] = "first",
        ["two"] = "second",
        ["three"] = "third",
        ["five"] = "fifth",
        ["eight"] = "eighth",
        ["nine"] = "ninth",
        ["twelve"] = "twelfth",
    };

    /// <summary>123 is one hundred twenty-three.</summary>
    public static string Cardinal(long number)
    {
        var words = new List<string>();
        foreach (var (value, name) in Groups)
        {
            if (number >= value)
            {
                words.Add($"{BelowThousand((int)(number / value))} {name}");
                number %= value;
            }
        }

        if (number > 0 || words.Count == 0)
        {
            words.Add(BelowThousand((int)number));
        }

        return string.Join(' ', words);
    }

    /// <summary>21 is twenty-first.</summary>
    public static string Ordinal(long number)
    {
        var words = Cardinal(number);
        var at = words.LastIndexOfAny([' ', '-']) + 1;
        var last = words[at..];
        return words[..at]
            + (
                OddOrdinals.TryGetValue(last, out var odd) ? odd
                : last.EndsWith('y') ? last[..^1] + "ieth"
                : last + "th"
            );
    }

    /// <summary>1905 is nineteen oh five, 2024 twenty twenty-four.</summary>
    /// <param name="year">1000 to 2999.</param>
    public static string Year(int year) =>
        (year / 100, year % 100) switch
        {
            (var century, _) when century % 10 == 0 && year % 100 < 10 => Cardinal(year),
            (var century, 0) => $"{Cardinal(century)} hundred",
            (var century, < 10 and var rest) => $"{Cardinal(century)} oh {Cardinal(rest)}",
            (var century, var rest) => $"{Cardinal(century)} {Cardinal(rest)}",
        };

    /// <summary>90 is nineties.</summary>
    public static string Plural(string number) =>
        number.EndsWith('y') ? number[..^1] + "ies"
        : number.EndsWith('x') ? number + "es"
        : number + "s";

    /// <summary>Digits one by one: 007 is zero zero seven.</summary>
    public static string Digits(ReadOnlySpan<char> digits)
    {
        var words = new List<string>();
        foreach (var digit in digits)
        {
            if (char.IsAsciiDigit(digit))
            {
                words.Add(Units[digit - '0']);
            }
        }

        return string.Join(' ', words);
    }

    /// <summary>A number as it is written: 1,234.5 is one thousand two hundred thirty-four point five.</summary>
    public static string Number(string written)
    {
        var (whole, fraction) = written.Replace(",", "", StringComparison.Ordinal).Split('.') switch
        {
            [var before, var after] => (before, after),
            [var before, ..] => (before, ""),
            _ => ("", ""),
        };
        var words =
            whole.Length == 0 ? ""
            : whole.Length > 15 || (whole.Length > 1 && whole[0] == '0') ? Digits(whole)
            : Cardinal(long.Parse(whole, System.Globalization.CultureInfo.InvariantCulture));
        return fraction.Length == 0 ? words : $"{words} point {Digits(fraction)}".TrimStart();
    }

    private static string BelowThousand(int number)
    {
        var rest = number % 100;
        var small =
            rest < 20 ? Units[rest]
            : rest % 10 == 0 ? Tens[rest / 10]
            : $"{Tens[rest / 10]}-{Units[rest % 10]}";
        return number < 100 ? small
            : rest == 0 ? $"{Units[number / 100]} hundred"
            : $"{Units[number / 100]} hundred {small}";
    }
}
