using System.Numerics;
using System.Text.RegularExpressions;

namespace Chatterbox.Text.SpelledOut;

/// <summary>Numbers, amounts, measures, years and ordinals in words.</summary>
/// <remarks>Ports normalize_numbers of text_norm/number_norm.py. Most of its rules change only a word that is all of what they match: a
/// comma behind an ordinal, or a bracket before a pound, leaves the number to the rule for plain ones. Where the reference fails, at
/// amounts such as £.50, the missing number is zero.</remarks>
internal static partial class Numbers
{
    private const string Ender = @"(\.|,|\?|!)?",
        Amount = @"([0-9\.]*[0-9]+)";

    private static readonly Dictionary<char, string> Currencies = new()
    {
        ['$'] = "dollars",
        ['£'] = "pounds",
        ['¥'] = "yen",
        ['€'] = "euros",
    };
    private static readonly Dictionary<string, string> Multiples = new()
    {
        ["B"] = "billion",
        ["K"] = "thousand",
        ["M"] = "million",
        ["T"] = "trillion",
    };

    private static readonly (string Suffix, string Ordinal)[] Ordinals =
    [
        ("one", "first"),
        ("two", "second"),
        ("three", "third"),
        ("five", "fifth"),
        ("eight", "eighth"),
        ("nine", "ninth"),
        ("twelve", "twelfth"),
        ("ty", "tieth"),
    ];

    /// <summary>What each rule makes of a word that is all of its match, in their order.</summary>
    private static readonly (Regex Pattern, Func<GroupCollection, string> InWords)[] Rules =
    [
        OtherCurrency(@"(\(?£)" + Amount + Ender, "pound", "pounds"),
        OtherCurrency(@"(\(?¥)([0-9]+)" + Ender, "yen", "yen"),
        OtherCurrency(@"(\(?€)" + Amount + Ender, "euro", "euros"),
        Measure("ml", "milliliter", "milliliters"),
        Measure("cl", "centiliter", "centiliters"),
        Measure("g", "gram", "grams"),
        Measure("kg", "kilogram", "kilograms"),
        Measure("mm", "millimeter", "millimeters"),
        Measure("cm", "centimeter", "centimeters"),
        Measure("km", "kilometer", "kilometers"),
        Measure("in", "inch", "inches"),
        Measure("ft", "foot", "feet"),
        Measure("l", "liter", "liters"),
        Measure("m", "meter", "meters"),
        Measure("yds?", "yard", "yards"),
        Measure("s[ecs]*", "second", "seconds"),
        (Percentage(), groups => InUnits(groups[1].Value, "%", "percent") + groups[2].Value),
        (Dollars(), InDollars),
        (Numbered(), groups => $"number {groups[2].Value}{groups[3].Value}"),
        (Decimal(), groups => $"{groups[1].Value}{groups[2].Value} point {Fraction(groups[3].Value)}{groups[4].Value}"),
        (Ordinal(), groups => InOrdinals(NumberWords.Of(NumberWords.Parse(groups[1].Value)))),
    ];

    /// <summary>Expands them.</summary>
    public static string Expand(string text)
    {
        text = WithCommas()
            .Replace(text, match => match.Groups[2].Value.Replace(",", "", StringComparison.Ordinal) + match.Groups[3].Value);
        text = Year().Replace(Year().Replace(text, YearInWords), YearInWords); // neighbours share what is between them
        var words = ExpandLargeAmounts(Spaces().Split(text));
        foreach (var (pattern, inWords) in Rules)
        {
            var known = Known(pattern, words, match => inWords(match.Groups));
            words = [.. words.Select(word => known.GetValueOrDefault(word, word))];
        }

        return string.Concat(ExpandPlainNumbers(words));
    }

    private static string YearInWords(Match match)
    {
        var (century, year, after) = (match.Groups[3].Value, match.Groups[4].Value, match.Groups[5].Value);
        var words =
            year[0] == '0'
                ? century == "20"
                    ? century + year
                    : $"{century} oh {year[1]}"
                : $"{NumberWords.Of(NumberWords.Parse(century))} {NumberWords.Of(NumberWords.Parse(year))}";
        return $"{match.Groups[1].Value} {words}{(after.Contains('-', StringComparison.Ordinal) ? " to" : after)}";
    }

    /// <summary>Amounts of thousands and more: $5M, and $5 million, which are two words.</summary>
    private static List<string> ExpandLargeAmounts(string[] words)
    {
        var known = Known(
            LargeAmount(),
            words,
            match =>
            {
                var (amount, letter, name, ender) = (
                    match.Groups[2].Value.Split('.'),
                    match.Groups[3].Value,
                    match.Groups[4].Value,
                    match.Groups[5].Value
                );
                var value = amount.Length > 1 ? $"{amount[0]} point {string.Join(' ', amount[1].AsEnumerable())}" : amount[0];
                var multiple = letter.Length > 0 ? Multiples[letter] : name;
                return $"{value} {multiple} {Currencies[match.Groups[1].Value[^1]]}{ender}";
            }
        );
        var expanded = new List<string>();
        for (var i = 0; i < words.Length; i++)
        {
            if (known.TryGetValue(words[i], out var one))
            {
                expanded.Add(one);
            }
            else if (i + 2 < words.Length && known.TryGetValue(words[i] + words[i + 1] + words[i + 2], out var three))
            {
                expanded.Add(three);
                i += 2;
            }
            else
            {
                expanded.Add(words[i]);
            }
        }

        return expanded;
    }

    /// <summary>Every number that is left. In a word each is replaced where it is the first, in the order in which the text has
    /// them.</summary>
    private static IEnumerable<string> ExpandPlainNumbers(List<string> words)
    {
        var numbers = PlainNumber().Matches(string.Concat(words));
        var places = numbers.Index().ToLookup(number => number.Item.Groups[1].Value, number => number.Index);
        foreach (var word in words)
        {
            var (expanded, next) = (word, 0);
            while (
                AnyDigits().Match(expanded) is { Success: true } first
                && places[first.Value].FirstOrDefault(place => place >= next, -1) is >= 0 and var place
            )
            {
                var groups = numbers[place].Groups;
                expanded = expanded.Replace(
                    numbers[place].Value,
                    NumberWords.Of(NumberWords.Parse(groups[1].Value)) + groups[2].Value,
                    StringComparison.Ordinal
                );
                next = place + 1;
            }

            yield return expanded;
        }
    }

    /// <summary>What a pattern matches in a text, and what it becomes.</summary>
    private static Dictionary<string, string> Known(Regex pattern, IEnumerable<string> words, Func<Match, string> inWords) =>
        pattern.Matches(string.Concat(words)).DistinctBy(match => match.Value).ToDictionary(match => match.Value, inWords);

    private static (Regex Pattern, Func<GroupCollection, string> InWords) OtherCurrency(string pattern, string one, string many)
    {
        return (new Regex(pattern), InWords);

        string InWords(GroupCollection groups)
        {
            var parts = groups[2].Value.Split('.');
            parts[0] = parts[0].Length > 0 ? parts[0] : "zero";
            var unit = parts[0].TrimStart('0') == "1" ? one : many;
            return parts.Length > 1 ? $"{parts[0]} {unit} {parts[1]}" : $"{parts[0]} {unit}";
        }
    }

    private static (Regex Pattern, Func<GroupCollection, string> InWords) Measure(string unit, string one, string many) =>
        (new Regex($"{Amount}({unit}){Ender}"), groups => InUnits(groups[1].Value, one, many) + groups[3].Value);

    private static string InUnits(string amount, string one, string many) =>
        amount.Split('.') switch
        {
            [var whole] => $"{whole} {(whole == "1" ? one : many)}",
            [var whole, var fraction, ..] => $"{whole} point {string.Concat(fraction.Select(digit => $"{digit} "))}{many}",
            _ => amount,
        };

    private static string InDollars(GroupCollection groups)
    {
        var parts = groups[2].Value.Replace(",", "", StringComparison.Ordinal).Split('.');
        var (dollars, cents) = (NumberWords.Parse(parts[0]), parts.Length > 1 ? NumberWords.Parse(parts[1]) : BigInteger.Zero);
        string[] amounts =
        [
            .. dollars.IsZero ? [] : new[] { $"{dollars} {(dollars.IsOne ? "dollar" : "dollars")}" },
            .. cents.IsZero ? [] : new[] { $"{cents} {(cents.IsOne ? "cent" : "cents")}" },
        ];
        return (amounts.Length == 0 ? "zero dollars" : string.Join(", ", amounts)) + groups[3].Value;
    }

    /// <summary>Digits behind a point, one by one; zeros at the beginning in words.</summary>
    private static string Fraction(string digits)
    {
        var zeros = digits.Length - digits.TrimStart('0').Length;
        return string.Join(' ', digits.Select((digit, place) => place < zeros ? "zero" : $"{digit}"));
    }

    private static string InOrdinals(string number)
    {
        var (suffix, ordinal) = Ordinals.FirstOrDefault(
            rule => number.EndsWith(rule.Suffix, StringComparison.Ordinal),
            (Suffix: "", Ordinal: "th")
        );
        return number[..^suffix.Length] + ordinal;
    }

    [GeneratedRegex(@"(\s+)")]
    private static partial Regex Spaces();

    [GeneratedRegex(@"(\(?[A-Z]{2,3})?([$|£¥€#(]*[0-9][0-9,.]+[0-9])([^\s]+)?")]
    private static partial Regex WithCommas();

    [GeneratedRegex(
        @"([tT][oO]|[yY][eE][aA][rR][sS]|[yY][eE][aA][rR]|[fF][rR][oO][mM]|[aA][fF][tT][eE][rR]|[bB][eE][fF][oO][rR][eE]|[bB][yY]|[uU][nN][tT][iIıİ][lL]"
            + @"|[iIıİ][nN]|[sS][iIıİ][nN][cC][eE]|[aA][rR][oO][uU][nN][dD]|[cC][iIıİ][rR][cC][aA]|[dD][uU][rR][iIıİ][nN][gG])(\s)?(1[1-9]|20)([0-9]{2})($|-|\s-|\D)"
    )]
    private static partial Regex Year();

    [GeneratedRegex(@"(\(?[$£¥€])([0-9]*\.?[0-9]+)(?:([BKMT])|(?:\s([BMbmTtr]+illion)))([.,?!)]+)?")]
    private static partial Regex LargeAmount();

    [GeneratedRegex("([0-9]{1,3})%([.,?!])?")]
    private static partial Regex Percentage();

    [GeneratedRegex(@"(\(?\$)([0-9,]*\.?[0-9]+)([.|,?!)]+)?")]
    private static partial Regex Dollars();

    [GeneratedRegex(@"(#)([0-9]+(?:\.[0-9]+)?)(\.|,|\?|!)?")]
    private static partial Regex Numbered();

    [GeneratedRegex(@"(number\s)?([0-9]+)\.([0-9]+)(\.|,|\?|!)?")]
    private static partial Regex Decimal();

    [GeneratedRegex("([0-9]+)(st|nd|rd|th)")]
    private static partial Regex Ordinal();

    [GeneratedRegex(@"([0-9]+)(\.|,|\?|!)?")]
    private static partial Regex PlainNumber();

    [GeneratedRegex(@"\d+")]
    private static partial Regex AnyDigits();
}
