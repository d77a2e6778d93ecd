namespace Chatterbox.T3;

/// <summary>Raw speech tokens of one text.</summary>
/// <param name="SpeechTokens">As drawn, the stop token included where there was one; <see cref="T3Config.SpeechCodesOf"/> says what of them is sound.</param>
/// <param name="ReachedLimit">True where the limit came before the stop token, so that the end of the text may be missing.</param>
internal sealed record T3Result(int[] SpeechTokens, bool ReachedLimit);

/// <summary>T3, token to token: a transformer that is given a voice and text tokens and continues with speech tokens.</summary>
/// <remarks>Ports T3 of chatterbox models/t3/t3.py, inference only: without text head and losses. Weights: the whole file.</remarks>
internal sealed class T3Model : IDisposable
{
    private readonly WeightScope _weights;
    private readonly SpeechEmbedding _speech;
    private readonly T3Conditioning _conditioning;
    private readonly Embedding _text;
    private readonly Tensor? _textPositions;
    private readonly IBackbone _backbone;
    private readonly Linear _speechHead;

    /// <param name="config">The variant.</param>
    /// <param name="weights">Scope of the whole file.</param>
    /// <param name="ops">Operations to use.</param>
    public T3Model(T3Config config, WeightScope weights, TorchOps ops)
    {
        weights.Skip("text_head.weight");
        Config = config;
        _weights = weights;
        var hidden = config.Backbone.HiddenSize;
        _speech = new(config, weights);
        _conditioning = new(config, weights["cond_enc"], ops, _speech);
        _text = new(weights["text_emb"], config.TextVocabulary, hidden);
        _textPositions = config.LearnedPositions ? weights["text_pos_emb"]["emb"].Get("weight", config.TextPositions, hidden) : null;
        _backbone = config.Backbone.Build(weights["tfmr"], ops, config.MaxLength);
        _speechHead = new(weights["speech_head"], hidden, config.SpeechVocabulary, config.SpeechHeadBias);
        (Fused, WhyNotFused) = FusedT3.TryCreate(config, _backbone.Weights, new(_speech.Table, _speech.Positions, _speechHead.Weight, _speechHead.Bias));
    }

    /// <summary>The variant.</summary>
    public T3Config Config { get; }

    /// <summary>The model's steps as fused kernels, or null where the plain operations do them.</summary>
    public FusedT3? Fused { get; }

    /// <summary>Why there is no <see cref="Fused"/>; null where there is.</summary>
    public string? WhyNotFused { get; }

    /// <summary>Where the model is.</summary>
    public Device Device => _weights.Device;

    /// <summary>Speaks a text, one sequence from beginning to end.</summary>
    /// <param name="textTokens">The text, without start and stop tokens.</param>
    /// <param name="voice">Who speaks.</param>
    /// <param name="sampling">How tokens are chosen.</param>
    /// <param name="noise">The request's random numbers; one draw a token.</param>
    /// <param name="progress">Told the number of speech tokens after each.</param>
    /// <param name="cancel">Ends the work before the next token.</param>
    /// <exception cref="RequestException">The text or a setting cannot be used.</exception>
    /// <exception cref="VoiceException">The voice is not of the sizes that the model was made for.</exception>
    public T3Result Generate(
        IReadOnlyList<int> textTokens, T3Prompt voice, SamplingOptions sampling, NoiseSource noise,
        IProgress<int>? progress = null, CancellationToken cancel = default)
    {
        cancel.ThrowIfCancellationRequested();
        using var decoder = new T3Decoder(this);
        using var sequence = decoder.Start(textTokens, voice, sampling, noise);
        while (!sequence.Finished)
        {
            cancel.ThrowIfCancellationRequested();
            decoder.Step(sequence);
            progress?.Report(sequence.SpeechTokens.Count);
        }

        return new([.. sequence.SpeechTokens], sequence.ReachedLimit);
    }

    /// <summary>Everything that comes before the first speech token, as embeddings.</summary>
    /// <param name="textTokens">The text, without start and stop tokens.</param>
    /// <param name="voice">Who speaks.</param>
    /// <param name="settings">Of these, the exaggeration and whether the text guides.</param>
    /// <returns>[rows, time, hidden]: voice, text, start of speech. Where the text guides, there is a second row that has
    /// only the positions of the text.</returns>
    public Tensor Prefix(IReadOnlyList<int> textTokens, T3Prompt voice, SamplingSettings settings)
    {
        Check(textTokens);
        using var scope = NewDisposeScope();
        int[] ids = [.. Optional(Config.StartTextToken), .. textTokens, .. Optional(Config.StopTextToken)];
        var text = _text.Forward(tensor(ids, [1, ids.Length], ScalarType.Int64, Device));
        if (settings.Rows == 2)
        {
            text = cat([text, zeros_like(text)]);
        }

        if (_textPositions is not null)
        {
            text = text.Add(_textPositions.narrow(0, 0, ids.Length));
        }

        var conditioning = _conditioning.Forward(voice, settings.Exaggeration).expand(settings.Rows, -1, -1);
        var start = _speech.Forward([Config.StartSpeechToken]).expand(settings.Rows, Config.StartTokens, -1);
        return cat([conditioning, text, start], 1).MoveToOuterDisposeScope();
    }

    /// <summary>One speech token as an embedding.</summary>
    /// <param name="speechToken">Id, [1, 1], int64.</param>
    /// <param name="position">Its place in the speech; the start token has 0.</param>
    /// <returns>[1, 1, hidden].</returns>
    public Tensor Embed(Tensor speechToken, int position) => _speech.Forward(speechToken, position);

    /// <summary>Runs the transformer over embeddings.</summary>
    /// <param name="x">[rows, time, hidden]; time is 1 unless <paramref name="rows"/> start at 0.</param>
    /// <param name="cache">Holds what came before, and takes what is new.</param>
    /// <param name="rows">Slots and position of the rows.</param>
    /// <param name="last">Place of the last time step that counts, [1], int64; null where all do.</param>
    /// <returns>Logits of the speech token that follows, float32, [rows, speech vocabulary].</returns>
    public Tensor Forward(Tensor x, KvCache cache, CacheRows rows, Tensor? last = null)
    {
        using var scope = NewDisposeScope();
        var all = _backbone.Forward(x, cache, rows);
        var hidden = last is null ? all.select(1, -1) : all.index_select(1, last).squeeze(1);
        return _speechHead.Forward(hidden).to(ScalarType.Float32).MoveToOuterDisposeScope();
    }

    /// <summary>An empty cache for this model.</summary>
    public KvCache CreateCache(int slots) => new(Config.Backbone, slots, _weights.Device, _weights.DType);

    /// <inheritdoc/>
    public void Dispose() => Fused?.Dispose();

    private static IEnumerable<int> Optional(int? token) => token is { } id ? [id] : [];

    private void Check(IReadOnlyList<int> textTokens)
    {
        if (textTokens.Count == 0 || textTokens.Count > Config.MaxTextTokens)
        {
            throw new RequestException(
                $"The text has {textTokens.Count} text tokens; it must have from 1 to {Config.MaxTextTokens}. Speak a longer text in parts, best a sentence or two at a time.", "Text");
        }

        foreach (var token in textTokens)
        {
            if (token < 0 || token >= Config.TextVocabulary)
            {
                throw new RequestException(
                    $"The text has the text token {token}; this model knows 0 to {Config.TextVocabulary - 1}. Encode the text with the tokenizer that belongs to the model.", "Text");
            }
        }
    }
}

/// <summary>Speech tokens as embeddings, with their positions where the model learned a table of them.
/// Weights: speech_emb, speech_pos_emb.emb.</summary>
internal sealed class SpeechEmbedding(T3Config config, WeightScope weights)
{
    private readonly Embedding _tokens = new(weights["speech_emb"], config.SpeechVocabulary, config.Backbone.HiddenSize);

    /// <summary>[speech vocabulary, hidden].</summary>
    public Tensor Table => _tokens.Table;

    /// <summary>[positions, hidden], or null.</summary>
    public Tensor? Positions { get; } = config.LearnedPositions
        ? weights["speech_pos_emb"]["emb"].Get("weight", config.SpeechPositions, config.Backbone.HiddenSize)
        : null;

    /// <param name="speechTokens">Ids, counted from position 0.</param>
    /// <returns>[1, time, hidden].</returns>
    public Tensor Forward(IReadOnlyList<int> speechTokens)
    {
        using var ids = tensor(speechTokens.ToArray(), [1, speechTokens.Count], ScalarType.Int64, weights.Device);
        return Forward(ids, 0);
    }

    /// <param name="speechTokens">Ids, [1, time], int64.</param>
    /// <param name="position">Position of the first.</param>
    /// <returns>[1, time, hidden].</returns>
    public Tensor Forward(Tensor speechTokens, int position)
    {
        using var scope = NewDisposeScope();
        var x = _tokens.Forward(speechTokens);
        return (Positions is null ? x : x.Add(Positions.narrow(0, position, speechTokens.shape[1]))).MoveToOuterDisposeScope();
    }
}

/// <summary>A transformer that turns embeddings into hidden states and remembers keys and values in a cache.</summary>
internal interface IBackbone
{
    /// <summary>What the backbone is made of.</summary>
    BackboneWeights Weights { get; }

    /// <param name="x">Embeddings, [rows, time, hidden]; time is 1 unless <paramref name="rows"/> start at 0.</param>
    /// <param name="cache">Holds what came before, and takes what is new.</param>
    /// <param name="rows">Slots and position of the rows.</param>
    /// <returns>Hidden states after the last norm, [rows, time, hidden].</returns>
    Tensor Forward(Tensor x, KvCache cache, CacheRows rows);
}
