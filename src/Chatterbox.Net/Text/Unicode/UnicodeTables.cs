using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text;

namespace Chatterbox.Text.Unicode;

/// <summary>
/// Compatibility decomposition (NFKD) and composition (NFKC), and upper case where .NET gives none (ß, ı): what .NET leaves out
/// under invariant globalisation, and what must not change with the machine's ICU, since text tokens follow from it.
/// </summary>
/// <remarks>Unicode 15.1, the data of CPython 3.13; generate.py beside this file wrote the table.</remarks>
internal static class UnicodeTables
{
    private const int FirstSyllable = 0xAC00,
        Syllables = 11172,
        Initials = 19,
        Vowels = 21,
        Finals = 28;
    private const int FirstInitial = 0x1100,
        FirstVowel = 0x1161,
        BeforeFirstFinal = 0x11A7;

    private static readonly Lazy<Table> Data = new(Read);

    /// <summary>NFKD: each code point decomposed, combining marks in canonical order. A lone surrogate becomes U+FFFD.</summary>
    public static string Decompose(string text)
    {
        if (Ascii.IsValid(text))
        {
            return text;
        }

        return TextOf(DecomposedPoints(text));
    }

    /// <summary>NFKC: decomposed as by <see cref="Decompose"/>, then composed again as far as Unicode composes.</summary>
    public static string Compose(string text)
    {
        if (Ascii.IsValid(text))
        {
            return text;
        }

        var (table, points) = (Data.Value, DecomposedPoints(text));
        var composed = new List<int>(points.Count);
        var (starter, lastClass) = (-1, 0);
        foreach (var point in points)
        {
            var combiningClass = table.CombiningClass.GetValueOrDefault(point);
            var isBlocked = starter < 0 || (starter < composed.Count - 1 && lastClass >= combiningClass);
            if (!isBlocked && Composite(table, composed[starter], point) is { } both)
            {
                composed[starter] = both;
                continue;
            }

            composed.Add(point);
            (starter, lastClass) = combiningClass == 0 ? (composed.Count - 1, 0) : (starter, combiningClass);
        }

        return TextOf(composed);
    }

    /// <summary>Upper case of a lower-case code point where it is several code points or ASCII (ß, ﬁ, ı, ſ), or null for all
    /// others.</summary>
    public static string? SpecialUpper(int codePoint) => Data.Value.SpecialUpper.GetValueOrDefault(codePoint);

    /// <summary>What two code points are together; null if nothing.</summary>
    private static int? Composite(Table table, int first, int second)
    {
        if (first - FirstInitial is >= 0 and < Initials and var initial && second - FirstVowel is >= 0 and < Vowels and var vowel)
        {
            return FirstSyllable + (((initial * Vowels) + vowel) * Finals);
        }

        if (
            first - FirstSyllable is >= 0 and < Syllables and var syllable
            && syllable % Finals == 0
            && second - BeforeFirstFinal is > 0 and < Finals and var final
        )
        {
            return first + final;
        }

        return table.Composed.TryGetValue((first, second), out var both) ? both : null;
    }

    private static List<int> DecomposedPoints(string text)
    {
        var table = Data.Value;
        var points = new List<int>(text.Length);
        foreach (var rune in text.EnumerateRunes())
        {
            var syllable = rune.Value - FirstSyllable;
            if (syllable is >= 0 and < Syllables)
            {
                points.Add(FirstInitial + (syllable / (Vowels * Finals)));
                points.Add(FirstVowel + (syllable / Finals % Vowels));
                if (syllable % Finals > 0)
                {
                    points.Add(BeforeFirstFinal + (syllable % Finals));
                }
            }
            else if (table.Decomposed.TryGetValue(rune.Value, out var parts))
            {
                points.AddRange(parts);
            }
            else
            {
                points.Add(rune.Value);
            }
        }

        OrderMarks(points, table.CombiningClass);
        return points;
    }

    private static string TextOf(List<int> points)
    {
        var text = new StringBuilder(points.Count);
        points.ForEach(point => text.Append(new Rune(point).ToString()));
        return text.ToString();
    }

    /// <summary>Sorts each run of combining marks by class, marks of one class staying in their order.</summary>
    private static void OrderMarks(List<int> points, Dictionary<int, byte> combiningClass)
    {
        for (var start = 0; start < points.Count; start++)
        {
            var end = start;
            while (end < points.Count && combiningClass.ContainsKey(points[end]))
            {
                end++;
            }

            if (end - start > 1)
            {
                var ordered = points[start..end].OrderBy(mark => combiningClass[mark]).ToArray();
                ordered.CopyTo(CollectionsMarshal.AsSpan(points)[start..]);
            }

            start = end;
        }
    }

    private static Table Read()
    {
        var table = new Table([], [], [], []);
        using var stream = Assembly.GetExecutingAssembly().GetManifestResourceStream("Chatterbox.Text.Unicode.unicode.txt")!;
        using var reader = new StreamReader(stream);
        while (reader.ReadLine() is { } line)
        {
            var fields = line.Split(' ');
            switch (fields[0])
            {
                case "D":
                    table.Decomposed.Add(Hex(fields[1]), fields[2..].Select(Hex).ToArray());
                    break;
                case "C":
                    for (var point = Hex(fields[1]); point <= Hex(fields[2]); point++)
                    {
                        table.CombiningClass.Add(point, byte.Parse(fields[3], CultureInfo.InvariantCulture));
                    }

                    break;
                case "P":
                    table.Composed.Add((Hex(fields[1]), Hex(fields[2])), Hex(fields[3]));
                    break;
                case "U":
                    table.SpecialUpper.Add(Hex(fields[1]), string.Concat(fields[2..].Select(f => new Rune(Hex(f)).ToString())));
                    break;
            }
        }

        return table;
    }

    private static int Hex(string field) => int.Parse(field, NumberStyles.HexNumber, CultureInfo.InvariantCulture);

    private sealed record Table(
        Dictionary<int, int[]> Decomposed,
        Dictionary<(int First, int Second), int> Composed,
        Dictionary<int, byte> CombiningClass,
        Dictionary<int, string> SpecialUpper
    );
}
