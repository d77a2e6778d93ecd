using Chatterbox.Audio;
using Chatterbox.Ops.Cuda;

namespace Chatterbox.Watermark;

/// <summary>
/// Resemble AI's PerTh watermark: marks speech inaudibly as made by a machine, and finds the mark again. It says only that
/// there is one; it carries no message.
/// </summary>
/// <remarks>
/// Ports perth_watermarker.py of perth, perth_net/perth_net_implicit. Weights: a file of their own, kept in float32 whatever
/// the store's element type. Safe for use by several threads at once.
/// </remarks>
internal sealed class PerthWatermarker(PerthConfig config, WeightScope weights)
{
    private readonly Device _device = weights.Device;
    private readonly PerthSpectrum _spectrum = new(config, weights.InFloat32["ap"]);
    private readonly PerthNet _net = new(config, weights.InFloat32);

    /// <summary>Adds the mark.</summary>
    /// <param name="samples">One channel. Silence stays as it is, and so does what is too short for a mark: up to half an
    /// STFT window, 32 ms.</param>
    /// <param name="sampleRate">Hz.</param>
    /// <returns>
    /// Marked samples at the same rate. As in the reference, the end is cut to whole hops of the network's STFT (10 ms):
    /// nothing is lost of speech, which comes in pieces of 20 ms, and up to 10 ms of other recordings.
    /// </returns>
    public float[] Mark(ReadOnlySpan<float> samples, int sampleRate) => MarkPart(samples, sampleRate, loudest: null);

    /// <summary>Marks one utterance piece by piece as it comes.</summary>
    /// <param name="sampleRate">Hz; a multiple of 100.</param>
    public PerthStream OpenStream(int sampleRate) => new(config, this, sampleRate, _device);

    /// <summary>Adds the mark to a part of an utterance.</summary>
    /// <param name="samples">One channel.</param>
    /// <param name="sampleRate">Hz.</param>
    /// <param name="loudest">Level of the utterance's loudest frame so far, [1, 1, 1]: raised where this part has a louder
    /// one. Null where the part is the whole.</param>
    internal float[] MarkPart(ReadOnlySpan<float> samples, int sampleRate, Tensor? loudest)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(sampleRate);
        using var scope = NewDisposeScope();
        var signal = Resampler.Resample(HostCopies.Place(samples, _device), sampleRate, config.SampleRate);
        if (signal.shape[0] < _spectrum.MinSamples)
        {
            return samples.ToArray();
        }

        var spectrum = _spectrum.Analyse(signal.unsqueeze(0));
        var magnitude = _spectrum.Magnitude(spectrum);
        loudest?.copy_(maximum(loudest, PerthNet.Loudest(magnitude)));
        _spectrum.Raise(spectrum, magnitude, _net.Encode(magnitude, loudest));
        var marked = _spectrum.Synthesize(spectrum);
        return HostCopies.Read(Resampler.Resample(marked[0], config.SampleRate, sampleRate));
    }

    /// <summary>Looks for the mark.</summary>
    /// <param name="samples">One channel.</param>
    /// <param name="sampleRate">Hz.</param>
    /// <returns>
    /// Confidence that there is a mark, 0 to 1; null where nothing can be said: of silence (for which the reference's
    /// answer is not a number) and of less than half an STFT window, 32 ms (for which it fails).
    /// </returns>
    public double? Detect(ReadOnlySpan<float> samples, int sampleRate)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(sampleRate);
        var signal = PolyphaseResampler.Resample(samples, sampleRate, config.SampleRate);
        if (signal.Length < _spectrum.MinSamples)
        {
            return null;
        }

        using var scope = NewDisposeScope();
        var confidence = _net.Decode(_spectrum.Magnitude(_spectrum.Analyse(Row(signal)))).Clamp(0, 1).item<float>();
        return float.IsNaN(confidence) ? null : confidence;
    }

    /// <summary>True if the mark is there: <see cref="Detect"/>'s confidence, rounded, is 1. False where nothing can be said.</summary>
    /// <inheritdoc cref="Detect"/>
    public bool IsMarked(ReadOnlySpan<float> samples, int sampleRate) => Detect(samples, sampleRate) > 0.5;

    private Tensor Row(float[] signal) => tensor(signal, device: _device).unsqueeze(0);
}
