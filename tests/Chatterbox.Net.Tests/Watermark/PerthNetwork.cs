using Chatterbox.Models;
using Chatterbox.Watermark;
using Chatterbox.Weights;

namespace Chatterbox.Tests.Watermark;

/// <summary>The full-size watermark network on synthetic weights, built once for a class of tests.</summary>
public sealed class PerthNetwork : IDisposable
{
    private readonly WeightStore _store = new(SyntheticTensors.FullSize("perth_net"), TestDevice.Device);

    public PerthNetwork()
    {
        Spectrum = new(Config, _store.Root["ap"]);
        Encoder = new(Config, _store.Root);
        Decoder = new(Config, _store.Root);
        Watermarker = new(Config, _store.Root);
        _store.ThrowIfFaulty();
    }

    internal PerthConfig Config { get; } = new();

    internal PerthSpectrum Spectrum { get; }

    internal PerthEncoder Encoder { get; }

    internal PerthDecoder Decoder { get; }

    internal PerthWatermarker Watermarker { get; }

    public void Dispose() => _store.Dispose();
}
