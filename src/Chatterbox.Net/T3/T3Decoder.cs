namespace Chatterbox.T3;

/// <summary>Runs T3 for sequences that come and go: one prefill for each, then a step for each of its speech tokens.</summary>
/// <remarks>
/// A sequence has slots of the cache for itself, so sequences may be stepped in any order and mixture. Each step runs its
/// sequences one after the other; the two rows of guidance run together. One thread at a time.
/// </remarks>
/// <param name="model">The model.</param>
/// <param name="capacity">How many sequences may be under way at once.</param>
internal sealed class T3Decoder(T3Model model, int capacity = 1) : IDisposable
{
    private readonly KvCache _cache = model.CreateCache(capacity * model.Config.MaxRows);
    private readonly Stack<int> _free = new(Enumerable.Range(0, capacity).Reverse());

    /// <summary>Begins a sequence: checks the request and runs the model over everything before the first speech token.</summary>
    /// <param name="textTokens">The text, without start and stop tokens.</param>
    /// <param name="voice">Who speaks.</param>
    /// <param name="sampling">How tokens are chosen.</param>
    /// <param name="noise">The request's random numbers, drawn from by each step; stays the caller's.</param>
    /// <returns>The sequence; disposing it makes room for another.</returns>
    /// <exception cref="RequestException">The text or a setting cannot be used.</exception>
    /// <exception cref="VoiceException">The voice is not of the sizes that the model was made for.</exception>
    /// <exception cref="InvalidOperationException">As many sequences as there is room for are under way.</exception>
    public T3Sequence Start(IReadOnlyList<int> textTokens, T3Prompt voice, SamplingOptions sampling, NoiseSource noise)
    {
        var settings = SamplingSettings.Resolve(sampling, model.Config);
        if (_free.Count == 0)
        {
            throw new InvalidOperationException($"All {capacity} sequences are under way; dispose one first.");
        }

        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var prefix = model.Prefix(textTokens, voice, settings);
        var length = (int)prefix.shape[1];
        var place = _free.Pop();
        var steps = model.Fused?.Rent(settings.Rows);
        var sequence = new T3Sequence(
            model, settings, noise, steps?.Cache ?? _cache, new(steps is null ? place * model.Config.MaxRows : 0, settings.Rows, 0), steps, () => _free.Push(place));
        try
        {
            sequence.Cache.Reserve(length + (steps is null ? settings.MaxSpeechTokens : 0));
            Run(sequence, prefix, prefill: true);
            steps?.Begin(sequence.Logits, length, settings, model.Config.StartSpeechToken, noise);
            return sequence;
        }
        catch
        {
            sequence.Dispose();
            throw;
        }
    }

    /// <summary>Makes the next speech token of each sequence; finished ones are passed over.</summary>
    public void Step(params ReadOnlySpan<T3Sequence> sequences)
    {
        using var mode = inference_mode();
        foreach (var sequence in sequences)
        {
            if (!sequence.Finished)
            {
                Step(sequence);
            }
        }
    }

    /// <summary>Runs the model over one speech token of a sequence, so that its logits are those of the next.</summary>
    /// <param name="sequence">The sequence.</param>
    /// <param name="speechToken">Id, [1, 1], int64.</param>
    public void Feed(T3Sequence sequence, Tensor speechToken)
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        sequence.Fed++;
        Run(sequence, model.Embed(speechToken, sequence.Fed).expand(sequence.Rows.Count, -1, -1));
    }

    /// <inheritdoc/>
    public void Dispose() => _cache.Dispose();

    private void Step(T3Sequence sequence)
    {
        if (sequence.Steps is { } fused)
        {
            sequence.Add(fused.Next(model.Config.StopSpeechToken));
            return;
        }

        // The last token is fed when the next is wanted: the last of all never needs to be.
        if (sequence.SpeechTokens.Count > 0)
        {
            Feed(sequence, sequence.LastToken);
        }

        sequence.Draw();
    }

    private void Run(T3Sequence sequence, Tensor x, bool prefill = false)
    {
        using var scope = NewDisposeScope();
        var graphs = prefill ? sequence.Steps?.PrefillOf(model) : null;
        sequence.Logits.copy_(graphs?.Forward(x) ?? model.Forward(x, sequence.Cache, sequence.Rows));
        sequence.Rows = sequence.Rows with { Start = sequence.Rows.Start + (int)x.shape[1] };
    }
}

/// <summary>Where one request stands in a <see cref="T3Decoder"/>.</summary>
internal sealed class T3Sequence : IDisposable
{
    private readonly T3Config _config;
    private readonly SamplingSettings _settings;
    private readonly SpeechTokenSampler _sampler;
    private readonly Action _release;
    private readonly List<int> _speechTokens = [];
    private bool _disposed;

    /// <param name="model">The model.</param>
    /// <param name="settings">How tokens are chosen, and how many at most.</param>
    /// <param name="noise">The request's random numbers.</param>
    /// <param name="cache">Holds the sequence's keys and values.</param>
    /// <param name="rows">The sequence's slots of the cache.</param>
    /// <param name="steps">Makes the tokens, where the model has fused steps; goes with the sequence.</param>
    /// <param name="release">Called once when the sequence is disposed.</param>
    public T3Sequence(
        T3Model model, SamplingSettings settings, NoiseSource noise, KvCache cache, CacheRows rows, FusedSteps? steps, Action release)
    {
        _config = model.Config;
        _settings = settings;
        _sampler = new(_config, settings, noise, model.Device);
        _release = release;
        Cache = cache;
        Rows = rows;
        Steps = steps;
        Logits = empty([rows.Count, _config.SpeechVocabulary], ScalarType.Float32, model.Device).DetachFromDisposeScope();
        LastToken = empty([1, 1], ScalarType.Int64, model.Device).DetachFromDisposeScope();
    }

    /// <summary>The speech tokens so far, as drawn; the stop token too.</summary>
    public IReadOnlyList<int> SpeechTokens => _speechTokens;

    /// <summary>True once the stop token was drawn or the limit reached.</summary>
    public bool Finished => Stopped || _speechTokens.Count == _settings.MaxSpeechTokens;

    /// <summary>True where the sequence ended without a stop token, so that the end of the text may be missing.</summary>
    public bool ReachedLimit => Finished && !Stopped;

    /// <summary>Holds the sequence's keys and values.</summary>
    public KvCache Cache { get; }

    /// <summary>Makes the tokens on the GPU, ahead of who asks for them; null where the plain operations do.</summary>
    public FusedSteps? Steps { get; }

    /// <summary>Slots of the cache, and the position of the next time step.</summary>
    public CacheRows Rows { get; internal set; }

    /// <summary>Speech tokens that the model has been run over.</summary>
    public int Fed { get; internal set; }

    /// <summary>Logits of the next speech token, [rows, speech vocabulary]; one buffer for the sequence's life.</summary>
    public Tensor Logits { get; }

    /// <summary>The last speech token, [1, 1], int64; one buffer for the sequence's life.</summary>
    public Tensor LastToken { get; }

    private bool Stopped => _speechTokens.Count > 0 && _speechTokens[^1] == _config.StopSpeechToken;

    /// <summary>Chooses the next speech token from the logits.</summary>
    public void Draw()
    {
        using var scope = NewDisposeScope();
        LastToken.copy_(_sampler.Next(Logits));
        Add((int)LastToken.item<long>());
    }

    /// <summary>Notes the next speech token.</summary>
    public void Add(int speechToken) => _speechTokens.Add(speechToken);

    /// <inheritdoc/>
    public void Dispose()
    {
        if (!_disposed)
        {
            _disposed = true;
            Steps?.Dispose();
            _sampler.Dispose();
            Logits.Dispose();
            LastToken.Dispose();
            _release();
        }
    }
}
