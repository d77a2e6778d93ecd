using Chatterbox.Audio;
using Chatterbox.Ops.Cuda;

namespace Chatterbox.Watermark;

/// <summary>
/// Resemble AI's PerTh watermark: marks speech inaudibly as made by a machine, and finds the mark again. It says only that
/// there is one; it carries no message.
/// </summary>
/// <remarks>
/// Ports perth_watermarker.py of perth, perth_net/perth_net_implicit. Weights: a file of their own, kept in float32 whatever
/// the store's element type; only the copy that fused kernels have of the network that makes the mark is in fp16. Safe for use by several
/// threads at once.
/// </remarks>
internal sealed class PerthWatermarker
{
    private readonly PerthConfig _config;
    private readonly Device _device;
    private readonly PerthSpectrum _spectrum;
    private readonly PerthEncoder? _encoder; // null where fused kernels have their own copy
    private readonly LazyNetwork<PerthDecoder> _decoder;
    private readonly FusedPerth? _fused;

    /// <param name="config">Sizes.</param>
    /// <param name="weights">The file.</param>
    /// <param name="precision">Whether the network that makes the mark may run on fused kernels.</param>
    public PerthWatermarker(PerthConfig config, WeightScope weights, Precision precision = Precision.Full)
    {
        (_config, _device) = (config, weights.Device);
        NotFusedReason = FusedPerth.UnsupportedReason(config, _device, precision);
        var wide = weights.InFloat32;
        _spectrum = new(config, wide["ap"]);
        _decoder = new(wide, scope => new(config, scope));
        if (NotFusedReason is not null)
        {
            _encoder = new(config, wide);
            return;
        }

        using var passing = new OwnedWeights();
        _fused = weights.Own(new FusedPerth(config, _spectrum, new PerthEncoder(config, wide.InHost(passing)).Convs, _device));
    }

    /// <summary>Why marks are made by the plain operations; null where by fused kernels.</summary>
    public string? NotFusedReason { get; }

    /// <summary>Adds the mark.</summary>
    /// <param name="samples">One channel. Silence stays as it is, and so does what is too short for a mark: up to half an
    /// STFT window, 32 ms.</param>
    /// <param name="sampleRate">Hz.</param>
    /// <returns>
    /// Marked samples at the same rate. As in the reference, the end is cut to whole hops of the network's STFT (10 ms):
    /// nothing is lost of speech, which comes in pieces of 20 ms, and up to 10 ms of other recordings.
    /// </returns>
    public float[] Mark(ReadOnlySpan<float> samples, int sampleRate)
    {
        using var scope = NewDisposeScope();
        return HostTransfers.Read(Mark(HostTransfers.Place(samples, _device), sampleRate));
    }

    /// <summary>Adds the mark to samples on the watermarker's device, which nobody waits for.</summary>
    /// <param name="samples">One channel, [samples], float32.</param>
    /// <param name="sampleRate">Hz.</param>
    /// <param name="loudest">Level of the loudest frame so far of an utterance that they are a part of, [1, 1, 1]: raised where this
    /// part has a louder one. Null where the samples are all of it.</param>
    /// <returns>As of the other overload, [samples].</returns>
    public Tensor Mark(Tensor samples, int sampleRate, Tensor? loudest = null)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(sampleRate);
        using var scope = NewDisposeScope();
        var signal = Resampler.Resample(samples, sampleRate, _config.SampleRate);
        if (signal.size(0) < _spectrum.MinSamples)
        {
            return samples.alias().MoveToOuterDisposeScope();
        }

        var marked = _fused is null ? AddMark(signal, loudest) : _fused.AddMark(signal, loudest);
        return Resampler.Resample(marked, _config.SampleRate, sampleRate).MoveToOuterDisposeScope();
    }

    /// <summary>Marks one utterance piece by piece as it comes.</summary>
    /// <param name="sampleRate">Hz; a multiple of 100.</param>
    public PerthStream OpenStream(int sampleRate) => new(_config, this, sampleRate, _device);

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
        var signal = PolyphaseResampler.Resample(samples, sampleRate, _config.SampleRate);
        if (signal.Length < _spectrum.MinSamples)
        {
            return null;
        }

        using var scope = NewDisposeScope();
        var confidence = _decoder
            .Value.Forward(_spectrum.Magnitude(_spectrum.Analyse(HostTransfers.Place(signal, _device).unsqueeze(0))))
            .Clamp(0, 1)
            .item<float>();
        return float.IsNaN(confidence) ? null : confidence;
    }

    /// <summary>True if the mark is there: <see cref="Detect"/>'s confidence, rounded, is 1. False where nothing can be said.</summary>
    /// <inheritdoc cref="Detect"/>
    public bool IsMarked(ReadOnlySpan<float> samples, int sampleRate) => Detect(samples, sampleRate) > 0.5;

    /// <summary>Raises the lowest bins of a signal's loud frames, at the network's rate.</summary>
    /// <param name="signal">[samples].</param>
    /// <param name="loudest">As of <see cref="Mark(Tensor, int, Tensor?)"/>.</param>
    /// <returns>[samples], cut to whole hops.</returns>
    private Tensor AddMark(Tensor signal, Tensor? loudest)
    {
        using var scope = NewDisposeScope();
        var spectrum = _spectrum.Analyse(signal.unsqueeze(0));
        var magnitude = _spectrum.Magnitude(spectrum);
        loudest?.copy_(maximum(loudest, PerthEncoder.Loudest(magnitude)));
        _spectrum.AddMark(spectrum, magnitude, _encoder!.Forward(magnitude, loudest));
        return _spectrum.Synthesize(spectrum).squeeze(0).MoveToOuterDisposeScope();
    }
}
