using System.Globalization;
using System.Text.RegularExpressions;

namespace Chatterbox.Text.Written;

/// <summary>What begins with a letter and is not read as it is written: abbreviations, months before a number, addresses.</summary>
internal static class EnglishWords
{
    /// <summary>Titles before a name: their stop never ends a sentence.</summary>
    private static readonly Dictionary<string, string> Titles = new()
    {
        ["Mr"] = "Mister",
        ["Mrs"] = "Missus",
        ["Ms"] = "Miz",
        ["Messrs"] = "Messieurs",
        ["Dr"] = "Doctor",
        ["Drs"] = "Doctors",
        ["Prof"] = "Professor",
        ["Rev"] = "Reverend",
        ["Hon"] = "Honorable",
        ["Gen"] = "General",
        ["Col"] = "Colonel",
        ["Capt"] = "Captain",
        ["Cmdr"] = "Commander",
        ["Lt"] = "Lieutenant",
        ["Maj"] = "Major",
        ["Sgt"] = "Sergeant",
        ["Cpl"] = "Corporal",
        ["Sen"] = "Senator",
        ["Rep"] = "Representative",
        ["Gov"] = "Governor",
        ["Pres"] = "President",
        ["Mt"] = "Mount",
        ["Ft"] = "Fort",
        ["Supt"] = "Superintendent",
        ["Det"] = "Detective",
    };

    /// <summary>Abbreviations whose stop may end a sentence too.</summary>
    private static readonly Dictionary<string, string> Words = new()
    {
        ["Jr"] = "Junior",
        ["Sr"] = "Senior",
        ["Inc"] = "Incorporated",
        ["Ltd"] = "Limited",
        ["Corp"] = "Corporation",
        ["Co"] = "Company",
        ["Bros"] = "Brothers",
        ["Ave"] = "Avenue",
        ["Blvd"] = "Boulevard",
        ["Rd"] = "Road",
        ["Ln"] = "Lane",
        ["Hwy"] = "Highway",
        ["Pkwy"] = "Parkway",
        ["Apt"] = "Apartment",
        ["Bldg"] = "Building",
        ["Dept"] = "Department",
        ["dept"] = "department",
        ["Univ"] = "University",
        ["Assn"] = "Association",
        ["Govt"] = "Government",
        ["govt"] = "government",
        ["etc"] = "et cetera",
        ["approx"] = "approximately",
        ["Approx"] = "Approximately",
        ["misc"] = "miscellaneous",
        ["est"] = "established",
        ["Est"] = "Established",
        ["incl"] = "including",
        ["excl"] = "excluding",
        ["min"] = "minimum",
        ["max"] = "maximum",
        ["temp"] = "temperature",
        ["tel"] = "telephone",
        ["Tel"] = "Telephone",
        ["ext"] = "extension",
        ["Ext"] = "Extension",
        ["cf"] = "compare",
        ["ca"] = "circa",
    };

    /// <summary>What stands before a number.</summary>
    private static readonly Dictionary<string, string> BeforeNumber = new()
    {
        ["No."] = "Number",
        ["no."] = "number",
        ["Nos."] = "Numbers",
        ["nos."] = "numbers",
        ["Nr."] = "Number",
        ["nr."] = "number",
        ["Vol."] = "Volume",
        ["vol."] = "volume",
        ["Ch."] = "Chapter",
        ["ch."] = "chapter",
        ["Fig."] = "Figure",
        ["fig."] = "figure",
        ["Figs."] = "Figures",
        ["figs."] = "figures",
        ["p."] = "page",
        ["P."] = "Page",
        ["pp."] = "pages",
        ["Pp."] = "Pages",
        ["Sec."] = "Section",
        ["sec."] = "section",
        ["Art."] = "Article",
        ["art."] = "article",
        ["Eq."] = "Equation",
        ["eq."] = "equation",
        ["Pt."] = "Part",
        ["pt."] = "part",
        ["Rev."] = "Revision",
        ["rev."] = "revision",
        ["Ver."] = "Version",
        ["ver."] = "version",
        ["v."] = "version",
        ["V."] = "Version",
        ["v"] = "version",
        ["V"] = "Version",
        ["Rm."] = "Room",
        ["ca."] = "circa",
        ["c."] = "circa",
    };

    /// <summary>Words with a capital, at the beginning of a sentence, that no street is called by.</summary>
    private static readonly HashSet<string> NotOfStreets =
    [
        "Of",
        "In",
        "At",
        "To",
        "From",
        "The",
        "And",
        "Near",
        "By",
        "For",
        "On",
        "Is",
        "Was",
        "With",
    ];

    /// <summary>The rules.</summary>
    public static IReadOnlyList<EnglishRule> Rules { get; } =
    [
        .. EnglishAddresses.Rules,
        EnglishRule.Of(
            $@"{EnglishFigures.Month}\.? (?<d>\d{{1,2}})(?:st|nd|rd|th)?(?:\s?[-–]\s?(?<to>\d{{1,2}})(?:st|nd|rd|th)?)?(?:,? (?<y>[12]\d{{3}})(?![,.]?\d))?(?![\p{{L}}\d%:/-]|[.,]\d)",
            MonthDay
        ),
        EnglishRule.Of(
            $@"{EnglishFigures.Month}\.?,? (?<y>[12]\d{{3}})(?![\p{{L}}\d%:/-]|[.,]\d)",
            m => $"{Name(m)} {EnglishFigures.YearOrNumber(m.Groups["y"].Value)}"
        ),
        EnglishRule.Of(
            $@"(?<sign>{EnglishUnits.CurrencySigns})(?<n>{EnglishFigures.N})(?:\s?(?<scale>[KkMB]|bn|thousand|million|billion|trillion){EnglishFigures.End})?",
            m => EnglishUnits.Money(m.Groups["sign"].Value, m.Groups["n"].Value, m.Groups["scale"].Value)
        ),
        EnglishRule.Of(
            $@"(?<name>USD|EUR|GBP|JPY|CHF|CAD|AUD|CNY|INR|SEK)\s?(?<n>{EnglishFigures.N})(?:\s?(?<scale>[KkMB]|bn|thousand|million|billion|trillion){EnglishFigures.End})?",
            m => EnglishUnits.Money(m.Groups["name"].Value, m.Groups["n"].Value, m.Groups["scale"].Value)
        ),
        EnglishRule.Of($@"(?<word>{Alternatives(BeforeNumber.Keys.Where(word => word.Length > 1))})(?= ?\d)", m => BeforeNumber[m.Value]),
        EnglishRule.Of(@"[vV](?=\d)", m => BeforeNumber[m.Value]),
        EnglishRule.Of(@"St\.", Saint),
        EnglishRule.Of(@"Dr\.(?!\s?\p{Lu}|\s?$)", _ => "Drive"),
        EnglishRule.Of($@"(?<word>{Alternatives(Titles.Keys)})\.(?=\s?\p{{L}})", m => Titles[m.Groups["word"].Value]),
        EnglishRule.Of($@"(?<word>{Alternatives(["Mr", "Mrs", "Ms", "Dr", "Prof"])})(?=\s\p{{Lu}})", m => Titles[m.Groups["word"].Value]),
        EnglishRule.Of(
            $@"(?<word>{Alternatives(Words.Keys)})\.(?![\p{{L}}\d])",
            (m, text) => Words[m.Groups["word"].Value] + Stop(text, m.Index + m.Length)
        ),
        EnglishRule.Of(@"(?<word>[Vv]s)\.?(?![\p{L}\d])", m => m.Value[0] == 'V' ? "Versus" : "versus"),
        EnglishRule.Of(@"e\.\s?g\.(?!\p{L})", _ => "for example"),
        EnglishRule.Of(@"i\.\s?e\.(?!\p{L})", _ => "that is"),
        EnglishRule.Of(@"a\.k\.a\.(?!\p{L})", _ => "also known as"),
        EnglishRule.Of(@"w/o(?=\s)", _ => "without"),
        EnglishRule.Of(@"w/(?=\s?\p{L})", _ => "with"),
        EnglishRule.Of(@"b/c(?=\s)", _ => "because"),
    ];

    private static string? MonthDay(Match m)
    {
        var (day, to) = (int.Parse(m.Groups["d"].Value, CultureInfo.InvariantCulture), m.Groups["to"]);
        if (day is not (>= 1 and <= 31))
        {
            return null;
        }

        var year = m.Groups["y"].Success ? m.Groups["y"].Value : null;
        return to.Success
            ? $"{Name(m)} {EnglishNumbers.Ordinal(day)} to "
                + $"{EnglishNumbers.Ordinal(int.Parse(to.Value, CultureInfo.InvariantCulture))}{(year is null ? "" : ", " + EnglishFigures.YearOrNumber(year))}"
            : EnglishFigures.MonthDay(EnglishFigures.MonthNumber(m.Groups["month"].Value), day, year);
    }

    private static string Name(Match m) => EnglishFigures.MonthName(m.Groups["month"].Value);

    /// <summary>Saint before a name, Street behind one.</summary>
    private static string? Saint(Match m, string text)
    {
        var after = m.Index + m.Length;
        var before = EnglishPlaces.WordBefore(text, m.Index);
        var isStreet = before.Length > 0 && char.IsUpper(before[0]) && text[m.Index - 1] == ' ' && !NotOfStreets.Contains(before);
        return isStreet ? "Street" + Stop(text, after)
            : after + 1 < text.Length && text[after] is ' ' && char.IsUpper(text[after + 1]) ? "Saint"
            : null;
    }

    private static string Stop(string text, int after) => EnglishPlaces.EndsSentence(text, after) ? "." : "";

    private static string Alternatives(IEnumerable<string> words) =>
        string.Join('|', words.OrderByDescending(word => word.Length).Select(Regex.Escape));
}
