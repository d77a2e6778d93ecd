using Chatterbox.Ops.Cpu;
using Chatterbox.Ops.Cuda;
using Chatterbox.T3.Blocks;
using Chatterbox.T3.Fused;

namespace Chatterbox.T3;

/// <summary>T3, token to token: a transformer that is given a voice and text tokens and continues with speech tokens.</summary>
/// <remarks>Ports T3 of chatterbox models/t3/t3.py, inference only: without text head and losses. Weights: the whole file.</remarks>
internal sealed class T3Model
{
    private readonly WeightScope _weights;
    private readonly SpeechEmbedding _speech;
    private readonly T3Conditioning _conditioning;
    private readonly Embedding _text;
    private readonly Tensor? _textPositions;
    private readonly IBackbone _backbone;
    private readonly ILinear _speechHead;

    /// <param name="config">The variant.</param>
    /// <param name="weights">Scope of the whole file.</param>
    /// <param name="ops">Operations to use.</param>
    /// <param name="mayFuse">Whether steps may be fused kernels.</param>
    /// <param name="cpuFormat">How a CPU keeps the weights of its fast steps; null for the plain operations.</param>
    public T3Model(T3Config config, WeightScope weights, TorchOps ops, bool mayFuse = true, WeightFormat? cpuFormat = null)
    {
        weights.Skip("text_head.weight");
        Config = config;
        _weights = weights;
        var hidden = config.Backbone.HiddenSize;
        _speech = new(config, weights);
        _conditioning = new(config, weights["cond_enc"], ops, _speech);
        _text = new(weights["text_emb"], config.TextVocabulary, hidden);
        _textPositions = config.LearnedPositions ? weights["text_pos_emb"]["emb"].Get("weight", config.TextPositions, hidden) : null;
        CpuFormat = !config.InBlocks && CpuBackbone.UnsupportedReason(config.Backbone, weights.Device) is null ? cpuFormat : null;
        if (CpuFormat is { } format)
        {
            using var passing = new OwnedWeights();
            var (backbone, head) = Build(weights.InHost(passing));
            (_backbone, _speechHead) = (
                weights.Own(new CpuBackbone(config, backbone.Weights, format, ops)),
                weights.Own(new CpuLinear(head, format))
            );
        }
        else
        {
            (_backbone, _speechHead) = Build(weights);
        }

        NotFusedReason =
            config.InBlocks ? "there are no fused kernels for speech that comes in blocks"
            : mayFuse ? FusedT3Decoder.UnsupportedReason(this)
            : "plain operations are wanted";
        var plain = new LazyNetwork<T3Model>(weights, scope => new(config, scope, TorchOps.Plain, mayFuse: false), isChecked: true);
        Plain = NotFusedReason is not null && CpuFormat is null && ops == TorchOps.Plain ? () => this : () => plain.Value;

        (IPlainBackbone Backbone, Linear Head) Build(WeightScope scope) =>
            (
                config.Backbone.Build(scope["tfmr"], ops, config.MaxLength),
                new(scope["speech_head"], hidden, config.SpeechVocabulary, config.SpeechHeadBias)
            );
    }

    /// <summary>The variant.</summary>
    public T3Config Config { get; }

    /// <summary>What the backbone is made of, where that is plain.</summary>
    public BackboneWeights Backbone => ((IPlainBackbone)_backbone).Weights;

    /// <summary>What is around it, where that is plain.</summary>
    public SpeechWeights Speech
    {
        get
        {
            var head = (Linear)_speechHead;
            return new(_speech.Table, _speech.Positions, head.Weight, head.Bias);
        }
    }

    /// <summary>How a CPU keeps the weights of its fast steps; null where there are none.</summary>
    public WeightFormat? CpuFormat { get; }

    /// <summary>Why the model is decoded by plain operations; null where fused kernels do it.</summary>
    public string? NotFusedReason { get; }

    /// <summary>The same model with plain operations alone, for a text that this one fails at; its weights are read when it is first
    /// asked for.</summary>
    /// <remarks>Set by tests, whose model fails.</remarks>
    public Func<T3Model> Plain { get; init; }

    /// <summary>Where the model is.</summary>
    public Device Device => _weights.Device;

    /// <summary>The fastest decoder that the model can have.</summary>
    /// <param name="capacity">Most sequences that may be open at once.</param>
    public IT3Decoder CreateDecoder(int capacity = 1) =>
        Config.InBlocks
            ? new BlockT3Decoder(this, capacity)
            : new RecoveringT3Decoder(
                _backbone is CpuBackbone backbone && _speechHead is CpuLinear head ? new CpuT3Decoder(this, backbone, head, capacity)
                    : NotFusedReason is null ? new FusedT3Decoder(this, capacity, CudaDriver.FreeMemory(Device.index) / 2)
                    : new PlainT3Decoder(this, capacity),
                new(() => new(Plain(), capacity)),
                Config
            );

    /// <summary>Everything that comes before the first speech token, as embeddings.</summary>
    /// <param name="textTokens">The text, without start and stop tokens.</param>
    /// <param name="voice">Who speaks.</param>
    /// <param name="settings">Of these, the exaggeration and whether the text guides.</param>
    /// <returns>[rows, time, hidden]: voice, text, start of speech. Where the text guides, there is a second row that has
    /// only the positions of the text, and the voice where the variant keeps it.</returns>
    public Tensor Prefix(IReadOnlyList<int> textTokens, T3Prompt voice, SamplingSettings settings)
    {
        Check(textTokens);
        using var scope = NewDisposeScope();
        int[] ids = [.. Optional(Config.StartTextToken), .. textTokens, .. Optional(Config.StopTextToken)];
        var text = _text.Forward(tensor(ids, [1, ids.Length], ScalarType.Int64, Device));
        var positions = _textPositions?.narrow(0, 0, ids.Length).unsqueeze(0) ?? zeros_like(text);
        var conditioning = _conditioning.Forward(voice, settings.Exaggeration);
        var start = _speech.Forward([Config.StartSpeechToken]).expand(1, Config.StartTokens, -1);
        Tensor[] rows =
        [
            cat([conditioning, text.Add(positions), start], 1),
            .. settings.Rows == 1
                ? Array.Empty<Tensor>()
                :
                [
                    Config.GuidanceKeepsVoice
                        ? cat([conditioning, positions, start], 1)
                        : cat([zeros_like(conditioning), zeros_like(text), start], 1),
                ],
        ];
        return cat(rows).MoveToOuterDisposeScope();
    }

    /// <summary>Speech tokens as embeddings.</summary>
    /// <param name="speechTokens">Ids, [1, time], int64.</param>
    /// <param name="position">Place of the first; the start token has 0.</param>
    /// <returns>[1, time, hidden].</returns>
    public Tensor Embed(Tensor speechTokens, int position) => _speech.Forward(speechTokens, position);

    /// <summary>Runs the transformer over embeddings.</summary>
    /// <param name="x">[rows, time, hidden]; time is 1 unless <paramref name="rows"/> start at 0.</param>
    /// <param name="cache">Holds what came before, and takes what is new.</param>
    /// <param name="rows">Slots and position of the rows.</param>
    /// <param name="last">Place of the last time step that counts, [1], int64; null where all do.</param>
    /// <returns>Logits of the speech token that follows, float32, [rows, speech vocabulary].</returns>
    public Tensor Forward(Tensor x, KvCache cache, CacheRows rows, Tensor? last = null)
    {
        using var scope = NewDisposeScope();
        var all = Run(x, cache, rows);
        return Logits(last is null ? all.select(1, -1) : all.index_select(1, last).squeeze(1)).MoveToOuterDisposeScope();
    }

    /// <summary>Runs the transformer without the speech head.</summary>
    /// <param name="x">[rows, time, hidden]; each time step sees those before it where <paramref name="rows"/> start at 0, and later all
    /// of them.</param>
    /// <param name="cache">Holds what came before, and takes what is new.</param>
    /// <param name="rows">Slots and position of the rows.</param>
    /// <returns>Hidden states, [rows, time, hidden].</returns>
    public Tensor Run(Tensor x, KvCache cache, CacheRows rows) => _backbone.Forward(x, cache, rows);

    /// <summary>Logits of speech tokens, float32, […, speech vocabulary].</summary>
    /// <param name="hidden">Hidden states, […, hidden].</param>
    public Tensor Logits(Tensor hidden)
    {
        using var scope = NewDisposeScope();
        return _speechHead.Forward(hidden).to(ScalarType.Float32).MoveToOuterDisposeScope();
    }

    /// <summary>An empty cache for this model.</summary>
    public KvCache CreateCache(int slots) => new(Config.Backbone, slots, _weights.Device, _backbone.CacheType);

    private static IEnumerable<int> Optional(int? token) => token is { } id ? [id] : [];

    private void Check(IReadOnlyList<int> textTokens)
    {
        if (textTokens.Count == 0 || textTokens.Count > Config.MaxTextTokens)
        {
            throw new RequestException(
                $"The text has {textTokens.Count} text tokens; it must have from 1 to {Config.MaxTextTokens}. Speak a longer text in "
                    + $"parts, best a sentence or two at a time.",
                "Text"
            );
        }

        foreach (var token in textTokens)
        {
            if (token < 0 || token >= Config.TextVocabulary)
            {
                throw new RequestException(
                    $"The text has the text token {token}; this model knows 0 to {Config.TextVocabulary - 1}. Encode the text with the "
                        + $"tokenizer that belongs to the model.",
                    "Text"
                );
            }
        }
    }
}

/// <summary>Speech tokens as embeddings, with their positions where the model learned a table of them.
/// Weights: speech_emb, speech_pos_emb.emb.</summary>
internal sealed class SpeechEmbedding(T3Config config, WeightScope weights)
{
    private readonly Embedding _tokens = new(weights["speech_emb"], config.SpeechEmbeddings, config.Backbone.HiddenSize);

    /// <summary>[speech embeddings, hidden].</summary>
    public Tensor Table => _tokens.Table;

    /// <summary>[positions, hidden], or null.</summary>
    public Tensor? Positions { get; } =
        config.LearnedPositions ? weights["speech_pos_emb"]["emb"].Get("weight", config.SpeechPositions, config.Backbone.HiddenSize) : null;

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
    /// <summary>Element type of the cache.</summary>
    ScalarType CacheType { get; }

    /// <param name="x">Embeddings, [rows, time, hidden]: causal where <paramref name="rows"/> start at 0; later, each time step sees
    /// all.</param>
    /// <param name="cache">Holds what came before, and takes what is new.</param>
    /// <param name="rows">Slots and position of the rows.</param>
    /// <returns>Hidden states after the last norm, [rows, time, hidden].</returns>
    Tensor Forward(Tensor x, KvCache cache, CacheRows rows);
}

/// <summary>A backbone on the plain operations, whose weights a fast twin may be made of.</summary>
internal interface IPlainBackbone : IBackbone
{
    /// <summary>What the backbone is made of.</summary>
    BackboneWeights Weights { get; }
}
