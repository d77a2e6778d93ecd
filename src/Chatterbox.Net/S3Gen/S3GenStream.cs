namespace Chatterbox.S3Gen;

/// <summary>The mel of one utterance, made in passes while its speech tokens are still coming.</summary>
/// <remarks>
/// The encoder and the flow's estimator attend to the whole sequence, so that nothing which a pass computes of prompt or past
/// holds in the next: each pass runs over the prompt, some of the past, and all that is no sound yet. What stays the same
/// is what goes in: the tokens as the look ahead sees them (the last ones are held back until those behind them are known)
/// and each frame's noise. A frame's mel then differs from the whole utterance's by what it does not attend to: the
/// future beyond its pass, and the past beyond the left context. Frames that were made before and are made again go over
/// from the old mel to the new one, so that nothing jumps where the new pass begins to be heard. The first pass, which is
/// waited for, may see the end of the prompt alone.
/// </remarks>
internal sealed class S3GenStream : IDisposable
{
    private readonly S3GenConfig _config;
    private readonly S3GenModel _model;
    private readonly S3GenPrompt _voice;
    private readonly int _leftContext;
    private readonly int _firstPrompt;
    private readonly int _upsampling; // frames a token
    private readonly int _promptFrames; // of the prompt's tokens
    private readonly NoiseSource _drawn; // of both noises
    private readonly FrameNoise _noise; // of the frames of new tokens
    private readonly Tensor _promptMel; // [1, frames, bands]
    private Tensor? _promptNoise; // [frames, bands]; from the first pass on, as is the speaker
    private Tensor? _speaker; // [1, bands]
    private Tensor _pending; // mel that has been made and is no sound yet, [1, bands, frames]
    private long _pendingFrom; // its first frame
    private long _begunFrom; // the first frame of the pass that has begun
    private int _seenOfPass; // frames of that pass that are prompt or sound already

    public S3GenStream(S3GenConfig config, S3GenModel model, S3GenPrompt voice, NoiseSource noise, int leftContext, int firstPrompt)
    {
        model.Check(voice);
        _config = config;
        _model = model;
        _voice = voice;
        _leftContext = leftContext;
        _firstPrompt = firstPrompt;
        _upsampling = config.Encoder.Upsampling;
        _promptFrames = voice.SpeechTokens.Count * _upsampling;
        ExtraFrames = (voice.Mel.Count / config.MelBands) - _promptFrames;
        var device = model.Flow.Times.device;
        _drawn = noise;
        _noise = new(noise, config.MelBands, device);
        _promptMel = model.PadPrompt(voice.Mel, _promptFrames + ExtraFrames).DetachFromDisposeScope();
        _pending = zeros([1, config.MelBands, 0], device: device).DetachFromDisposeScope();
    }

    /// <summary>Frames that the prompt's mel has beyond its tokens; the first new tokens have as many fewer.</summary>
    public int ExtraFrames { get; }

    /// <summary>Frames that the last pass went over: those of the prompt that it saw, some of the past, and the new ones.</summary>
    public int PassFrames { get; private set; }

    /// <summary>Makes a pass.</summary>
    /// <param name="speechTokens">All speech tokens so far.</param>
    /// <param name="from">The first frame that is not sound yet: those before it are not made again.</param>
    /// <param name="last">True where no token follows; otherwise the last few are only looked ahead to.</param>
    /// <param name="cancellationToken">Looked at before each step of the flow.</param>
    /// <returns>Mel of the new speech from frame <paramref name="from"/> on, [1, bands, frames]; counted as in
    /// <see cref="S3GenModel.Generate"/>.</returns>
    /// <exception cref="RequestException">There are no tokens, or one is not of this model.</exception>
    /// <exception cref="VoiceException">The voice does not fit this model.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="cancellationToken"/> was cancelled.</exception>
    public Tensor Next(IReadOnlyList<int> speechTokens, long from, bool last, CancellationToken cancellationToken = default)
    {
        using var scope = NewDisposeScope();
        var pass = Begin(speechTokens, from, last);
        return End(pass is null ? null : _model.Flow.Integrate(pass, progress: null, cancellationToken)).MoveToOuterDisposeScope();
    }

    /// <summary>Prepares a pass, up to the flow; <see cref="End"/> follows.</summary>
    /// <inheritdoc cref="Next"/>
    /// <returns>What the flow is to do; null where too few tokens are known.</returns>
    public FlowPass? Begin(IReadOnlyList<int> speechTokens, long from, bool last)
    {
        _model.Check(speechTokens, _voice);
        using var scope = NewDisposeScope();
        var firstToken = (int)Math.Max(0, ((from + ExtraFrames) / _upsampling) - _leftContext);
        var heldBack = last ? 0 : _config.Encoder.Lookahead;
        var newFrames = (speechTokens.Count - firstToken - heldBack) * _upsampling;
        var past = from + ExtraFrames - (firstToken * _upsampling); // frames of new tokens that are sound
        if (newFrames <= past)
        {
            return null;
        }

        var unseen = from == 0 && !last ? Math.Max(0, _voice.SpeechTokens.Count - _firstPrompt) : 0; // tokens of the prompt
        var (unseenFrames, seenFrames) = (unseen * _upsampling, _promptFrames - (unseen * _upsampling));
        PassFrames = seenFrames + newFrames;
        (_begunFrom, _seenOfPass) = (from, (int)(seenFrames + past));
        var hidden = _model.Encode([.. _voice.SpeechTokens.Skip(unseen), .. speechTokens.Skip(firstToken)], complete: last);
        var mu = _model.Project(hidden); // [1, frames, bands]
        _speaker ??= _model.ProjectSpeaker(_voice.XVector).DetachFromDisposeScope(); // while a GPU encodes
        _promptNoise ??= DrawForPrompt().DetachFromDisposeScope();
        var promptFrames = firstToken == 0 ? seenFrames + ExtraFrames : seenFrames;
        var prompt = nn.functional.pad(_promptMel.narrow(1, unseenFrames, promptFrames), (0, 0, 0, PassFrames - promptFrames));
        var noise = cat([_promptNoise.narrow(0, unseenFrames, seenFrames), _noise.From(firstToken * _upsampling, newFrames)]).unsqueeze(0);
        return new FlowPass(noise.to(mu.dtype), new(mu, _speaker.alias(), prompt)).MoveToOuterDisposeScope();
    }

    /// <summary>Ends the pass.</summary>
    /// <param name="mel">What the flow made of it, [1, frames, bands]; null where there was nothing to do.</param>
    /// <returns>As <see cref="Next"/>.</returns>
    public Tensor End(Tensor? mel)
    {
        if (mel is null)
        {
            return zeros([1, _config.MelBands, 0], device: _pending.device);
        }

        using var scope = NewDisposeScope();
        var joined = JoinPending(mel.narrow(1, _seenOfPass, PassFrames - _seenOfPass).transpose(1, 2), _begunFrom);
        _pending.Dispose();
        _pending = joined.contiguous().DetachFromDisposeScope();
        _pendingFrom = _begunFrom;
        return _pending.alias().MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _promptNoise?.Dispose();
        _noise.Dispose();
        _speaker?.Dispose();
        _promptMel.Dispose();
        _pending.Dispose();
    }

    private Tensor DrawForPrompt()
    {
        using var drawn = new FrameNoise(_drawn, _config.MelBands, _pending.device);
        return drawn.From(0, _promptFrames);
    }

    /// <summary>Where frames were made before, fades from the old mel to the new one.</summary>
    private Tensor JoinPending(Tensor mel, long from)
    {
        var both = Math.Min(_pendingFrom + _pending.size(2) - from, mel.size(2));
        if (from == 0 || both <= 0)
        {
            return mel; // nothing of the old mel has been heard
        }

        var weight = linspace(0, 1, both + 2, device: mel.device).narrow(0, 1, both);
        var old = _pending.narrow(2, from - _pendingFrom, both);
        return cat([old.Add(weight * (mel.narrow(2, 0, both) - old)), mel.narrow(2, both, mel.size(2) - both)], 2);
    }
}
