namespace Chatterbox.T3;

/// <summary>The decoder on plain operations: one prefill for each sequence, then a step for each of its speech tokens.</summary>
/// <remarks>
/// A step runs its sequences one after the other, each over its own keys and values; the two rows of guidance run together. Matrix
/// products of torch round differently for another number of rows, so wider ones would let a sequence's company into its speech.
/// </remarks>
/// <param name="model">The model.</param>
/// <param name="capacity">Most sequences that may be open at once.</param>
internal sealed class PlainT3Decoder(T3Model model, int capacity) : SequentialT3Decoder<PlainT3Sequence>(model, capacity)
{
    /// <summary>Runs the model over one speech token of a sequence, so that its logits are those of the next.</summary>
    /// <param name="sequence">The sequence.</param>
    /// <param name="speechToken">Id, [1, 1], int64.</param>
    public void Feed(PlainT3Sequence sequence, Tensor speechToken)
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        sequence.Fed++;
        Run(sequence, Model.Embed(speechToken, sequence.Fed).expand(sequence.Rows.Count, -1, -1));
    }

    /// <summary>Brings a sequence that was just opened to where another of the same request is.</summary>
    /// <param name="sequence">The sequence.</param>
    /// <param name="speechTokens">Those of the other one, as drawn.</param>
    public void Replay(PlainT3Sequence sequence, IReadOnlyList<int> speechTokens)
    {
        using var mode = inference_mode();
        foreach (var token in speechTokens)
        {
            FeedLast(sequence);
            sequence.Replay(token);
        }
    }

    /// <inheritdoc/>
    public override void Dispose() { }

    /// <inheritdoc/>
    protected override PlainT3Sequence Create(int textTokens, SamplingSettings settings, NoiseSource noise, Action release) =>
        new(Model, settings, noise, release);

    /// <inheritdoc/>
    protected override void Prefill(PlainT3Sequence sequence, Tensor prefix, SamplingSettings settings)
    {
        sequence.Cache.Reserve((int)prefix.shape[1] + settings.MaxSpeechTokens);
        Run(sequence, prefix);
    }

    /// <inheritdoc/>
    protected override void Advance(PlainT3Sequence sequence)
    {
        FeedLast(sequence);
        sequence.Draw();
    }

    /// <summary>Feeds the last token, when the next is wanted: the last of all never needs to be.</summary>
    private void FeedLast(PlainT3Sequence sequence)
    {
        if (sequence.SpeechTokens.Count > 0)
        {
            Feed(sequence, sequence.LastToken);
        }
    }

    private void Run(PlainT3Sequence sequence, Tensor x)
    {
        using var scope = NewDisposeScope();
        sequence.Logits.copy_(Model.Forward(x, sequence.Cache, sequence.Rows));
        sequence.Rows = sequence.Rows with { Start = sequence.Rows.Start + (int)x.shape[1] };
    }
}

/// <summary>One request in a <see cref="PlainT3Decoder"/>.</summary>
internal sealed class PlainT3Sequence : T3Sequence
{
    private readonly SpeechTokenSampler _sampler;
    private readonly Action _release;
    private bool _disposed;

    /// <param name="model">The model.</param>
    /// <param name="settings">How tokens are chosen, and how many at most.</param>
    /// <param name="noise">The request's random numbers.</param>
    /// <param name="release">Called once when the sequence is disposed.</param>
    public PlainT3Sequence(T3Model model, SamplingSettings settings, NoiseSource noise, Action release)
        : base(model.Config.StopSpeechToken, settings.MaxSpeechTokens)
    {
        _sampler = new(model.Config, settings, noise, model.Device);
        _release = release;
        Cache = model.CreateCache(settings.Rows);
        Rows = new(Slot: 0, settings.Rows, Start: 0);
        Logits = empty([settings.Rows, model.Config.SpeechVocabulary], ScalarType.Float32, model.Device).DetachFromDisposeScope();
        LastToken = empty([1, 1], ScalarType.Int64, model.Device).DetachFromDisposeScope();
    }

    /// <summary>The sequence's keys and values.</summary>
    public KvCache Cache { get; }

    /// <summary>Rows of the cache, and the position of the next time step.</summary>
    public CacheRows Rows { get; internal set; }

    /// <summary>Speech tokens that the model has been run over.</summary>
    public int Fed { get; internal set; }

    /// <summary>Logits of the next speech token, [rows, speech vocabulary]; one buffer for the sequence's life.</summary>
    public Tensor Logits { get; }

    /// <summary>The last speech token, [1, 1], int64; one buffer for the sequence's life.</summary>
    public Tensor LastToken { get; }

    /// <summary>Chooses the next speech token from the logits.</summary>
    public void Draw()
    {
        using var scope = NewDisposeScope();
        LastToken.copy_(_sampler.Next(Logits));
        Add((int)LastToken.item<long>());
    }

    /// <summary>Appends a speech token that was drawn before from logits like these.</summary>
    public void Replay(int speechToken)
    {
        LastToken.Fill(speechToken);
        _sampler.Replay(LastToken);
        Add(speechToken);
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        if (!_disposed)
        {
            _disposed = true;
            _sampler.Dispose();
            Cache.Dispose();
            Logits.Dispose();
            LastToken.Dispose();
            _release();
        }
    }
}
