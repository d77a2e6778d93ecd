using static TorchSharp.torch.nn.functional;

namespace Chatterbox.Watermark;

/// <summary>Samples to and from what the watermark network reads: a spectrum's magnitude in dB, scaled.</summary>
/// <remarks>
/// Ports audio_processor.py of perth, perth_net/perth_net_implicit, with the conversions of utils.py. Weights: ap, where the
/// published file has the windows it was trained with; where they are missing they are computed.
/// </remarks>
internal sealed class PerthSpectrum
{
    /// <summary>Most that a magnitude is raised to: a guard of the reference against overflow.</summary>
    public const double MaxMagnitude = 1e10;

    private readonly PerthConfig _config;

    public PerthSpectrum(PerthConfig config, WeightScope weights)
    {
        _config = config;
        var minDb = 20 * Math.Log10(config.MinMagnitude);
        Scale = 20 / (config.HeadroomDb - minDb);
        Shift = -minDb / (config.HeadroomDb - minDb);
        AnalysisWindow = Window(weights["spectrogram"]);
        SynthesisWindow = Window(weights["inv_spectrogram"]);
        weights.Skip("stretch.phase_advance"); // for changes of speed in training

        Tensor Window(WeightScope scope) =>
            scope.Has("window") ? scope.Get("window", config.FftSize) : scope.Own(hann_window(config.FftSize, device: scope.Device));
    }

    /// <summary>Window on the way there, [FFT size].</summary>
    public Tensor AnalysisWindow { get; }

    /// <summary>Window on the way back, [FFT size].</summary>
    public Tensor SynthesisWindow { get; }

    /// <summary>What a factor of ten adds to a scaled magnitude.</summary>
    public double Scale { get; }

    /// <summary>The scaled magnitude of 1.</summary>
    public double Shift { get; }

    /// <summary>Natural logarithm of the factor that adds 1 to a scaled magnitude.</summary>
    public double Nepers => Math.Log(10) / Scale;

    /// <summary>Fewest samples that the spectrum can be taken of: the ends are mirrored by half a window.</summary>
    public int MinSamples => (_config.FftSize / 2) + 1;

    /// <param name="samples">At least <see cref="MinSamples"/>, [rows, samples].</param>
    /// <returns>Complex, [rows, bins, frames].</returns>
    public Tensor Analyse(Tensor samples) =>
        stft(samples, _config.FftSize, _config.HopSize, _config.FftSize, AnalysisWindow, return_complex: true);

    /// <summary>The network's input.</summary>
    /// <param name="spectrum">From <see cref="Analyse"/>.</param>
    /// <returns>Magnitude in dB, scaled, 0 at the floor, [rows, bins, frames].</returns>
    public Tensor Magnitude(Tensor spectrum)
    {
        using var scope = NewDisposeScope();
        return spectrum.abs().ClampMin(_config.MinMagnitude).log10().Mul(Scale).Add(Shift).MoveToOuterDisposeScope();
    }

    /// <summary>Raises the lowest bins; their phase stays.</summary>
    /// <param name="spectrum">Raised in place, [rows, bins, frames].</param>
    /// <param name="magnitude">What <see cref="Magnitude"/> says of it.</param>
    /// <param name="change">Added to the magnitude, [rows, raised bins, frames].</param>
    public void AddMark(Tensor spectrum, Tensor magnitude, Tensor change)
    {
        using var scope = NewDisposeScope();
        var highest = Math.Log(MaxMagnitude) + (Shift * Nepers);
        var before = magnitude.narrow(1, 0, change.shape[1]).Mul(Nepers);
        var after = before.Add(change.Mul(Nepers)).ClampMax(highest);
        view_as_real(spectrum).narrow(1, 0, change.shape[1]).mul_((after - before).exp().unsqueeze(-1));
    }

    /// <param name="spectrum">[rows, bins, frames].</param>
    /// <returns>[rows, (frames − 1) · hop].</returns>
    public Tensor Synthesize(Tensor spectrum)
    {
        // torch's istft waits for the GPU to say that no sample is divided by zero.
        using var scope = NewDisposeScope();
        var (frames, margin) = (spectrum.shape[2], _config.FftSize / 2);
        var sum = OverlapAdd(fft.irfft(spectrum.transpose(1, 2), _config.FftSize) * SynthesisWindow);
        var weight = OverlapAdd(SynthesisWindow.Square().expand(1, frames, -1));
        return (sum / weight).narrow(1, margin, (frames - 1) * _config.HopSize).MoveToOuterDisposeScope();
    }

    /// <param name="frames">[rows, frames, size].</param>
    /// <returns>[rows, samples], up to the next whole hop behind the last frame.</returns>
    private Tensor OverlapAdd(Tensor frames)
    {
        using var scope = NewDisposeScope();
        var (rows, count, size, hop) = (frames.shape[0], frames.shape[1], frames.shape[2], (long)_config.HopSize);
        var pieces = (size + hop - 1) / hop;
        var parts = pad(frames, (0, pieces * hop - size)).unflatten(2, pieces, hop); // [rows, frames, pieces, hop]
        var sum = zeros([rows, count + pieces - 1, hop], frames.dtype, frames.device);
        for (var piece = 0; piece < pieces; piece++)
        {
            sum.narrow(1, piece, count).AddInPlace(parts.select(2, piece));
        }

        return sum.flatten(1).MoveToOuterDisposeScope();
    }
}
