namespace Chatterbox.HiFT;

/// <summary>The waveform of one utterance, made piece by piece as its mel comes: the pieces joined are the waveform of the
/// whole mel.</summary>
/// <remarks>
/// A frame becomes sound once <see cref="HiFTGenerator.Lookahead"/> frames behind it are known, or the end. What the next
/// frames need of those before is kept: mel and source as far as the network sees, and the cycles that the sines have made,
/// unwrapped in float64, so that phases go on and are rounded as in the whole. Noise is drawn frame by frame, in another
/// order than the reference's, which would need to know the number of frames.
/// </remarks>
internal sealed class HiFTStream : IDisposable
{
    private readonly HiFTGenerator _hift;
    private readonly int _sines;
    private readonly FrameNoise _noise;
    private readonly Tensor _phases; // [1, sines, 1]
    private Tensor _mel; // of the last frames that are sound, [1, bands, frames]
    private Tensor _source; // of the same frames, [1, 1, samples]
    private Tensor _cycles; // before the first frame that is not sound yet, [1, sines, 1]

    public HiFTStream(HiFTConfig config, HiFTGenerator hift, NoiseSource noise, Device device)
    {
        _hift = hift;
        _sines = config.Overtones + 1;
        _phases = hift.DrawPhases(noise, rows: 1).DetachFromDisposeScope();
        _noise = new(noise, _sines * config.SamplesPerFrame, device);
        _mel = zeros([1, config.MelBands, 0], device: device).DetachFromDisposeScope();
        _source = zeros([1, 1, 0], device: device).DetachFromDisposeScope();
        _cycles = zeros([1, _sines, 1], ScalarType.Float64, device).DetachFromDisposeScope();
    }

    /// <summary>Frames that have become sound.</summary>
    public long Frames { get; private set; }

    /// <summary>Makes the next piece.</summary>
    /// <param name="mel">All that is known of the mel from frame <see cref="Frames"/> on, [1, bands, frames]; frames given
    /// before may have changed.</param>
    /// <param name="last">True where the mel ends with these frames.</param>
    /// <returns>The samples of the frames that become sound by it, [1, samples]; none if too few frames are known.</returns>
    public Tensor Next(Tensor mel, bool last)
    {
        using var scope = NewDisposeScope();
        var (past, known) = (_mel.size(2), mel.size(2));
        var made = last ? known : Math.Max(0, known - _hift.Lookahead);
        if (made == 0)
        {
            return zeros([1, 0], device: _phases.device).MoveToOuterDisposeScope();
        }

        mel = cat([_mel, mel], 2);
        var f0 = _hift.PredictF0(mel).narrow(1, past, known);
        var source = cat([_source, _hift.MakeSource(f0, Noise(known), _cycles)], 2);
        var samples = _hift.Decode(mel, source).narrow(1, past * _hift.SamplesPerFrame, made * _hift.SamplesPerFrame);

        Frames += made;
        var kept = Math.Min(past + made, _hift.Context);
        Keep(ref _mel, mel.narrow(2, past + made - kept, kept));
        Keep(ref _source, source.narrow(2, (past + made - kept) * _hift.SamplesPerFrame, kept * _hift.SamplesPerFrame));
        Keep(ref _cycles, _cycles.Add(_hift.CountCycles(f0.narrow(1, 0, made))));
        return samples.MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _noise.Dispose();
        _phases.Dispose();
        _mel.Dispose();
        _source.Dispose();
        _cycles.Dispose();
    }

    private SourceNoise Noise(long frames)
    {
        var drawn = _noise.From(Frames, frames).unflatten(1, [_sines, _hift.SamplesPerFrame]); // [frames, sines, samples]
        return new(_phases, drawn.transpose(0, 1).flatten(1).unsqueeze(0));
    }

    /// <summary>Replaces what is kept by a copy, so that nothing larger stays alive.</summary>
    private static void Keep(ref Tensor kept, Tensor next)
    {
        kept.Dispose();
        kept = next.clone().DetachFromDisposeScope();
    }
}
