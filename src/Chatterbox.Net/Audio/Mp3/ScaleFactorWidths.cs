namespace Chatterbox.Audio.Mp3;

/// <summary>Chooses how many bits the scale factors of a granule of long windows take.</summary>
/// <remarks>Source: ISO/IEC 11172-3, 2.4.2.7 (scalefac_compress); ISO/IEC 13818-3, 2.4.3.2, without intensity stereo.</remarks>
internal static class ScaleFactorWidths
{
    private static readonly (int Low, int High)[] Mpeg1 =
    [
        (0, 0),
        (0, 1),
        (0, 2),
        (0, 3),
        (3, 0),
        (1, 1),
        (1, 2),
        (1, 3),
        (2, 1),
        (2, 2),
        (2, 3),
        (3, 1),
        (3, 2),
        (3, 3),
        (4, 2),
        (4, 3),
    ];

    private const int LowBands = 11; // of MPEG-1
    private static readonly int[] GroupEnds = [6, 11, 16, 21]; // of MPEG-2
    private static readonly int[] MostGroupBits = [4, 4, 3, 3];

    /// <summary>Sets the granule's widths.</summary>
    /// <param name="granule">A granule with its scale factors.</param>
    /// <param name="generation">Of which generation the stream is.</param>
    /// <returns>Bits of all scale factors; null where one of them is too large.</returns>
    public static int? Choose(Granule granule, MpegGeneration generation)
    {
        var chosen = generation == MpegGeneration.Mpeg1 ? ChooseMpeg1(granule) : ChooseMpeg2(granule);
        return chosen ? granule.ScaleFactorBits.Sum() : null;
    }

    private static bool ChooseMpeg1(Granule granule)
    {
        var (low, high) = (BitsOf(granule.ScaleFactors.AsSpan(0, LowBands)), BitsOf(granule.ScaleFactors.AsSpan(LowBands)));
        var (best, bestBits) = (-1, int.MaxValue);
        for (var code = 0; code < Mpeg1.Length; code++)
        {
            var bits = (Mpeg1[code].Low * LowBands) + (Mpeg1[code].High * (ScaleFactorBands.Count - LowBands));
            (best, bestBits) = Mpeg1[code].Low >= low && Mpeg1[code].High >= high && bits < bestBits ? (code, bits) : (best, bestBits);
        }

        if (best < 0)
        {
            return false;
        }

        granule.ScaleFactorCode = best;
        granule.ScaleFactorBits.AsSpan(0, LowBands).Fill(Mpeg1[best].Low);
        granule.ScaleFactorBits.AsSpan(LowBands).Fill(Mpeg1[best].High);
        return true;
    }

    private static bool ChooseMpeg2(Granule granule)
    {
        Span<int> widths = stackalloc int[GroupEnds.Length];
        for (var (group, first) = (0, 0); group < GroupEnds.Length; first = GroupEnds[group++])
        {
            widths[group] = BitsOf(granule.ScaleFactors.AsSpan(first, GroupEnds[group] - first));
            if (widths[group] > MostGroupBits[group])
            {
                return false;
            }

            granule.ScaleFactorBits.AsSpan(first, GroupEnds[group] - first).Fill(widths[group]);
        }

        granule.ScaleFactorCode = (((widths[0] * 5) + widths[1]) << 4) | (widths[2] << 2) | widths[3];
        return true;
    }

    private static int BitsOf(ReadOnlySpan<int> factors)
    {
        var all = 0;
        foreach (var factor in factors)
        {
            all |= factor;
        }

        return all == 0 ? 0 : System.Numerics.BitOperations.Log2((uint)all) + 1;
    }
}
