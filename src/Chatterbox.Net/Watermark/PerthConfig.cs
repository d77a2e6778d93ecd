namespace Chatterbox.Watermark;

/// <summary>Sizes and constants of the watermark.</summary>
/// <remarks>Source: perth perth_net/perth_net_implicit/config.py, and the hyperparameters saved beside its checkpoint.</remarks>
internal sealed record PerthConfig
{
    /// <summary>Rate at which the network works, Hz.</summary>
    public int SampleRate { get; init; } = 32000;

    /// <summary>Size of the STFT and of its window, samples.</summary>
    public int FftSize { get; init; } = 2048;

    /// <summary>Step of the STFT, samples.</summary>
    public int HopSize { get; init; } = 320;

    /// <summary>Magnitudes below this count as this.</summary>
    public double MinMagnitude { get; init; } = 1e-9;

    /// <summary>Level that is scaled to 1, dB; <see cref="MinMagnitude"/> is scaled to 0.</summary>
    public double HeadroomDb { get; init; } = 15;

    /// <summary>The mark lies below this frequency, Hz.</summary>
    public double MaxMarkFrequency { get; init; } = 2000;

    /// <summary>Frames fainter than this part of the loudest are left alone.</summary>
    public double MaskFraction { get; init; } = 0.05;

    /// <summary>Channels of the convolutions.</summary>
    public int HiddenSize { get; init; } = 256;

    /// <summary>Bins of the spectrum.</summary>
    public int Bins => (FftSize / 2) + 1;

    /// <summary>Lowest bins, which carry the mark.</summary>
    public int MarkedBins => (int)Math.Round(Bins * MaxMarkFrequency / (SampleRate / 2.0), MidpointRounding.ToEven);
}
