using System.Globalization;

namespace Chatterbox.Text.Written;

/// <summary>Units and currencies in words.</summary>
internal static class EnglishUnits
{
    /// <summary>Units by how they are written, with their singular and plural.</summary>
    private static readonly Dictionary<string, (string One, string Many)> Units = new()
    {
        ["km"] = Regular("kilometer"),
        ["m"] = Regular("meter"),
        ["cm"] = Regular("centimeter"),
        ["mm"] = Regular("millimeter"),
        ["µm"] = Regular("micrometer"),
        ["nm"] = Regular("nanometer"),
        ["mi"] = Regular("mile"),
        ["yd"] = Regular("yard"),
        ["yds"] = Regular("yard"),
        ["ft"] = ("foot", "feet"),
        ["in"] = ("inch", "inches"),
        ["in."] = ("inch", "inches"),
        ["km²"] = Regular("square kilometer"),
        ["m²"] = Regular("square meter"),
        ["cm²"] = Regular("square centimeter"),
        ["m2"] = Regular("square meter"),
        ["km2"] = Regular("square kilometer"),
        ["ft²"] = ("square foot", "square feet"),
        ["sq ft"] = ("square foot", "square feet"),
        ["mi²"] = Regular("square mile"),
        ["m³"] = Regular("cubic meter"),
        ["m3"] = Regular("cubic meter"),
        ["cm³"] = Regular("cubic centimeter"),
        ["ha"] = Regular("hectare"),
        ["kg"] = Regular("kilogram"),
        ["g"] = Regular("gram"),
        ["mg"] = Regular("milligram"),
        ["µg"] = Regular("microgram"),
        ["lb"] = Regular("pound"),
        ["lbs"] = Regular("pound"),
        ["oz"] = Regular("ounce"),
        ["l"] = Regular("liter"),
        ["L"] = Regular("liter"),
        ["ml"] = Regular("milliliter"),
        ["mL"] = Regular("milliliter"),
        ["cl"] = Regular("centiliter"),
        ["dl"] = Regular("deciliter"),
        ["gal"] = Regular("gallon"),
        ["tsp"] = Regular("teaspoon"),
        ["tbsp"] = Regular("tablespoon"),
        ["mph"] = ("mile per hour", "miles per hour"),
        ["kph"] = ("kilometer per hour", "kilometers per hour"),
        ["kmh"] = ("kilometer per hour", "kilometers per hour"),
        ["kn"] = Regular("knot"),
        ["mpg"] = ("mile per gallon", "miles per gallon"),
        ["rpm"] = Same("revolutions per minute"),
        ["bpm"] = Same("beats per minute"),
        ["fps"] = Same("frames per second"),
        ["B"] = Regular("byte"),
        ["kB"] = Regular("kilobyte"),
        ["KB"] = Regular("kilobyte"),
        ["MB"] = Regular("megabyte"),
        ["GB"] = Regular("gigabyte"),
        ["TB"] = Regular("terabyte"),
        ["PB"] = Regular("petabyte"),
        ["KiB"] = Regular("kibibyte"),
        ["MiB"] = Regular("mebibyte"),
        ["GiB"] = Regular("gibibyte"),
        ["TiB"] = Regular("tebibyte"),
        ["kbps"] = Same("kilobits per second"),
        ["Kbps"] = Same("kilobits per second"),
        ["Mbps"] = Same("megabits per second"),
        ["Gbps"] = Same("gigabits per second"),
        ["Hz"] = Same("hertz"),
        ["kHz"] = Same("kilohertz"),
        ["MHz"] = Same("megahertz"),
        ["GHz"] = Same("gigahertz"),
        ["W"] = Regular("watt"),
        ["kW"] = Regular("kilowatt"),
        ["MW"] = Regular("megawatt"),
        ["GW"] = Regular("gigawatt"),
        ["kWh"] = Regular("kilowatt hour"),
        ["Wh"] = Regular("watt hour"),
        ["V"] = Regular("volt"),
        ["kV"] = Regular("kilovolt"),
        ["mA"] = Regular("milliampere"),
        ["mAh"] = Regular("milliampere hour"),
        ["Ω"] = Regular("ohm"),
        ["dB"] = Regular("decibel"),
        ["J"] = Regular("joule"),
        ["kJ"] = Regular("kilojoule"),
        ["kcal"] = Regular("kilocalorie"),
        ["cal"] = Regular("calorie"),
        ["Pa"] = Regular("pascal"),
        ["hPa"] = Regular("hectopascal"),
        ["kPa"] = Regular("kilopascal"),
        ["psi"] = Same("pounds per square inch"),
        ["hp"] = Same("horsepower"),
        ["px"] = Regular("pixel"),
        ["dpi"] = Same("dots per inch"),
        ["ppm"] = Same("parts per million"),
        ["ms"] = Regular("millisecond"),
        ["µs"] = Regular("microsecond"),
        ["ns"] = Regular("nanosecond"),
        ["s"] = Regular("second"),
        ["sec"] = Regular("second"),
        ["secs"] = Regular("second"),
        ["min"] = Regular("minute"),
        ["mins"] = Regular("minute"),
        ["h"] = Regular("hour"),
        ["hr"] = Regular("hour"),
        ["hrs"] = Regular("hour"),
        ["yr"] = Regular("year"),
        ["yrs"] = Regular("year"),
        ["wk"] = Regular("week"),
        ["wks"] = Regular("week"),
        ["mo"] = Regular("month"),
        ["mos"] = Regular("month"),
        ["K"] = Regular("kelvin"),
    };

    /// <summary>Units that a space before them leaves open: 5 in, 10 K, 4 mo and 2 B are something else.</summary>
    private static readonly string[] OnlyAttached = ["in", "K", "B", "mo", "s", "h", "J"];

    /// <summary>Those that mean something else directly behind a number, as 4K and 7B do.</summary>
    private static readonly string[] OnlyApart = ["K", "B"];

    private static readonly Dictionary<string, (string One, string Many, string? Cent, string? Cents)> Currencies = new()
    {
        ["$"] = ("dollar", "dollars", "cent", "cents"),
        ["€"] = ("euro", "euros", "cent", "cents"),
        ["£"] = ("pound", "pounds", "penny", "pence"),
        ["¥"] = ("yen", "yen", null, null),
        ["₹"] = ("rupee", "rupees", "paisa", "paise"),
        ["₩"] = ("won", "won", null, null),
        ["₽"] = ("ruble", "rubles", null, null),
        ["US$"] = ("US dollar", "US dollars", "cent", "cents"),
        ["C$"] = ("Canadian dollar", "Canadian dollars", "cent", "cents"),
        ["CA$"] = ("Canadian dollar", "Canadian dollars", "cent", "cents"),
        ["A$"] = ("Australian dollar", "Australian dollars", "cent", "cents"),
        ["AU$"] = ("Australian dollar", "Australian dollars", "cent", "cents"),
        ["NZ$"] = ("New Zealand dollar", "New Zealand dollars", "cent", "cents"),
        ["HK$"] = ("Hong Kong dollar", "Hong Kong dollars", "cent", "cents"),
        ["USD"] = ("US dollar", "US dollars", "cent", "cents"),
        ["EUR"] = ("euro", "euros", "cent", "cents"),
        ["GBP"] = ("British pound", "British pounds", "penny", "pence"),
        ["JPY"] = ("Japanese yen", "Japanese yen", null, null),
        ["CHF"] = ("Swiss franc", "Swiss francs", null, null),
        ["CAD"] = ("Canadian dollar", "Canadian dollars", "cent", "cents"),
        ["AUD"] = ("Australian dollar", "Australian dollars", "cent", "cents"),
        ["CNY"] = ("yuan", "yuan", null, null),
        ["INR"] = ("rupee", "rupees", "paisa", "paise"),
        ["SEK"] = ("Swedish krona", "Swedish kronor", null, null),
    };

    private static readonly Dictionary<string, string> Scales = new(StringComparer.OrdinalIgnoreCase)
    {
        ["k"] = "thousand",
        ["m"] = "million",
        ["mn"] = "million",
        ["mm"] = "million",
        ["b"] = "billion",
        ["bn"] = "billion",
        ["t"] = "trillion",
        ["tn"] = "trillion",
        ["thousand"] = "thousand",
        ["million"] = "million",
        ["billion"] = "billion",
        ["trillion"] = "trillion",
    };

    /// <summary>A pattern of every unit.</summary>
    public static string Pattern { get; } = Alternatives(Units.Keys);

    /// <summary>A pattern of what stands before an amount.</summary>
    public static string CurrencySigns { get; } = Alternatives(Currencies.Keys.Where(sign => !char.IsLetter(sign[^1])));

    /// <summary>A pattern of what stands behind an amount.</summary>
    public static string CurrencyNames { get; } =
        Alternatives(Currencies.Keys.Where(sign => char.IsLetter(sign[^1]) || sign is "€" or "£"));

    /// <summary>A unit in words.</summary>
    /// <param name="unit">As it is written.</param>
    /// <param name="number">The number before it, as it is written.</param>
    /// <param name="isApart">Whether there is a space between them.</param>
    /// <returns>Null where it may be something else.</returns>
    public static string? Say(string unit, string number, bool isApart) =>
        OnlyAttached.Contains(unit) && isApart ? null
        : OnlyApart.Contains(unit) && !isApart ? null
        : number == "1" ? Units[unit].One
        : Units[unit].Many;

    /// <summary>A unit behind "per".</summary>
    public static string SayOne(string unit) => Units[unit].One;

    /// <summary>An amount in words.</summary>
    /// <param name="sign">The currency.</param>
    /// <param name="number">The amount, as it is written.</param>
    /// <param name="scale">K, million, …; empty for none.</param>
    public static string Money(string sign, string number, string scale)
    {
        var (one, many, cent, cents) = Currencies[sign];
        if (scale.Length > 0)
        {
            return $"{EnglishNumbers.Number(number)} {Scales[scale]} {many}";
        }

        if (cent is null || number.Split('.') is not [var whole, { Length: 2 } small])
        {
            return $"{EnglishNumbers.Number(number)} {(number == "1" ? one : many)}";
        }

        var hundredths = int.Parse(small, CultureInfo.InvariantCulture);
        var amount = $"{EnglishNumbers.Number(whole)} {(whole == "1" ? one : many)}";
        var rest = $"{EnglishNumbers.Cardinal(hundredths)} {(hundredths == 1 ? cent : cents)}";
        return hundredths == 0 ? amount
            : whole.All(digit => digit == '0') ? rest
            : $"{amount} and {rest}";
    }

    private static (string One, string Many) Regular(string one) => (one, one + "s");

    private static (string One, string Many) Same(string words) => (words, words);

    private static string Alternatives(IEnumerable<string> names) =>
        $"(?:{string.Join('|', names.OrderByDescending(name => name.Length).Select(System.Text.RegularExpressions.Regex.Escape))})";
}
