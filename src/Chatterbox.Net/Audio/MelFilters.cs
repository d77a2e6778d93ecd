using Chatterbox.Ops.Cuda;

namespace Chatterbox.Audio;

/// <summary>Triangular mel filters on Slaney's scale (linear to 1 kHz, logarithmic above), each of equal area.</summary>
/// <remarks>Ports librosa.filters.mel of librosa 0.11.0 with its defaults, in its order of float32 and float64 roundings.</remarks>
internal static class MelFilters
{
    private const double HertzPerMel = 200.0 / 3;
    private const double LogStartHertz = 1000;
    private const double LogStartMel = LogStartHertz / HertzPerMel;
    private static readonly double LogStep = Math.Log(6.4) / 27;

    /// <summary>Filters from 0 Hz to the config's highest frequency.</summary>
    /// <returns>[bands, fftSize / 2 + 1], float32.</returns>
    public static Tensor Slaney(MelConfig config, Device device)
    {
        var bins = (config.FftSize / 2) + 1;
        var edges = BandEdges(config.Bands + 2, ToMel(config.MaxFrequency));
        var hertzPerBin = 1 / (config.FftSize * (1.0 / config.SampleRate));
        var filters = new float[config.Bands * bins];
        for (var band = 0; band < config.Bands; band++)
        {
            var (low, centre, high) = (edges[band], edges[band + 1], edges[band + 2]);
            var area = 2 / (high - low);
            for (var bin = 0; bin < bins; bin++)
            {
                var hertz = bin * hertzPerBin;
                var triangle = (float)Math.Max(0, Math.Min((hertz - low) / (centre - low), (high - hertz) / (high - centre)));
                filters[(band * bins) + bin] = (float)(triangle * area);
            }
        }

        return HostTransfers.Place(filters, device, config.Bands, bins);
    }

    private static double[] BandEdges(int count, double highestMel)
    {
        var step = highestMel / (count - 1);
        return [.. Enumerable.Range(0, count).Select(i => ToHertz(i == count - 1 ? highestMel : i * step))];
    }

    private static double ToMel(double hertz) =>
        hertz >= LogStartHertz ? LogStartMel + (Math.Log(hertz / LogStartHertz) / LogStep) : hertz / HertzPerMel;

    private static double ToHertz(double mel) =>
        mel >= LogStartMel ? LogStartHertz * Math.Exp(LogStep * (mel - LogStartMel)) : HertzPerMel * mel;
}
