using static TorchSharp.torch.nn.functional;

namespace Chatterbox.Audio;

/// <summary>Kaldi's log mel filter bank at 16 kHz, less its mean over time: the input of CAM++.</summary>
/// <remarks>Ports extract_feature of chatterbox models/s3gen/xvector.py and, of torchaudio.compliance.kaldi.fbank, what
/// its defaults reach: no dither, whole frames only, energies of the power spectrum. Samples stay in [−1, 1].</remarks>
/// <param name="bands">Mel bands.</param>
/// <param name="owner">Keeps the tables, on its device.</param>
internal sealed class KaldiFbank(int bands, WeightScope owner)
{
    private const int SampleRate = 16000;
    private const int FrameSize = 400;
    private const int Hop = 160;
    private const int FftSize = 512; // the next power of two
    private const double LowestHertz = 20;
    private const double Preemphasis = 0.97;
    private const double Floor = 1.1920928955078125e-7;

    private readonly Tensor _window = owner.Own(PoveyWindow(owner.Device));
    private readonly Tensor _filters = owner.Own(Filters(bands, owner.Device));

    /// <param name="samples">[samples], at least one frame of 400.</param>
    /// <returns>[frames, bands], one for each 160 samples.</returns>
    public Tensor Forward(Tensor samples)
    {
        using var scope = NewDisposeScope();
        var frames = samples.unfold(0, FrameSize, Hop); // [frames, 400]
        frames = frames - frames.mean([1], keepdim: true);
        frames = frames - cat([frames[.., ..1], frames[.., ..^1]], 1).Mul(Preemphasis);
        var power = fft.rfft(pad(frames * _window, (0, FftSize - FrameSize))).abs().Square(); // [frames, 257]
        var log = matmul(power, _filters).ClampMin(Floor).log(); // [frames, bands]
        return (log - log.mean([0], keepdim: true)).MoveToOuterDisposeScope();
    }

    private static Tensor PoveyWindow(Device device)
    {
        using var scope = NewDisposeScope();
        return hann_window(FrameSize, periodic: false, dtype: ScalarType.Float32, device: device).Pow(0.85).MoveToOuterDisposeScope();
    }

    /// <summary>Triangles of height one, equally wide on the mel scale. In float32, as torchaudio computes them: rounding
    /// moves a triangle's sides by more than the parity bound.</summary>
    private static Tensor Filters(int bands, Device device)
    {
        using var scope = NewDisposeScope();
        var lowest = 1127 * Math.Log(1 + (LowestHertz / 700));
        var width = ((1127 * Math.Log(1 + (SampleRate / 2 / 700.0))) - lowest) / (bands + 1);
        var band = Arithmetic.Range(0, bands).unsqueeze(1);
        var left = band.Mul(width).Add(lowest);
        var centre = band.Add(1).Mul(width).Add(lowest);
        var right = band.Add(2).Mul(width).Add(lowest); // [bands, 1]
        var bins = Arithmetic.Range(0, FftSize / 2).Mul((double)SampleRate / FftSize);
        var mel = bins.Div(700).Add(1).log().Mul(1127).unsqueeze(0); // [1, 256]
        var triangles = minimum((mel - left) / (centre - left), (right - mel) / (right - centre)).ClampMin(0);
        return pad(triangles, (0, 1)).transpose(0, 1).contiguous().to(device).MoveToOuterDisposeScope(); // [257, bands]
    }
}
