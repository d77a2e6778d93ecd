using static TorchSharp.torch.nn.functional;

namespace Chatterbox.Audio;

/// <summary>Short-time Fourier transform under a periodic Hann window, of a signal mirrored at both ends.</summary>
/// <param name="fftSize">Samples of a frame and of the window.</param>
/// <param name="hop">Samples between frames.</param>
/// <param name="margin">Samples mirrored at either end: half a frame centres frame i on sample i·hop.</param>
/// <param name="owner">Keeps the window, on its device.</param>
internal sealed class Stft(int fftSize, int hop, int margin, WeightScope owner)
{
    private readonly Tensor _window = owner.Own(hann_window(fftSize, dtype: ScalarType.Float32, device: owner.Device));

    /// <summary>Fewest samples that can be mirrored.</summary>
    public int MinSamples => margin + 1;

    /// <param name="samples">[samples], float32, at least <see cref="MinSamples"/>.</param>
    /// <returns>Complex spectra, [fftSize / 2 + 1, frames].</returns>
    public Tensor Forward(Tensor samples)
    {
        using var scope = NewDisposeScope();
        var mirrored = pad(samples.reshape(1, 1, -1), (margin, margin), PaddingModes.Reflect).reshape(-1);
        return mirrored.stft(fftSize, hop, fftSize, _window, center: false, return_complex: true).MoveToOuterDisposeScope();
    }
}
