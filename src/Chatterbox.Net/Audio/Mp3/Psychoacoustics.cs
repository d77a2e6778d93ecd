namespace Chatterbox.Audio.Mp3;

/// <summary>How much noise each scale factor band can take before it is audible, and where a long window would smear an attack.</summary>
/// <remarks>After J. D. Johnston, "Transform coding of audio signals using perceptual noise criteria" (1988): energy by band, spread over
/// the Bark scale, lowered by an offset that depends on how tonal the band is, and never below the threshold in quiet. The spectrum is
/// that of the encoder's own transform.</remarks>
internal sealed class Psychoacoustics
{
    private const int Bands = ScaleFactorBands.Count + 1;
    private const double FullScaleLevel = 96; // dB of sound pressure that ±1 is taken for
    private const double TonalOffset = 14.5; // dB, plus the band's place in Bark
    private const double NoisyOffset = 5.5;
    private const double TonalFlatness = -25; // dB: flatter bands count as noise by degrees
    private const double MostGrowth = 4; // of a threshold from one granule to the next, against pre-echoes

    private const int Parts = 6; // of a granule, in which attacks are looked for
    private const double Attack = 12; // times the mean energy before
    private const double AudiblePart = 1e-6;

    private readonly ScaleFactorBands _bands;
    private readonly double[,] _spreading = new double[Bands, Bands];
    private readonly double[] _bark = new double[Bands];
    private readonly double[] _quiet = new double[Bands];
    private readonly double[] _before = new double[Bands];
    private readonly double[] _energy = new double[Bands];
    private readonly double[] _tonality = new double[Bands];
    private float _lastSample;
    private double _meanPart = 1;

    /// <param name="bands">The bands of the rate.</param>
    /// <param name="sampleRate">Samples a second (Hz).</param>
    public Psychoacoustics(ScaleFactorBands bands, int sampleRate)
    {
        _bands = bands;
        var lineHertz = sampleRate / 2.0 / Mp3Header.GranuleSamples;
        for (var band = 0; band < Bands; band++)
        {
            var hertz = (bands.Long[band] + bands.Long[band + 1]) / 2.0 * lineHertz;
            _bark[band] = Bark(hertz);
            _quiet[band] = (bands.Long[band + 1] - bands.Long[band]) * Math.Pow(10, (ThresholdInQuiet(hertz) - FullScaleLevel) / 10);
        }

        for (var masked = 0; masked < Bands; masked++)
        {
            var sum = 0.0;
            for (var masker = 0; masker < Bands; masker++)
            {
                sum += _spreading[masked, masker] = Math.Pow(10, Spreading(_bark[masked] - _bark[masker]) / 10);
            }

            for (var masker = 0; masker < Bands; masker++)
            {
                _spreading[masked, masker] /= sum;
            }
        }

        _before.AsSpan().Fill(double.PositiveInfinity);
    }

    /// <summary>Finds an attack in a granule: a part of it with many times the energy of what came before.</summary>
    /// <param name="samples">The granule's 576 samples; each granule once, in order.</param>
    /// <returns>Where it is, 0 to 1; null where there is none.</returns>
    public double? FindAttack(ReadOnlySpan<float> samples)
    {
        double? found = null;
        var length = samples.Length / Parts;
        for (var part = 0; part < Parts; part++)
        {
            var energy = 0.0;
            foreach (var sample in samples.Slice(part * length, length))
            {
                var high = sample - _lastSample; // attacks show in their high frequencies
                energy += high * high;
                _lastSample = sample;
            }

            energy /= length;
            found ??= energy > AudiblePart && energy > Attack * _meanPart ? (double)part / Parts : null;
            _meanPart = (0.7 * Math.Min(_meanPart, Attack * energy)) + (0.3 * energy);
        }

        return found;
    }

    /// <summary>The noise energy that each band can take.</summary>
    /// <param name="lines">The 576 lines of a long window.</param>
    /// <param name="thresholds">Room for one number for each of the 22 bands.</param>
    public void Thresholds(ReadOnlySpan<float> lines, Span<double> thresholds)
    {
        for (var band = 0; band < Bands; band++)
        {
            Measure(lines, band);
        }

        for (var band = 0; band < Bands; band++)
        {
            var spread = 0.0;
            for (var masker = 0; masker < Bands; masker++)
            {
                spread += _spreading[band, masker] * _energy[masker];
            }

            var offset = (_tonality[band] * (TonalOffset + _bark[band])) + ((1 - _tonality[band]) * NoisyOffset);
            var masked = spread * Math.Pow(10, -offset / 10);
            thresholds[band] = Math.Max(_quiet[band], Math.Min(masked, MostGrowth * _before[band]));
            _before[band] = masked;
        }
    }

    // A line and the difference of its neighbours are a quarter turn apart: together they do not depend on the phase.
    private void Measure(ReadOnlySpan<float> lines, int band)
    {
        var (sum, logarithms) = (1e-20, 0.0);
        var (first, end) = (_bands.Long[band], _bands.Long[band + 1]);
        for (var i = first; i < end; i++)
        {
            var turned = (i + 1 < lines.Length ? lines[i + 1] : 0) - (i > 0 ? lines[i - 1] : 0);
            var power = ((double)lines[i] * lines[i]) + ((double)turned * turned) + 1e-20;
            sum += power;
            logarithms += Math.Log10(power);
        }

        var flatness = 10 * ((logarithms / (end - first)) - Math.Log10(sum / (end - first)));
        _energy[band] = sum / 2;
        _tonality[band] = Math.Clamp(flatness / TonalFlatness, 0, 1);
    }

    private static double Bark(double hertz) => (13 * Math.Atan(0.00076 * hertz)) + (3.5 * Math.Atan(Math.Pow(hertz / 7500, 2)));

    // Schroeder's function, in dB.
    private static double Spreading(double bark) => 15.81 + (7.5 * (bark + 0.474)) - (17.5 * Math.Sqrt(1 + Math.Pow(bark + 0.474, 2)));

    // Terhardt's, in dB of sound pressure.
    private static double ThresholdInQuiet(double hertz)
    {
        var kilohertz = Math.Max(hertz, 20) / 1000;
        return (3.64 * Math.Pow(kilohertz, -0.8))
            - (6.5 * Math.Exp(-0.6 * Math.Pow(kilohertz - 3.3, 2)))
            + (0.001 * Math.Pow(kilohertz, 4));
    }
}
