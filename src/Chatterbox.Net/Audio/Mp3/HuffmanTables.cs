namespace Chatterbox.Audio.Mp3;

/// <summary>A code for pairs of quantized lines.</summary>
/// <param name="Size">Values of each line: up to Size - 1, the last of which, where there are extra bits, means itself plus their
/// number.</param>
/// <param name="ExtraBits">Bits that follow for a line of the last value.</param>
/// <param name="Codes">The code of the pair (x, y) at x · Size + y.</param>
/// <param name="Lengths">Its bits.</param>
internal sealed record HuffmanTable(int Size, int ExtraBits, uint[] Codes, byte[] Lengths)
{
    /// <summary>The largest value it can code.</summary>
    public int Largest => ExtraBits == 0 ? Size - 1 : Size - 2 + (1 << ExtraBits);

    /// <summary>Bits of pairs, with their signs.</summary>
    /// <param name="values">Magnitudes, an even number of them, none above <see cref="Largest"/>.</param>
    public int Count(ReadOnlySpan<int> values)
    {
        var bits = 0;
        for (var i = 0; i + 1 < values.Length; i += 2)
        {
            var (x, y) = (Math.Min(values[i], Size - 1), Math.Min(values[i + 1], Size - 1));
            bits += Lengths[(x * Size) + y] + (x > 0 ? 1 : 0) + (y > 0 ? 1 : 0);
            bits += ExtraBits > 0 ? (x == Size - 1 ? ExtraBits : 0) + (y == Size - 1 ? ExtraBits : 0) : 0;
        }

        return bits;
    }
}

/// <summary>Every code of Layer III. Source: ISO/IEC 11172-3, table B.7, kept in the resource huffman-codes.txt as the digits printed
/// there.</summary>
internal static class HuffmanTables
{
    private const string Resource = "Chatterbox.Audio.Mp3.huffman-codes.txt";

    // Tables 16 to 23 have the codes of 16, tables 24 to 31 those of 24.
    private static readonly int[] ExtraBits = [1, 2, 3, 4, 6, 8, 10, 13, 4, 5, 6, 7, 8, 9, 11, 13];

    private static readonly Dictionary<string, HuffmanTable> Printed = Read();

    /// <summary>The tables for pairs by their number in a stream; null for 0, 4 and 14, which code nothing.</summary>
    public static IReadOnlyList<HuffmanTable?> Pairs { get; } =
    [
        .. Enumerable.Range(0, 16).Select(i => Printed.GetValueOrDefault($"{i}")),
        .. ExtraBits.Select((bits, i) => Printed[i < 8 ? "16" : "24"] with { ExtraBits = bits }),
    ];

    /// <summary>The two tables for four lines of at most 1; the index has the first of them as its highest bit.</summary>
    public static IReadOnlyList<HuffmanTable> Quadruples { get; } = [Printed["A"], Printed["B"]];

    // For each largest value up to 15, the tables whose codes are worth a comparison.
    private static readonly int[][] Candidates =
    [
        [0],
        [1],
        [2, 3],
        [5, 6],
        [7, 8, 9],
        [7, 8, 9],
        [10, 11, 12],
        [10, 11, 12],
        .. Enumerable.Repeat<int[]>([13, 15], 8),
    ];

    /// <summary>The table that needs the fewest bits.</summary>
    /// <param name="values">Magnitudes, an even number of them.</param>
    /// <returns>Its number, and the bits.</returns>
    public static (int Table, int Bits) Best(ReadOnlySpan<int> values)
    {
        var largest = 0;
        foreach (var value in values)
        {
            largest = Math.Max(largest, value);
        }

        if (largest == 0)
        {
            return (0, 0);
        }

        ReadOnlySpan<int> candidates = largest < Candidates.Length ? Candidates[largest] : [Smallest(16, largest), Smallest(24, largest)];
        var best = (Table: 0, Bits: int.MaxValue);
        foreach (var candidate in candidates)
        {
            var bits = Pairs[candidate]!.Count(values);
            best = bits < best.Bits ? (candidate, bits) : best;
        }

        return best;
    }

    private static int Smallest(int first, int largest)
    {
        while (Pairs[first]!.Largest < largest)
        {
            first++;
        }

        return first;
    }

    private static Dictionary<string, HuffmanTable> Read()
    {
        using var reader = new StreamReader(typeof(HuffmanTables).Assembly.GetManifestResourceStream(Resource)!);
        var tables = new Dictionary<string, HuffmanTable>();
        foreach (var table in reader.ReadToEnd().Split("table ", StringSplitOptions.RemoveEmptyEntries))
        {
            var lines = table.Split('\n', StringSplitOptions.RemoveEmptyEntries);
            var codes = lines.Skip(1).SelectMany(line => line.Split(' ')).ToList();
            tables.Add(
                lines[0],
                new HuffmanTable(
                    codes.Count / (lines.Length - 1),
                    0,
                    [.. codes.Select(code => Convert.ToUInt32(code, 2))],
                    [.. codes.Select(code => (byte)code.Length)]
                )
            );
        }

        return tables;
    }
}
