using System.Globalization;
using System.Text.RegularExpressions;
using static Chatterbox.Text.Written.EnglishNumbers;
using static Chatterbox.Text.Written.EnglishPlaces;

namespace Chatterbox.Text.Written;

/// <summary>What begins with a digit, in words.</summary>
internal static partial class EnglishFigures
{
    /// <summary>A number as it is written.</summary>
    public const string N = @"(?:(?:\d{1,3}(?:,\d{3}){1,5}(?!\d)|\d{1,15}(?!\d))(?:\.\d{1,15}(?!\d))?)";

    /// <summary>The end of a number or word.</summary>
    public const string End = @"(?![\p{L}\d])";

    private const string Half = @"(?:\s?(?<half>[AaPp])(?:\.[Mm]\.?|[Mm])(?![\p{L}\d]))";

    private static readonly string[] Months =
    [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];

    /// <summary>Words after which a number of four digits is a year, also where it is not of our time.</summary>
    private static readonly HashSet<string> BeforeYear =
    [
        .. (
            "in since from to until till by of circa ca. c. around before after late early mid year and between during spring summer "
            + "autumn fall winter "
            + "january february march april may june july august september october november december born died"
        ).Split(' '),
    ];

    private static readonly Dictionary<int, string> Parts = new()
    {
        [2] = "half",
        [3] = "third",
        [4] = "quarter",
        [5] = "fifth",
        [6] = "sixth",
        [7] = "seventh",
        [8] = "eighth",
        [10] = "tenth",
        [16] = "sixteenth",
        [32] = "thirty-second",
    };

    private static readonly Dictionary<char, (int Part, int Of)> Fractions = new()
    {
        ['½'] = (1, 2),
        ['⅓'] = (1, 3),
        ['⅔'] = (2, 3),
        ['¼'] = (1, 4),
        ['¾'] = (3, 4),
        ['⅕'] = (1, 5),
        ['⅖'] = (2, 5),
        ['⅗'] = (3, 5),
        ['⅘'] = (4, 5),
        ['⅙'] = (1, 6),
        ['⅚'] = (5, 6),
        ['⅛'] = (1, 8),
        ['⅜'] = (3, 8),
        ['⅝'] = (5, 8),
        ['⅞'] = (7, 8),
    };

    /// <summary>A pattern of the names of months.</summary>
    public const string Month =
        "(?<month>January|February|March|April|May|June|July|August|September|October|November|December|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept|Sep|Oct|Nov|Dec)";

    /// <summary>The rules, the more special ones first.</summary>
    public static IReadOnlyList<EnglishRule> Rules { get; } =
    [
        .. EnglishAddresses.Rules,
        EnglishRule.Of(@"(?:1[ .-])?(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}(?!\d|[.-]\d)", m => Telephone(m.Value)),
        EnglishRule.Of(@"[2-9]\d{2}-\d{4}(?!\d|[.-]\d)", m => m.Value.EndsWith("00", StringComparison.Ordinal) ? null : Telephone(m.Value)),
        EnglishRule.Of(
            @"(?<y>\d{4})-(?<m>\d{2})-(?<d>\d{2})(?:T(?<hour>\d{2}):(?<minute>\d{2})(?::\d{2}(?:\.\d{1,9})?)?(?<zone>Z)?)?(?!\d|-\d)",
            IsoDate
        ),
        EnglishRule.Of(@"(?<m>\d{1,2})/(?<d>\d{1,2})/(?<y>\d{4}|\d{2})(?!\d|/\d)", m => Date(m) ?? Swapped(m)),
        EnglishRule.Of(@"(?<d>\d{1,2})\.(?<m>\d{1,2})\.(?<y>\d{4})(?!\d|\.\d)", Date),
        EnglishRule.Of(
            $@"(?<d>\d{{1,2}})(?:st|nd|rd|th)?(?: of)? {Month}(?:(?<dot>\.)|(?!\p{{L}}))(?:,? (?<y>[12]\d{{3}})(?![\d,]\d|\d))?",
            DayOfMonth
        ),
        EnglishRule.Of($@"(?<hour>\d{{1,2}}):(?<minute>\d{{2}})(?::(?<second>\d{{2}}))?(?!\d|:\d){Half}?", Time),
        EnglishRule.Of($@"(?<hour>\d{{1,2}}){Half}", Time),
        EnglishRule.Of(
            @"\d{1,5}(?:\.\d{1,5}){2,6}(?!\d|\.\d)",
            m => string.Join(m.Value.Count(c => c == '.') == 3 ? " dot " : " point ", m.Value.Split('.').Select(Number))
        ),
        EnglishRule.Of(@"\d{1,6}(?:-\d{1,6}){2,8}(?!\d|-\d)", m => Telephone(m.Value)),
        EnglishRule.Of(@"(?<y>[12]\d{2}0|[2-9]0)s(?!\p{L}|\d)", m => Decade(m.Groups["y"].Value)),
        EnglishRule.Of(
            $@"(?<n>{N})\s?(?<scale>thousand|million|billion|trillion)?\s?(?<sign>{EnglishUnits.CurrencyNames}){End}",
            m => Money(m)
        ),
        EnglishRule.Of($@"(?<n>{N})\s?¢", m => $"{Number(m.Groups["n"].Value)} {(m.Groups["n"].Value == "1" ? "cent" : "cents")}"),
        EnglishRule.Of($@"(?<n>{N})(?:\s?[-–—]\s?(?<to>{N}))?\s?%", m => $"{Range(m)} percent"),
        EnglishRule.Of(
            $@"(?<n>{N})(?:\s?[-–—]\s?(?<to>{N}))?\s?°\s?(?<scale>[CF])?{End}",
            m =>
                $"{Range(m)} degree{(m.Groups["n"].Value == "1" ? "" : "s")}{m.Groups["scale"].Value switch { "C" => " Celsius", "F" => " Fahrenheit", _ => "" }}"
        ),
        EnglishRule.Of(
            $@"(?<n>{N})\s?[x×]\s?(?<by>{N})(?:\s?[x×]\s?(?<third>{N}))?(?!\p{{L}}|\d)(?:\s?(?<unit>cm|mm|km|m|ft|in|px){End})?",
            Dimensions
        ),
        EnglishRule.Of(
            $@"(?<n>{N})(?:\s?[-–—]\s?(?<to>{N}))?(?<gap>[ \u00A0-]?)(?<unit>{EnglishUnits.Pattern})(?:/(?<per>{EnglishUnits.Pattern}))?{End}",
            Measure
        ),
        EnglishRule.Of(
            $@"(?<n>{N})(?<scale>k|M|bn){End}",
            m => $"{Number(m.Groups["n"].Value)} {m.Groups["scale"].Value switch { "k" => "thousand", "M" => "million", _ => "billion" }}"
        ),
        EnglishRule.Of($@"(?<n>\d{{1,3}}(?:,\d{{3}}){{1,4}}|\d{{1,12}})(?:st|nd|rd|th){End}", m => Ordinal(Whole(m.Groups["n"].Value))),
        EnglishRule.Of(@"(?<n>[12]\d{3})\s?[-–—/]\s?(?<to>[12]\d{3}|\d{2})(?![\d,]\d|\d|[-%])", Years),
        EnglishRule.Of(@"24/7(?!\d|/\d)", _ => "twenty-four seven"),
        EnglishRule.Of(@"9/11(?!\d|/\d)", _ => "nine eleven"),
        EnglishRule.Of(
            @"(?<n>\d{1,4}) (?<part>\d{1,2})/(?<of>\d{1,2})(?!\d|/\d)",
            m => Part(m) is { } part ? $"{Number(m.Groups["n"].Value)} and {part}" : null
        ),
        EnglishRule.Of(
            @"(?<part>\d{1,4})/(?<of>\d{1,4})(?!\d|/\d)",
            m => Part(m) ?? $"{Number(m.Groups["part"].Value)} over {Number(m.Groups["of"].Value)}"
        ),
        EnglishRule.Of(
            @"(?<n>\d{1,9})\s?(?<fraction>[½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞])",
            m => $"{Number(m.Groups["n"].Value)} and {Fraction(m.Groups["fraction"].Value[0], "a ")}"
        ),
        EnglishRule.Of(@"(?<n>\d{1,4}):(?<to>\d{1,4})(?!\d|:\d)", Range),
        EnglishRule.Of($@"(?<n>{N})(?:\s?[–—]\s?|-)(?<to>{N})(?!-?\d)", Range),
        EnglishRule.Of(
            $@"(?<n>{N})\s?\^\s?(?<power>\d{{1,4}})(?!\d)",
            m => $"{Number(m.Groups["n"].Value)} {Power(m.Groups["power"].Value)}"
        ),
        EnglishRule.Of(
            $@"(?<n>{N})(?<power>[²³])",
            m => $"{Number(m.Groups["n"].Value)} {(m.Groups["power"].Value == "²" ? "squared" : "cubed")}"
        ),
        EnglishRule.Of(@"[12]\d{3}(?!\d|[.,]\d|%)", SingleYear),
        EnglishRule.Of(N, m => Number(m.Value)),
        EnglishRule.Of(@"\d{1,40}", m => Digits(m.Value)),
    ];

    /// <summary>A day of the month in words, with the year where there is one.</summary>
    /// <param name="month">1 to 12.</param>
    /// <param name="day">The day.</param>
    /// <param name="year">Four digits; null for none.</param>
    public static string MonthDay(int month, int day, string? year) =>
        $"{Months[month - 1]} {Ordinal(day)}{(year is null ? "" : ", " + YearOrNumber(year))}";

    /// <summary>The number of a month; its name may be shortened.</summary>
    public static int MonthNumber(string name) =>
        Array.FindIndex(Months, month => month.StartsWith(name[..3], StringComparison.Ordinal)) + 1;

    /// <summary>The full name of a month; it may be shortened.</summary>
    public static string MonthName(string name) => Months[MonthNumber(name) - 1];

    /// <summary>A number of four digits as a year.</summary>
    public static string YearOrNumber(string digits) =>
        digits.Length == 4 && digits[0] is '1' or '2' ? Year(Value(digits)) : Number(digits);

    /// <summary>A part of one, in words: ½ is one half, or a half after a whole number.</summary>
    public static string Fraction(char fraction, string one)
    {
        var (part, of) = Fractions[fraction];
        return Part(part, of, one);
    }

    /// <summary>Digits in groups, as telephone numbers are read.</summary>
    public static string Telephone(string digits) => string.Join(", ", Groups().Matches(digits).Select(group => Digits(group.Value)));

    /// <summary>What is behind a caret, in words.</summary>
    public static string Power(string power) =>
        power switch
        {
            "2" => "squared",
            "3" => "cubed",
            _ => $"to the power of {Number(power)}",
        };

    private static string Money(Match m) => EnglishUnits.Money(m.Groups["sign"].Value, m.Groups["n"].Value, m.Groups["scale"].Value);

    private static string Range(Match m) =>
        m.Groups["to"].Success ? $"{Number(m.Groups["n"].Value)} to {Number(m.Groups["to"].Value)}" : Number(m.Groups["n"].Value);

    private static string? IsoDate(Match m, string text)
    {
        var date = Date(m);
        return date is null || !m.Groups["hour"].Success ? date
            : Time(m, text) is { } time ? $"{date}, {time}{(m.Groups["zone"].Success ? " UTC" : "")}"
            : null;
    }

    private static string? Date(Match m) => Date(m.Groups["m"].Value, m.Groups["d"].Value, m.Groups["y"].Value);

    private static string? Swapped(Match m) => Date(m.Groups["d"].Value, m.Groups["m"].Value, m.Groups["y"].Value);

    private static string? Date(string month, string day, string year) =>
        Value(month) is >= 1 and <= 12 && Value(day) is >= 1 and <= 31
            ? MonthDay(Value(month), Value(day), year.Length == 2 ? (Value(year) < 70 ? "20" : "19") + year : year)
            : null;

    private static string? DayOfMonth(Match m, string text)
    {
        if (Value(m.Groups["d"].Value) is not (>= 1 and <= 31))
        {
            return null;
        }

        var year = m.Groups["y"];
        var the = WordBefore(text, m.Index) is "the" or "The" ? "" : "the ";
        var stop = m.Groups["dot"].Success && !year.Success && EndsSentence(text, m.Index + m.Length) ? "." : "";
        return $"{the}{Ordinal(Value(m.Groups["d"].Value))} of "
            + $"{MonthName(m.Groups["month"].Value)}{(year.Success ? $" {YearOrNumber(year.Value)}" : "")}{stop}";
    }

    private static string? Time(Match m, string text)
    {
        var (hour, minute, second) = (Value(m.Groups["hour"].Value), m.Groups["minute"], m.Groups["second"]);
        var half = m.Groups["half"];
        if (hour > 24 || (half.Success && hour is 0 or > 12) || (minute.Success && Value(minute.Value) > 59))
        {
            return null;
        }

        var minutes =
            !minute.Success ? ""
            : Value(minute.Value) is var value && value == 0
                ? half.Success ? ""
                    : hour is >= 1 and <= 12 ? " o'clock"
                    : " hundred hours"
            : value < 10 ? $" oh {Cardinal(value)}"
            : $" {Cardinal(value)}";
        var seconds = second.Success ? $" and {Cardinal(Value(second.Value))} seconds" : "";
        var stop = half.Success && m.Value[^1] == '.' && EndsSentence(text, m.Index + m.Length) ? "." : "";
        return $"{Cardinal(hour)}{minutes}{seconds}{(half.Success ? $" {half.Value.ToUpperInvariant()}M" : "")}{stop}";
    }

    private static string Decade(string digits) =>
        digits.Length == 2 ? Plural(Cardinal(Value(digits)))
        : Value(digits) is var year && year % 1000 == 0 ? $"{Cardinal(year / 1000)} thousands"
        : year % 100 == 0 ? $"{Cardinal(year / 100)} hundreds"
        : $"{Cardinal(year / 100)} {Plural(Cardinal(year % 100))}";

    private static string Dimensions(Match m)
    {
        var last = m.Groups["third"].Success ? m.Groups["third"].Value : m.Groups["by"].Value;
        var third = m.Groups["third"].Success ? $" by {Number(last)}" : "";
        var unit = m.Groups["unit"].Success ? $" {EnglishUnits.Say(m.Groups["unit"].Value, last, isApart: false)}" : "";
        return $"{Number(m.Groups["n"].Value)} by {Number(m.Groups["by"].Value)}{third}{unit}";
    }

    private static string? Measure(Match m, string text)
    {
        var gap = m.Groups["gap"].Value;
        var number = m.Groups["to"].Success ? m.Groups["to"].Value : m.Groups["n"].Value;
        var unit = m.Groups["unit"].Value;
        if (EnglishUnits.Say(unit, gap == "-" ? "1" : number, gap.Length > 0) is not { } words)
        {
            return null;
        }

        // 5 in. at the end of a sentence: the stop is the sentence's.
        var stop = unit.EndsWith('.') && EndsSentence(text, m.Index + m.Length) ? "." : "";
        return $"{Range(m)}{(gap == "-" ? "-" : " ")}{words}{(m.Groups["per"].Success ? $" per {EnglishUnits.SayOne(m.Groups["per"].Value)}" : "")}{stop}";
    }

    private static string? Part(Match m)
    {
        var (part, of) = (Value(m.Groups["part"].Value), Value(m.Groups["of"].Value));
        return part > 0 && part < of && Parts.ContainsKey(of) ? Part(part, of, m.Groups["n"].Success ? "a " : "one ") : null;
    }

    private static string Part(int part, int of, string one) =>
        part == 1 ? one + Parts[of] : $"{Cardinal(part)} {(of == 2 ? "halves" : Parts[of] + "s")}";

    private static string? Years(Match m)
    {
        var (from, to) = (m.Groups["n"].Value, m.Groups["to"].Value);
        if (Value(from) is not (>= 1100 and <= 2099))
        {
            return null;
        }

        return to.Length == 4
            ? Value(to) is >= 1100 and <= 2099 && Value(to) > Value(from)
                ? $"{Year(Value(from))} to {Year(Value(to))}"
                : null
            : Value(to) > Value(from[2..])
                ? $"{Year(Value(from))} to {(to[0] == '0' ? $"oh {Cardinal(Value(to))}" : Cardinal(Value(to)))}"
                : null;
    }

    private static string? SingleYear(Match m, string text) =>
        Value(m.Value) is var year
        && (
            year is >= 1900 and <= 2099
            || (
                year is >= 1000 and <= 1899
                && (BeforeYear.Contains(WordBefore(text, m.Index).ToLowerInvariant()) || IsEra(text, m.Index + m.Length))
            )
        )
            ? Year(year)
            : null;

    private static bool IsEra(string text, int at) => Era().IsMatch(text, at);

    private static int Value(string digits) => int.Parse(digits, CultureInfo.InvariantCulture);

    private static long Whole(string number) => long.Parse(number.Replace(",", "", StringComparison.Ordinal), CultureInfo.InvariantCulture);

    [GeneratedRegex(@"\d{1,40}")]
    private static partial Regex Groups();

    [GeneratedRegex(@"\G\s?(?:AD|BC|BCE|CE|A\.D\.|B\.C\.)")]
    private static partial Regex Era();
}
