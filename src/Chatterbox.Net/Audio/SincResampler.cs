using Chatterbox.Ops.Cuda;
using static TorchSharp.torch.nn.functional;

namespace Chatterbox.Audio;

/// <summary>Resampling by a windowed sinc, as a convolution on the device: what S3Gen's reference speech was made with in
/// training, where <see cref="Resampler"/>, of better quality, is used for the rest.</summary>
/// <remarks>Ports torchaudio.transforms.Resample with its defaults: Hann window over six zero crossings, rolloff 0.99.</remarks>
internal sealed class SincResampler
{
    private const int ZeroCrossings = 6;
    private const double Rolloff = 0.99;

    private readonly int _from;
    private readonly int _to;
    private readonly int _width;
    private readonly TorchOps _ops;
    private readonly Tensor _kernels; // [to, 1, 2·width + from]

    /// <param name="from">Rate of the signal, in Hz.</param>
    /// <param name="to">Rate wanted, in Hz.</param>
    /// <param name="owner">Keeps the filter, on its device.</param>
    public SincResampler(int from, int to, WeightScope owner)
    {
        var divisor = (int)System.Numerics.BigInteger.GreatestCommonDivisor(from, to);
        (_from, _to) = (from / divisor, to / divisor);
        var cutoff = Math.Min(_from, _to) * Rolloff;
        _width = (int)Math.Ceiling(ZeroCrossings * _from / cutoff);
        _ops = owner.Ops;
        _kernels = owner.Own(Kernels(cutoff, owner.Device));
    }

    /// <param name="samples">[samples].</param>
    /// <returns>[⌈samples · to / from⌉].</returns>
    public Tensor Forward(Tensor samples)
    {
        using var scope = NewDisposeScope();
        var length = ((samples.shape[0] * _to) + _from - 1) / _from;
        var padded = pad(samples, (_width, _width + _from)).reshape(1, 1, -1);
        var phases = _ops.Convolve(padded, _kernels, bias: null, stride: _from); // [1, to, steps]
        return phases.transpose(1, 2).reshape(-1)[..(int)length].MoveToOuterDisposeScope();
    }

    private Tensor Kernels(double cutoff, Device device)
    {
        var taps = (2 * _width) + _from;
        var kernels = new float[_to * taps];
        for (var phase = 0; phase < _to; phase++)
        {
            for (var tap = 0; tap < taps; tap++)
            {
                var t = Math.Clamp((((double)-phase / _to) + ((double)(tap - _width) / _from)) * cutoff, -ZeroCrossings, ZeroCrossings);
                var window = Math.Pow(Math.Cos(t * Math.PI / ZeroCrossings / 2), 2);
                var sinc = t == 0 ? 1 : Math.Sin(t * Math.PI) / (t * Math.PI);
                kernels[(phase * taps) + tap] = (float)(sinc * window * (cutoff / _from));
            }
        }

        return HostTransfers.Place(kernels, device, _to, 1, taps);
    }
}
