using static TorchSharp.torch.nn.functional;

namespace Chatterbox.Watermark;

/// <summary>Samples to and from what the watermark network reads: a spectrum's magnitude in dB, scaled.</summary>
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
    /// <returns>Complex, [rows, bins, frames].</returns>
    public Tensor Analyse(Tensor samples) => stft(samples, _config.FftSize, _config.HopSize, _config.FftSize, _analysisWindow, return_complex: true);

    /// <summary>The network's input.</summary>
    /// <param name="spectrum">From <see cref="Analyse"/>.</param>
    /// <returns>Magnitude in dB, scaled, 0 at the floor, [rows, bins, frames].</returns>
    public Tensor Magnitude(Tensor spectrum)
    {
        using var scope = NewDisposeScope();
        var logarithm = spectrum.abs().ClampMin(_config.MinMagnitude).log10();
        return logarithm.Mul(20 / _rangeDb).Sub(_minDb / _rangeDb).MoveToOuterDisposeScope();
    }

    /// <summary>Raises the lowest bins; their phase stays.</summary>
    /// <param name="spectrum">Raised in place, [rows, bins, frames].</param>
    /// <param name="magnitude">What <see cref="Magnitude"/> says of it.</param>
    /// <param name="change">Added to the magnitude, [rows, raised bins, frames].</param>
    public void Raise(Tensor spectrum, Tensor magnitude, Tensor change)
    {
        using var scope = NewDisposeScope();
        var nepers = _rangeDb / 20 * Math.Log(10);
        var highest = (MaxExponent * Math.Log(10)) - (_minDb / 20 * Math.Log(10));
        var before = magnitude.narrow(1, 0, change.shape[1]).Mul(nepers);
        var after = before.Add(change.Mul(nepers)).ClampMax(highest);
        view_as_real(spectrum).narrow(1, 0, change.shape[1]).mul_((after - before).exp().unsqueeze(-1));
    }

    /// <param name="spectrum">[rows, bins, frames].</param>
    /// <returns>[rows, (frames − 1) · hop].</returns>
    public Tensor Synthesize(Tensor spectrum)
    {
        // torch's istft waits for the GPU to say that no sample is divided by zero.
        using var scope = NewDisposeScope();
        var (frames, margin) = (spectrum.shape[2], _config.FftSize / 2);
        var sum = OverlapAdd(fft.irfft(spectrum.transpose(1, 2), _config.FftSize) * _synthesisWindow);
        var weight = OverlapAdd(_synthesisWindow.Square().expand(1, frames, -1));
        return (sum / weight).narrow(1, margin, (frames - 1) * _config.HopSize).MoveToOuterDisposeScope();
    }

    /// <param name="frames">[rows, frames, size].</param>
    /// <returns>[rows, samples], up to the next whole hop behind the last frame.</returns>
    private Tensor OverlapAdd(Tensor frames)
    {
        using var scope = NewDisposeScope();
        var (rows, count, size, hop) = (frames.shape[0], frames.shape[1], frames.shape[2], (long)_config.HopSize);
        var pieces = (size + hop - 1) / hop;
        var parts = pad(frames, (0, pieces * hop - size)).unflatten(2, pieces, hop);               // [rows, frames, pieces, hop]
        var sum = zeros([rows, count + pieces - 1, hop], frames.dtype, frames.device);
        for (var piece = 0; piece < pieces; piece++)
        {
            sum.narrow(1, piece, count).AddInPlace(parts.select(2, piece));
        }

        return sum.flatten(1).MoveToOuterDisposeScope();
    }
}
