using Chatterbox.Audio;
using Chatterbox.Ops.Cuda;
using static TorchSharp.torch.nn.functional;

namespace Chatterbox.Voices;

/// <summary>Sizes of the speech tokenizer. Source: s3tokenizer model_v2.py, ModelConfig, as speech_tokenizer_v2_25hz.</summary>
/// <param name="HiddenSize">Width of the encoder.</param>
/// <param name="Heads">Attention heads.</param>
/// <param name="Layers">Attention blocks.</param>
/// <param name="MemoryFrames">Tokens that the memory (a depthwise convolution) of each block spans; odd.</param>
/// <param name="CodeDigits">Ternary digits of a token.</param>
/// <param name="WindowFrames">Most mel frames tokenised at once: 30 s.</param>
/// <param name="OverlapFrames">Frames that windows of a longer recording share: 4 s.</param>
internal sealed record SpeechTokenizerConfig(
    int HiddenSize = 1280,
    int Heads = 20,
    int Layers = 6,
    int MemoryFrames = 31,
    int CodeDigits = 8,
    int WindowFrames = 3000,
    int OverlapFrames = 400
)
{
    /// <summary>Mel frames that become one token.</summary>
    public const int FramesPerToken = 4;

    /// <summary>The spectrogram that is heard.</summary>
    public MelConfig Mel { get; init; } = MelConfig.SpeechTokenizer;

    /// <summary>Numbers of an attention head.</summary>
    public int HeadDim => HiddenSize / Heads;
}

/// <summary>The S3 speech tokenizer: 25 tokens a second that say what is spoken, not by whom.</summary>
/// <remarks>
/// Ports S3Tokenizer of chatterbox models/s3tokenizer/s3tokenizer.py and S3TokenizerV2 of s3tokenizer model_v2.py for one
/// recording at a time, so without their padding and masks. Of recordings over 30 s, windows are tokenised and merged. The
/// original cuts a last window even where the one before it has reached the end, and then loses up to 4 s of tokens in
/// merging; here the window that reaches the end is the last. Weights: tokenizer.
/// </remarks>
internal sealed class SpeechTokenizer
{
    private readonly SpeechTokenizerConfig _config;
    private readonly ScalarType _dtype;
    private readonly WhisperMel _mel;
    private readonly Conv1d _conv1;
    private readonly Conv1d _conv2;
    private readonly TokenizerRotaryTable _rotary;
    private readonly SpeechTokenizerBlock[] _blocks;
    private readonly FiniteScalarQuantizer _quantizer;

    public SpeechTokenizer(SpeechTokenizerConfig config, WeightScope weights, TorchOps ops)
    {
        _config = config;
        _dtype = weights.DType;
        Device = weights.Device;
        _mel = new(config.Mel, weights);
        var encoder = weights["encoder"];
        _conv1 = new(encoder["conv1"], config.Mel.Bands, config.HiddenSize, kernel: 3, stride: 2, padding: 1);
        _conv2 = new(encoder["conv2"], config.HiddenSize, config.HiddenSize, kernel: 3, stride: 2, padding: 1);
        _rotary = new(config.HeadDim, config.WindowFrames / SpeechTokenizerConfig.FramesPerToken, encoder);
        _blocks = [.. Enumerable.Range(0, config.Layers).Select(layer => new SpeechTokenizerBlock(config, encoder["blocks"][layer], ops))];
        _quantizer = new(config, weights["quantizer"]["_codebook"]);
        weights.Skip("_mel_filters", "window"); // computed: some checkpoints lack them
    }

    /// <summary>Where the weights are.</summary>
    public Device Device { get; }

    /// <summary>Fewest samples that can be tokenised.</summary>
    public int MinSamples => _mel.MinSamples;

    /// <summary>Tokenises a recording of any length.</summary>
    /// <param name="samples">[samples] at 16 kHz.</param>
    /// <param name="maxTokens">Most tokens wanted: the mel frames behind them are not heard. Null for all.</param>
    /// <returns>[tokens], int64; one for each four mel frames begun.</returns>
    /// <exception cref="VoiceException">The recording is too short to be heard.</exception>
    public Tensor Forward(Tensor samples, int? maxTokens = null)
    {
        if (samples.shape[0] < MinSamples)
        {
            throw new VoiceException(
                $"The recording has {samples.shape[0]} samples at {_config.Mel.SampleRate} Hz; the speech tokenizer needs {MinSamples} "
                    + $"or more. Use a longer recording."
            );
        }

        using var scope = NewDisposeScope();
        var mel = _mel.Forward(samples); // [bands, frames]
        var heard = maxTokens is { } most ? Math.Min(mel.shape[1], most * SpeechTokenizerConfig.FramesPerToken) : mel.shape[1];
        return Tokenize(mel[.., ..(int)heard]).MoveToOuterDisposeScope();
    }

    /// <summary>Tokenises a spectrogram, in windows where it is longer than one.</summary>
    /// <param name="mel">[bands, frames].</param>
    /// <returns>[tokens], int64.</returns>
    internal Tensor Tokenize(Tensor mel)
    {
        using var scope = NewDisposeScope();
        var frames = (int)mel.shape[1];
        var shared = _config.OverlapFrames / 2 / SpeechTokenizerConfig.FramesPerToken; // tokens dropped on either side of a seam
        var pieces = new List<Tensor>();
        for (var start = 0; ; start += _config.WindowFrames - _config.OverlapFrames)
        {
            var end = Math.Min(start + _config.WindowFrames, frames);
            var tokens = _quantizer.Forward(Encode(mel[.., start..end]));
            pieces.Add(tokens[(start == 0 ? 0 : shared)..(int)(tokens.shape[0] - (end == frames ? 0 : shared))]);
            if (end == frames)
            {
                return cat(pieces, 0).MoveToOuterDisposeScope();
            }
        }
    }

    /// <param name="mel">One window, [bands, frames].</param>
    /// <returns>[tokens, hidden].</returns>
    internal Tensor Encode(Tensor mel)
    {
        using var scope = NewDisposeScope();
        var x = gelu(_conv1.Forward(mel.to(_dtype).unsqueeze(0))); // [1, hidden, frames / 2]
        x = gelu(_conv2.Forward(x)).transpose(1, 2); // [1, tokens, hidden]
        foreach (var block in _blocks)
        {
            x = block.Forward(x, _rotary);
        }

        return x[0].MoveToOuterDisposeScope();
    }
}

/// <summary>A pre-norm block: attention with memory, then an MLP, each added to the residual.</summary>
/// <remarks>Ports ResidualAttentionBlock of s3tokenizer model_v2.py; the two norms differ in epsilon there too.</remarks>
internal sealed class SpeechTokenizerBlock(SpeechTokenizerConfig config, WeightScope weights, TorchOps ops)
{
    private readonly LayerNorm _attentionNorm = new(weights["attn_ln"], config.HiddenSize, eps: 1e-6);
    private readonly MemoryAttention _attention = new(config, weights["attn"], ops);
    private readonly LayerNorm _mlpNorm = new(weights["mlp_ln"], config.HiddenSize, eps: 1e-5);
    private readonly Linear _mlp1 = new(weights["mlp"][0], config.HiddenSize, 4 * config.HiddenSize);
    private readonly Linear _mlp2 = new(weights["mlp"][2], 4 * config.HiddenSize, config.HiddenSize);

    /// <param name="x">[rows, tokens, hidden].</param>
    /// <param name="rotary">Angles of each position.</param>
    public Tensor Forward(Tensor x, TokenizerRotaryTable rotary)
    {
        using var scope = NewDisposeScope();
        x = x.Add(_attention.Forward(_attentionNorm.Forward(x), rotary));
        x = x.Add(_mlp2.Forward(gelu(_mlp1.Forward(_mlpNorm.Forward(x)))));
        return x.MoveToOuterDisposeScope();
    }
}

/// <summary>Attention over all tokens, plus a memory of the nearby values: a depthwise convolution of them.</summary>
/// <remarks>Ports FSMNMultiHeadAttention of s3tokenizer model_v2.py.</remarks>
internal sealed class MemoryAttention(SpeechTokenizerConfig config, WeightScope weights, TorchOps ops)
{
    private readonly Linear _query = new(weights["query"], config.HiddenSize, config.HiddenSize);
    private readonly Linear _key = new(weights["key"], config.HiddenSize, config.HiddenSize, bias: false);
    private readonly Linear _value = new(weights["value"], config.HiddenSize, config.HiddenSize);
    private readonly Linear _output = new(weights["out"], config.HiddenSize, config.HiddenSize);

    private readonly Conv1d _memory = new(
        weights["fsmn_block"],
        config.HiddenSize,
        config.HiddenSize,
        config.MemoryFrames,
        padding: config.MemoryFrames / 2,
        groups: config.HiddenSize,
        bias: false
    );

    /// <param name="x">[rows, tokens, hidden].</param>
    /// <param name="rotary">Angles of each position.</param>
    public Tensor Forward(Tensor x, TokenizerRotaryTable rotary)
    {
        using var scope = NewDisposeScope();
        var values = _value.Forward(x);
        var memory = _memory.Forward(values.transpose(1, 2)).transpose(1, 2).Add(values);
        var attended = ops.Attention(rotary.Turn(Heads(_query.Forward(x))), rotary.Turn(Heads(_key.Forward(x))), Heads(values));
        return _output.Forward(attended.transpose(1, 2).flatten(2)).Add(memory).MoveToOuterDisposeScope();
    }

    /// <summary>[rows, tokens, hidden] → [rows, heads, tokens, headDim].</summary>
    private Tensor Heads(Tensor x) => x.unflatten(2, config.Heads, config.HeadDim).transpose(1, 2);
}

/// <summary>Rotary position embedding: the halves of a head are turned against each other by angles that grow with the position.</summary>
/// <remarks>Ports precompute_freqs_cis and apply_rotary_emb of s3tokenizer model_v2.py.</remarks>
internal sealed class TokenizerRotaryTable
{
    private const float Base = 10000;

    private readonly Tensor _cos; // [positions, headDim]
    private readonly Tensor _sin;

    public TokenizerRotaryTable(int headDim, int positions, WeightScope owner)
    {
        using var scope = NewDisposeScope();
        var frequencies = tensor(Base).pow(Arithmetic.Range(0, headDim, 2).Div(headDim)).reciprocal();
        var angles = outer(Arithmetic.Range(0, positions), frequencies);
        angles = cat([angles, angles], 1);
        _cos = owner.Own(angles.cos().to(owner.DType, owner.Device));
        _sin = owner.Own(angles.sin().to(owner.DType, owner.Device));
    }

    /// <param name="x">[rows, heads, positions, headDim].</param>
    public Tensor Turn(Tensor x)
    {
        using var scope = NewDisposeScope();
        var halves = x.chunk(2, -1);
        var positions = (int)x.shape[2];
        return (x * _cos[..positions]).Add(cat([-halves[1], halves[0]], -1) * _sin[..positions]).MoveToOuterDisposeScope();
    }
}

/// <summary>Finite scalar quantisation: each of a few projections is rounded to a ternary digit, the digits make the token.</summary>
/// <remarks>Ports FSQCodebook.encode of s3tokenizer model_v2.py.</remarks>
internal sealed class FiniteScalarQuantizer(SpeechTokenizerConfig config, WeightScope weights)
{
    private const double Squeeze = 0.9990000128746033; // from the exported model: decides where a digit changes

    private readonly Linear _project = new(weights["project_down"], config.HiddenSize, config.CodeDigits);
    private readonly Tensor _places = weights.Own(
        HostTransfers.Place([.. Enumerable.Range(0, config.CodeDigits).Select(i => (float)Math.Pow(3, i))], weights.Device)
    );

    /// <param name="x">[tokens, hidden].</param>
    /// <returns>[tokens], int64.</returns>
    public Tensor Forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        var digits = _project.Forward(x).to(ScalarType.Float32).tanh().Mul(Squeeze).round().Add(1); // 0, 1 or 2
        return (digits * _places).sum(-1).to(ScalarType.Int64).MoveToOuterDisposeScope();
    }
}
