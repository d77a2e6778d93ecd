using Chatterbox.Ops.Cuda;

namespace Chatterbox.T3;

/// <summary>What T3 hears before the text: the speaker, their prompt and how lively to speak, as rows of embeddings.</summary>
/// <remarks>Ports T3CondEnc of chatterbox models/t3/modules/cond_enc.py and T3.prepare_conditioning of t3.py, without the
/// CLAP input that no model has. Weights: cond_enc.</remarks>
internal sealed class T3Conditioning
{
    private const int MostKept = 16; // of the speakers used last

    private readonly T3Config _config;
    private readonly WeightScope _weights;
    private readonly SpeechEmbedding _speech;
    private readonly Linear _speaker;
    private readonly Perceiver? _perceiver;
    private readonly Linear? _emotion;
    private readonly List<(T3Prompt Voice, double Exaggeration, Tensor Rows)> _kept = []; // the last used at the end

    /// <param name="config">Which parts there are.</param>
    /// <param name="weights">Scope of the conditioning.</param>
    /// <param name="ops">Operations to use.</param>
    /// <param name="speech">T3's embedding of speech tokens, which the prompt goes through.</param>
    public T3Conditioning(T3Config config, WeightScope weights, TorchOps ops, SpeechEmbedding speech)
    {
        _config = config;
        _weights = weights;
        _speech = speech;
        var hidden = config.Backbone.HiddenSize;
        _speaker = new(weights["spkr_enc"], config.SpeakerSize, hidden);
        _perceiver = config.Perceiver is { } perceiver ? new(perceiver, weights["perceiver"], ops, hidden) : null;
        _emotion = config.Emotion ? new(weights["emotion_adv_fc"], 1, hidden, bias: false) : null;
    }

    /// <param name="voice">The speaker; without prompt tokens there are no rows for a prompt.</param>
    /// <param name="exaggeration">How lively to speak, 0.5 is neutral; unused by models without emotion.</param>
    /// <returns>[1, rows, hidden]: the speaker, the prompt, the emotion. It is kept for later calls.</returns>
    /// <exception cref="VoiceException">The voice is not of the sizes that the model was made for.</exception>
    public Tensor Forward(T3Prompt voice, double exaggeration)
    {
        var at = _kept.FindIndex(kept => ReferenceEquals(kept.Voice, voice) && kept.Exaggeration == exaggeration);
        var used = at < 0 ? (Voice: voice, Exaggeration: exaggeration, Rows: _weights.Own(Run(voice, exaggeration))) : _kept[at];
        if (at >= 0)
        {
            _kept.RemoveAt(at);
        }
        else if (_kept.Count == MostKept)
        {
            _weights.Release(_kept[0].Rows);
            _kept.RemoveAt(0);
        }

        _kept.Add(used);
        return used.Rows.alias();
    }

    private Tensor Run(T3Prompt voice, double exaggeration)
    {
        Check(voice);
        using var scope = NewDisposeScope();
        var parts = new List<Tensor> { _speaker.Forward(Row(voice.SpeakerEmbedding)) };
        if (voice.SpeechTokens.Count > 0)
        {
            var prompt = _speech.Forward(voice.SpeechTokens);
            parts.Add(_perceiver?.Forward(prompt) ?? prompt);
        }

        if (_emotion is not null)
        {
            parts.Add(_emotion.Forward(Row([(float)exaggeration])));
        }

        return cat(parts, 1).MoveToOuterDisposeScope();
    }

    private Tensor Row(IReadOnlyList<float> numbers) =>
        HostTransfers.Place([.. numbers], _weights.Device, 1, 1, numbers.Count).to(_weights.DType);

    private void Check(T3Prompt voice)
    {
        const string Remedy = "Make the voice again from its recording, for this model.";
        if (voice.SpeakerEmbedding.Count != _config.SpeakerSize)
        {
            throw new VoiceException(
                $"The voice's speaker embedding has {voice.SpeakerEmbedding.Count} numbers, expected {_config.SpeakerSize}. {Remedy}"
            );
        }

        if (!voice.SpeakerEmbedding.All(float.IsFinite))
        {
            throw new VoiceException($"The voice's speaker embedding has numbers that are not finite. {Remedy}");
        }

        if (voice.SpeechTokens.Count > _config.PromptTokens)
        {
            throw new VoiceException(
                $"The voice's prompt has {voice.SpeechTokens.Count} speech tokens, this model takes at most "
                    + $"{_config.PromptTokens}. {Remedy}"
            );
        }

        foreach (var token in voice.SpeechTokens)
        {
            if (token < 0 || token >= _config.SpeechCodes)
            {
                throw new VoiceException(
                    $"The voice's prompt has the speech token {token}; speech tokens are 0 to {_config.SpeechCodes - 1}. {Remedy}"
                );
            }
        }
    }
}

/// <summary>Resamples a prompt of any length to a fixed number of rows: learned queries attend to the prompt, and what
/// comes out attends to itself, through the same block.</summary>
/// <remarks>Ports Perceiver and AttentionBlock2 of chatterbox models/t3/modules/perceiver.py, without its unused relative
/// positions. Weights: pre_attention_query [1, queries, hidden], attn.</remarks>
internal sealed class Perceiver(PerceiverConfig config, WeightScope weights, TorchOps ops, long hidden)
{
    private readonly Tensor _queries = weights.Get("pre_attention_query", 1, config.Queries, hidden);
    private readonly LayerNorm _norm = new(weights["attn"]["norm"], hidden);
    private readonly Linear _q = new(weights["attn"]["to_q"], hidden, hidden);
    private readonly Linear _k = new(weights["attn"]["to_k"], hidden, hidden);
    private readonly Linear _v = new(weights["attn"]["to_v"], hidden, hidden);
    private readonly Linear _out = new(weights["attn"]["proj_out"], hidden, hidden);

    /// <param name="prompt">[1, time, hidden].</param>
    /// <returns>[1, queries, hidden].</returns>
    public Tensor Forward(Tensor prompt)
    {
        using var scope = NewDisposeScope();
        var heard = Attend(_queries, prompt);
        return Attend(heard, heard).MoveToOuterDisposeScope();
    }

    private Tensor Attend(Tensor x, Tensor to)
    {
        using var scope = NewDisposeScope();
        var source = _norm.Forward(to);
        var attended = ops.Attention(Heads(_q.Forward(_norm.Forward(x))), Heads(_k.Forward(source)), Heads(_v.Forward(source)));
        return x.Add(_out.Forward(attended.transpose(1, 2).flatten(2))).MoveToOuterDisposeScope();
    }

    private Tensor Heads(Tensor x) => x.unflatten(2, config.Heads, hidden / config.Heads).transpose(1, 2); // [1, heads, time, headDim]
}
