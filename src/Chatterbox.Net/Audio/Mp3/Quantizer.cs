namespace Chatterbox.Audio.Mp3;

/// <summary>Quantizes a granule into so many bits, with the noise where it is least audible.</summary>
/// <remarks>Source: the two loops of ISO/IEC 11172-3, annex C.1.5.4: the inner finds the finest step that fits, the outer codes those bands
/// finer whose noise is above their threshold, while that makes it better.</remarks>
internal sealed class Quantizer
{
    private const int MostBits = 4095; // that a granule can say it has
    private const int LargestValue = 8191 + 14;
    private const double Rounding = 0.4054; // the decoder's values are denser towards zero
    private const int MostRounds = 10;
    private const int Zero = 210; // the gain at which a step is 1

    private readonly ScaleFactorBands _bands;
    private readonly MpegGeneration _generation;
    private readonly int _lines;
    private readonly float[] _powers = new float[Mp3Header.GranuleSamples]; // |line|^(3/4)
    private readonly float[] _scales = new float[Mp3Header.GranuleSamples]; // by scale factor, 2^(3/8·factor)
    private readonly double[] _thresholds = new double[ScaleFactorBands.Count + 1];
    private readonly double[] _noise = new double[ScaleFactorBands.Count + 1];
    private Granule _best = new();
    private Granule _tried = new();

    /// <param name="bands">The bands of the rate.</param>
    /// <param name="generation">Of which generation the stream is.</param>
    /// <param name="lines">Lines that are coded; those above are left out.</param>
    public Quantizer(ScaleFactorBands bands, MpegGeneration generation, int lines) =>
        (_bands, _generation, _lines) = (bands, generation, lines);

    /// <summary>Quantizes a granule.</summary>
    /// <param name="lines">Its 576 lines.</param>
    /// <param name="type">How it is windowed.</param>
    /// <param name="thresholds">Noise energy that each of the 22 bands can take; only of long windows.</param>
    /// <param name="bits">Bits it may take.</param>
    /// <returns>The granule, good until the next call.</returns>
    public Granule Quantize(ReadOnlySpan<float> lines, BlockType type, ReadOnlySpan<double> thresholds, int bits)
    {
        bits = Math.Min(bits, MostBits);
        thresholds.CopyTo(_thresholds);
        for (var i = 0; i < lines.Length; i++)
        {
            var magnitude = i < _lines || type == BlockType.Short ? Math.Abs(lines[i]) : 0;
            _powers[i] = MathF.Sqrt(magnitude * MathF.Sqrt(magnitude));
        }

        _tried.Type = type;
        _tried.ScaleFactors.AsSpan().Clear();
        var bestExcess = double.PositiveInfinity;
        for (var round = 0; round < MostRounds && TryFit(bits); round++)
        {
            var excess = type == BlockType.Short ? 0 : Excess(lines);
            if (excess < bestExcess)
            {
                bestExcess = excess;
                (_best, _tried) = (_tried, _best);
                _tried.Type = type;
                _best.ScaleFactors.CopyTo(_tried.ScaleFactors.AsSpan());
            }

            if (excess == 0 || !Amplify())
            {
                break;
            }
        }

        return _best;
    }

    /// <summary>Finds the finest step with which the granule fits.</summary>
    private bool TryFit(int bits)
    {
        if (ScaleFactorWidths.Choose(_tried, _generation) is not { } factorBits || factorBits > bits)
        {
            return false;
        }

        SetScales();
        var largest = 0f;
        for (var i = 0; i < _powers.Length; i++)
        {
            largest = Math.Max(largest, _powers[i] * _scales[i]);
        }

        // The step at which the largest line still has a value.
        var low = largest == 0 ? Zero : Math.Clamp(Zero + (int)Math.Ceiling(16 / 3.0 * Math.Log2(largest / LargestValue)), 0, 255);
        for (var high = 255; low < high; )
        {
            var middle = (low + high) / 2;
            Quantize(middle);
            (low, high) = _tried.Bits + factorBits <= bits ? (low, middle) : (middle + 1, high);
        }

        Quantize(low);
        _tried.Bits += factorBits;
        return _tried.Bits <= bits;
    }

    private void Quantize(int gain)
    {
        var step = MathF.Pow(2, -3 / 16f * (gain - Zero));
        for (var i = 0; i < _powers.Length; i++)
        {
            _tried.Values[i] = (int)((_powers[i] * _scales[i] * step) + (float)Rounding);
        }

        _tried.GlobalGain = gain;
        Count();
    }

    /// <summary>Divides the lines into regions, chooses their tables, and counts the bits.</summary>
    private void Count()
    {
        var granule = _tried;
        var values = granule.Values.AsSpan();
        var last = values.LastIndexOfAnyExcept(0) + 1;
        var end = (last + 1) & ~1;
        var pairs = end;
        while (pairs >= 4 && values[(pairs - 4)..pairs].IndexOfAnyExceptInRange(0, 1) < 0)
        {
            pairs -= 4;
        }

        (granule.PairLines, granule.QuadrupleLines) = (pairs, end - pairs);
        SetRegions(granule, pairs);
        var (second, third) = granule.Regions;
        (granule.Tables[0], var bits) = HuffmanTables.Best(values[..second]);
        (granule.Tables[1], var more) = HuffmanTables.Best(values[second..third]);
        (granule.Tables[2], var rest) = HuffmanTables.Best(values[third..pairs]);
        var (a, b) = (0, 0);
        for (var i = pairs; i < end; i += 4)
        {
            var quadruple = (values[i] << 3) | (values[i + 1] << 2) | (values[i + 2] << 1) | values[i + 3];
            var signs = System.Numerics.BitOperations.PopCount((uint)quadruple);
            a += HuffmanTables.Quadruples[0].Lengths[quadruple] + signs;
            b += HuffmanTables.Quadruples[1].Lengths[quadruple] + signs;
        }

        granule.QuadrupleTable = b < a ? 1 : 0;
        granule.Bits = bits + more + rest + Math.Min(a, b);
    }

    private void SetRegions(Granule granule, int pairs)
    {
        if (granule.Type != BlockType.Long)
        {
            // Their place is fixed: nine bands of three short windows, or eight long ones; there is no third region.
            var border = granule.Type == BlockType.Short ? 3 * _bands.Short[3] : _bands.Long[8];
            granule.Regions = (Math.Min(border, pairs), pairs);
            return;
        }

        var used = 0;
        while (_bands.Long[used] < pairs)
        {
            used++;
        }

        // Low lines are the largest, and differ most: the first regions are the narrower ones.
        granule.RegionBands = (Math.Clamp((int)(used * 0.28), 1, 16) - 1, Math.Clamp((int)(used * 0.36), 1, 8) - 1);
        var (first, second) = granule.RegionBands;
        granule.Regions = (Math.Min(_bands.Long[first + 1], pairs), Math.Min(_bands.Long[first + second + 2], pairs));
    }

    private void SetScales()
    {
        _scales.AsSpan().Fill(1);
        if (_tried.Type == BlockType.Short)
        {
            return;
        }

        for (var band = 0; band < ScaleFactorBands.Count; band++)
        {
            _scales.AsSpan(_bands.Long[band].._bands.Long[band + 1]).Fill(MathF.Pow(2, 3 / 8f * _tried.ScaleFactors[band]));
        }
    }

    /// <summary>By how much noise is above the thresholds, in powers of two over all bands.</summary>
    private double Excess(ReadOnlySpan<float> lines)
    {
        var excess = 0.0;
        var step = Math.Pow(2, (_tried.GlobalGain - Zero) / 4.0);
        for (var band = 0; band < _noise.Length; band++)
        {
            var bandStep = band < ScaleFactorBands.Count ? step * Math.Pow(2, -0.5 * _tried.ScaleFactors[band]) : step;
            var noise = 0.0;
            for (var i = _bands.Long[band]; i < Math.Min(_bands.Long[band + 1], _lines); i++)
            {
                var value = _tried.Values[i];
                var difference = Math.Abs(lines[i]) - (value * Math.Cbrt(value) * bandStep);
                noise += difference * difference;
            }

            _noise[band] = noise;
            excess += band < ScaleFactorBands.Count && noise > _thresholds[band] ? Math.Log2(noise / _thresholds[band]) : 0;
        }

        return excess;
    }

    /// <summary>Codes the bands finer whose noise is audible.</summary>
    /// <returns>False where that is no use: where it is all of them.</returns>
    private bool Amplify()
    {
        var amplified = 0;
        for (var band = 0; band < ScaleFactorBands.Count; band++)
        {
            if (_noise[band] > _thresholds[band])
            {
                _tried.ScaleFactors[band]++;
                amplified++;
            }
        }

        return amplified is > 0 and < ScaleFactorBands.Count;
    }
}
