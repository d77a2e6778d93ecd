using System.Text.RegularExpressions;
using static Chatterbox.Text.Written.EnglishPlaces;

namespace Chatterbox.Text.Written;

/// <summary>Signs in words.</summary>
internal static class EnglishSigns
{
    private const string N = EnglishFigures.N;

    /// <summary>What stands between two numbers.</summary>
    private static readonly Dictionary<string, string> Between = new()
    {
        ["+"] = "plus",
        ["="] = "equals",
        ["×"] = "times",
        ["*"] = "times",
        ["÷"] = "divided by",
        ["<"] = "is less than",
        [">"] = "is greater than",
        ["≤"] = "is at most",
        ["≥"] = "is at least",
        ["≈"] = "is about",
        ["±"] = "plus or minus",
        ["−"] = "minus",
        ["≠"] = "is not",
        ["/"] = "over",
        ["<="] = "is at most",
        [">="] = "is at least",
    };

    /// <summary>The rules.</summary>
    public static IReadOnlyList<EnglishRule> Rules { get; } =
    [
        EnglishRule.Of(
            @"\+\d{1,3}(?:[ .-]?\(?\d{1,4}\)?){2,6}(?!\d)",
            (m, text) => NumberPrecedes(text, m.Index) ? null : "plus " + EnglishFigures.Telephone(m.Value)
        ),
        EnglishRule.Of(@"\(\d{3}\) ?\d{3}[ .-]\d{4}(?!\d|[.-]\d)", m => EnglishFigures.Telephone(m.Value)),
        EnglishRule.Of(
            $@"(?<sign>{EnglishUnits.CurrencySigns})\s?(?<n>{N})(?:\s?[-–—]\s?(?:\k<sign>)?(?<to>{N}))?(?:\s?(?<scale>[KkMmBT]|bn|mn|thousand|million|billion|trillion){EnglishFigures.End})?(?:/(?<per>{EnglishUnits.Pattern}){EnglishFigures.End})?",
            Amount
        ),
        EnglishRule.Of(
            @"['’](?<y>\d0)s(?![\p{L}\d])",
            m =>
                EnglishNumbers.Plural(
                    EnglishNumbers.Cardinal(int.Parse(m.Groups["y"].Value, System.Globalization.CultureInfo.InvariantCulture))
                )
        ),
        EnglishRule.Of(
            @"\s?[-–—]\s?(?=\d{1,2}(?::\d{2}(?!\d)|\s?[AaPp]\.?[Mm]))",
            (m, text) => m.Index > 0 && text[m.Index - 1] is 'm' or 'M' or '.' or (>= '0' and <= '9') ? " to " : null
        ),
        EnglishRule.Of(@"#(?=\d)", _ => "number "),
        EnglishRule.Of(@"#(?=\p{L})", (m, text) => BeginsWord(text, m.Index) ? "hashtag " : null),
        EnglishRule.Of(@"@(?=[\p{L}\d_])", (m, text) => BeginsWord(text, m.Index) ? "at " : null),
        EnglishRule.Of(@"\s?&\s?(?=[\p{L}\d])", (m, text) => m.Index > 0 && char.IsLetterOrDigit(text[m.Index - 1]) ? " and " : null),
        EnglishRule.Of(@"&(?= )", (m, text) => m.Index > 0 && text[m.Index - 1] == ' ' ? "and" : null),
        EnglishRule.Of(
            @"[-−](?=[\d$£€¥]|\.\d)",
            (m, text) => m.Index == 0 || char.IsWhiteSpace(text[m.Index - 1]) || text[m.Index - 1] is '(' or '[' or '=' ? "minus " : null
        ),
        EnglishRule.Of(
            @"\s?-\s(?=\d)",
            (m, text) => m.Index > 0 && text[m.Index - 1] == ' ' && NumberPrecedes(text, m.Index) ? "minus " : null
        ),
        EnglishRule.Of(
            @"(?<sign><=|>=|[+=×*÷<>≤≥≈±−≠/])\s?(?=[-−]?[.\d(])",
            (m, text) => NumberPrecedes(text, m.Index) ? Between[m.Groups["sign"].Value] + " " : null
        ),
        EnglishRule.Of(
            @"(?<sign>[+=])(?=\s)",
            (m, text) => m.Index > 0 && text[m.Index - 1] == ' ' ? Between[m.Groups["sign"].Value] : null
        ),
        EnglishRule.Of(@"[~≈]\s?(?=\d)", _ => "about "),
        EnglishRule.Of(@"<\s?(?=\d)", _ => "less than "),
        EnglishRule.Of(@">\s?(?=\d)", _ => "more than "),
        EnglishRule.Of(@"±\s?(?=\d)", _ => "plus or minus "),
        EnglishRule.Of(@"§\s?(?=\d)", _ => "section "),
        EnglishRule.Of(@"[½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞]", m => EnglishFigures.Fraction(m.Value[0], "one ")),
        EnglishRule.Of(
            @"(?<power>[²³])",
            (m, text) => m.Index > 0 && char.IsLetterOrDigit(text[m.Index - 1]) ? (m.Value == "²" ? " squared" : " cubed") : null
        ),
        EnglishRule.Of(
            @"\^(?<power>\d{1,4})(?!\d)",
            (m, text) => m.Index > 0 && char.IsLetterOrDigit(text[m.Index - 1]) ? " " + EnglishFigures.Power(m.Groups["power"].Value) : null
        ),
        EnglishRule.Of(
            @"\.(?<digits>\d{1,15})(?!\d|\.\d)",
            (m, text) =>
                m.Index > 0 && char.IsLetterOrDigit(text[m.Index - 1]) ? null : $"point {EnglishNumbers.Digits(m.Groups["digits"].Value)}"
        ),
    ];

    private static string Amount(Match m)
    {
        var (sign, number, to, scale) = (m.Groups["sign"].Value, m.Groups["n"].Value, m.Groups["to"], m.Groups["scale"].Value);
        var from = to.Success ? $"{EnglishNumbers.Number(number)} to " : "";
        var per = m.Groups["per"].Success ? $" per {EnglishUnits.SayOne(m.Groups["per"].Value)}" : "";
        return from + EnglishUnits.Money(sign, to.Success ? to.Value : number, scale) + per;
    }

    private static bool BeginsWord(string text, int at) => at == 0 || char.IsWhiteSpace(text[at - 1]) || text[at - 1] is '(' or '"' or '“';
}
