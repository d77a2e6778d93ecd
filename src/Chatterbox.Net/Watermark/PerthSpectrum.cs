namespace Chatterbox.Watermark;

/// <summary>Samples to and from what the watermark network reads: a spectrum's phase, and its magnitude in dB, scaled.</summary>
/// <remarks>
/// Ports audio_processor.py of perth, perth_net/perth_net_implicit, with the conversions of utils.py. Weights: ap, where the
/// published file has the windows it was trained with; where they are missing they are computed.
/// </remarks>
internal sealed class PerthSpectrum
{
    private const double MaxExponent = 10;   // of the magnitude; a guard of the reference against overflow

    private readonly PerthConfig _config;
    private readonly double _minDb;
    private readonly double _rangeDb;
    private readonly Tensor _analysisWindow;
    private readonly Tensor _synthesisWindow;

    public PerthSpectrum(PerthConfig config, WeightScope weights)
    {
        _config = config;
        _minDb = 20 * Math.Log10(config.MinMagnitude);
        _rangeDb = config.HeadroomDb - _minDb;
        _analysisWindow = Window(weights["spectrogram"]);
        _synthesisWindow = Window(weights["inv_spectrogram"]);
        weights.Skip("stretch.phase_advance");   // for changes of speed in training

        Tensor Window(WeightScope scope) => scope.Has("window")
            ? scope.Get("window", config.FftSize)
            : scope.Own(hann_window(config.FftSize, device: scope.Device));
    }

    /// <summary>Fewest samples that the spectrum can be taken of: the ends are mirrored by half a window.</summary>
    public int MinSamples => (_config.FftSize / 2) + 1;

    /// <param name="samples">At least <see cref="MinSamples"/>, [rows, samples].</param>
    /// <returns>Magnitude, 0 at the floor, and phase in radians, both [rows, bins, frames].</returns>
    public (Tensor Magnitude, Tensor Phase) Analyse(Tensor samples)
    {
        using var scope = NewDisposeScope();
        var spectrum = stft(samples, _config.FftSize, _config.HopSize, _config.FftSize, _analysisWindow, return_complex: true);
        var db = spectrum.abs().ClampMin(_config.MinMagnitude).log10().Mul(20);
        return (db.Sub(_minDb).Div(_rangeDb).MoveToOuterDisposeScope(), spectrum.angle().MoveToOuterDisposeScope());
    }

    /// <param name="magnitude">Scaled as by <see cref="Analyse"/>, [rows, bins, frames].</param>
    /// <param name="phase">Radians, [rows, bins, frames].</param>
    /// <returns>[rows, (frames − 1) · hop].</returns>
    public Tensor Synthesize(Tensor magnitude, Tensor phase)
    {
        using var scope = NewDisposeScope();
        var db = magnitude.Mul(_rangeDb).Add(_minDb);
        var linear = tensor(10f).pow(db.Div(20).ClampMax(MaxExponent));
        var spectrum = complex(linear * phase.cos(), linear * phase.sin());
        return istft(spectrum, _config.FftSize, _config.HopSize, _config.FftSize, _synthesisWindow).MoveToOuterDisposeScope();
    }
}
