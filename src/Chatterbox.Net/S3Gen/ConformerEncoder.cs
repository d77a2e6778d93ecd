using static TorchSharp.torch.nn.functional;

namespace Chatterbox.S3Gen;

/// <summary>Turns token embeddings into hidden states at the mel's frame rate: a look ahead, conformer blocks, upsampling,
/// more blocks. Every token sees every other, but only <see cref="ConformerConfig.Lookahead"/> ahead before the first block.</summary>
/// <remarks>Ports UpsampleConformerEncoder of chatterbox models/s3gen/transformer/upsample_encoder.py. Rows are of equal length;
/// masks are for graphs, which are longer than what they are given.</remarks>
/// <param name="config">Sizes.</param>
/// <param name="weights">Scope of the encoder.</param>
/// <param name="ops">Operations to use.</param>
/// <param name="products">Element type of the operands of products and convolutions; what is added up along the blocks is in the
/// weights' own.</param>
internal sealed class ConformerEncoder(ConformerConfig config, WeightScope weights, TorchOps ops, ScalarType products)
{
    private readonly RelativePositions _positions = new(config, weights.In(products));
    private readonly ConformerInput _input = new(config, weights["embed"]["out"], config.InputSize);
    private readonly ConformerLookahead _lookahead = new(config, weights["pre_lookahead_layer"].In(products));
    private readonly ConformerBlock[] _blocks = Blocks(config.Blocks, config, weights["encoders"], ops, products);
    private readonly ConformerUpsampling _upsampling = new(config, weights["up_layer"].In(products));
    private readonly ConformerInput _upInput = new(config, weights["up_embed"]["out"], config.Size);
    private readonly ConformerBlock[] _upBlocks = Blocks(config.UpBlocks, config, weights["up_encoders"], ops, products);
    private readonly LayerNorm _norm = new(weights["after_norm"], config.Size);

    /// <param name="x">Token embeddings, [rows, tokens, input size].</param>
    /// <param name="complete">False where more tokens are to come: then the last <see cref="ConformerConfig.Lookahead"/> of
    /// these are only looked ahead to.</param>
    /// <param name="live">How many of the tokens count, where not all do; what is made of the others is no number to use.</param>
    /// <returns>Hidden states, [rows, tokens·upsampling, size]; of fewer tokens where not complete.</returns>
    public Tensor Forward(Tensor x, bool complete = true, LiveTokens? live = null)
    {
        using var scope = NewDisposeScope();
        x = _input.Forward(x); // [rows, tokens, size]
        x = _lookahead.Forward(live is null ? x : x * live.Heard(x.shape[1]), complete);
        x = Run(_blocks, x, live?.Unseen(x.shape[1], products));
        x = _upInput.Forward(_upsampling.Forward(x).to(x.dtype)); // [rows, frames, size]
        x = Run(_upBlocks, x, live?.Unseen(x.shape[1], products, config.Upsampling));
        return _norm.Forward(x).MoveToOuterDisposeScope();
    }

    private static ConformerBlock[] Blocks(int count, ConformerConfig config, WeightScope weights, TorchOps ops, ScalarType products) =>
        [.. Enumerable.Range(0, count).Select(i => new ConformerBlock(config, weights[i], ops, products))];

    private Tensor Run(ConformerBlock[] blocks, Tensor x, Tensor? unseen)
    {
        using var scope = NewDisposeScope();
        var positions = _positions.Of(x.shape[1]);
        return blocks.Aggregate(x, (hidden, block) => block.Forward(hidden, positions, unseen)).MoveToOuterDisposeScope();
    }
}

/// <summary>How many of an encoder's tokens count, told on the device where they are.</summary>
/// <param name="Given">Tokens that are given, those that are only looked ahead to as well: [1], int64.</param>
/// <param name="Encoded">Tokens that become frames, [1], int64.</param>
internal sealed record LiveTokens(Tensor Given, Tensor Encoded)
{
    /// <summary>1 for what is given and 0 behind it, [1, length, 1].</summary>
    public Tensor Heard(long length)
    {
        using var scope = NewDisposeScope();
        return (Arithmetic.Range(0, length, device: Given.device) < Given)
            .to(ScalarType.Float32)
            .reshape(1, length, 1)
            .MoveToOuterDisposeScope();
    }

    /// <summary>What keeps attention from keys that do not count: 0 for those that do, minus infinity behind them, [length].</summary>
    /// <param name="length">Keys.</param>
    /// <param name="dtype">Of the scores.</param>
    /// <param name="upsampling">Keys of a token.</param>
    public Tensor Unseen(long length, ScalarType dtype, int upsampling = 1)
    {
        using var scope = NewDisposeScope();
        var behind = Arithmetic.Range(0, length, device: Encoded.device) >= Encoded.Mul(upsampling);
        return zeros([length], dtype, Encoded.device).MaskedFill(behind, double.NegativeInfinity).MoveToOuterDisposeScope();
    }
}

/// <summary>Sinusoids of the distance between query and key, from far behind to far ahead.</summary>
/// <remarks>Ports EspnetRelPositionalEncoding of chatterbox models/s3gen/transformer/embedding.py.</remarks>
internal sealed class RelativePositions
{
    private readonly long _size;
    private readonly long _longest;
    private readonly Tensor _table;

    public RelativePositions(ConformerConfig config, WeightScope weights)
    {
        using var scope = NewDisposeScope();
        _size = config.Size;
        _longest = config.PositionTable;
        _table = weights.Own(Compute(_longest).to(weights.DType, weights.Device));
    }

    /// <summary>The positions of a sequence.</summary>
    /// <param name="length">Its length.</param>
    /// <returns>[1, 2·length − 1, size]: row m is for a key that lies length − 1 − m before its query.</returns>
    public Tensor Of(long length)
    {
        using var scope = NewDisposeScope();
        var positions =
            length <= _longest ? _table.narrow(0, _longest - length, 2 * length - 1) : Compute(length).to(_table.dtype, _table.device);
        return positions.unsqueeze(0).MoveToOuterDisposeScope();
    }

    private Tensor Compute(long length)
    {
        using var scope = NewDisposeScope();
        var distances = Arithmetic.Range(length - 1, -length, -1).unsqueeze(1); // [2·length − 1, 1]
        var frequencies = exp(Arithmetic.Range(0, _size, 2).Mul(-(Math.Log(10000.0) / _size))); // [size / 2]
        var angles = distances * frequencies;
        return stack([sin(angles), cos(angles)], -1).flatten(1).MoveToOuterDisposeScope(); // sine and cosine interleaved
    }
}

/// <summary>Linear layer, norm and scale in front of a group of blocks. Weights: 0 (linear), 1 (norm).</summary>
/// <remarks>Ports LinearNoSubsampling of chatterbox models/s3gen/transformer/subsampling.py, with the scale of its positional
/// encoding.</remarks>
internal sealed class ConformerInput(ConformerConfig config, WeightScope weights, long inputs)
{
    private readonly Linear _linear = new(weights[0], inputs, config.Size);
    private readonly LayerNorm _norm = new(weights[1], config.Size);
    private readonly double _scale = Math.Sqrt(config.Size);

    /// <param name="x">[rows, time, inputs].</param>
    /// <returns>[rows, time, size].</returns>
    public Tensor Forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        return _norm.Forward(_linear.Forward(x)).Mul(_scale).MoveToOuterDisposeScope();
    }
}

/// <summary>Adds what the next few tokens say to each token.</summary>
/// <remarks>Ports PreLookaheadLayer of chatterbox models/s3gen/transformer/upsample_encoder.py.</remarks>
internal sealed class ConformerLookahead(ConformerConfig config, WeightScope weights)
{
    private readonly Conv1d _ahead = new(weights["conv1"], config.Size, config.Size, kernel: config.Lookahead + 1);
    private readonly CausalConv1d _back = new(weights["conv2"], config.Size, config.Size, kernel: 3);

    /// <param name="x">[rows, tokens, size].</param>
    /// <param name="complete">True where silence follows; false where the last of these tokens are what follows.</param>
    /// <returns>The same shape, less the tokens that are only looked ahead to.</returns>
    public Tensor Forward(Tensor x, bool complete)
    {
        using var scope = NewDisposeScope();
        var following = x.to(_ahead.Weight.dtype);
        following = complete ? pad(following, (0, 0, 0, config.Lookahead)) : following;
        var y = _back.Multiply(_ahead.Multiply(following).LeakyRelu(0.01)); // [rows, tokens, size]
        return y.Add(x.narrow(1, 0, y.shape[1])).MoveToOuterDisposeScope();
    }
}

/// <summary>Repeats each token for its mel frames and smooths the steps.</summary>
/// <remarks>Ports Upsample1D of chatterbox models/s3gen/transformer/upsample_encoder.py.</remarks>
internal sealed class ConformerUpsampling(ConformerConfig config, WeightScope weights)
{
    private readonly CausalConv1d _conv = new(weights["conv"], config.Size, config.Size, kernel: 2 * config.Upsampling + 1);

    /// <param name="x">[rows, tokens, size].</param>
    /// <returns>[rows, tokens·upsampling, size].</returns>
    public Tensor Forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        var frames = x.to(_conv.Weight.dtype).unsqueeze(2).expand(-1, -1, config.Upsampling, -1).flatten(1, 2); // [rows, frames, size]
        return _conv.Multiply(frames).MoveToOuterDisposeScope();
    }
}

/// <summary>One pre-norm block: attention, then a feed-forward layer, each added to the residual.</summary>
/// <remarks>Ports ConformerEncoderLayer of chatterbox models/s3gen/transformer/encoder_layer.py without its convolution and
/// its first feed-forward layer, which S3Gen does not have.</remarks>
internal sealed class ConformerBlock(ConformerConfig config, WeightScope weights, TorchOps ops, ScalarType products)
{
    private const double Eps = 1e-12; // these norms only; the others have torch's 1e-5

    private readonly LayerNorm _attentionNorm = new(weights["norm_mha"], config.Size, Eps);
    private readonly RelativeAttention _attention = new(config, weights["self_attn"].In(products), ops);
    private readonly LayerNorm _mlpNorm = new(weights["norm_ff"], config.Size, Eps);
    private readonly Linear _up = new(weights["feed_forward"]["w_1"].In(products), config.Size, config.MlpSize);
    private readonly Linear _down = new(weights["feed_forward"]["w_2"].In(products), config.MlpSize, config.Size);

    /// <param name="x">Hidden states, [rows, time, size].</param>
    /// <param name="positions">Relative positions, [1, 2·time − 1, size].</param>
    /// <param name="unseen">Added to the scores of each key, [time]; null for nothing.</param>
    /// <returns>Hidden states of the same shape.</returns>
    public Tensor Forward(Tensor x, Tensor positions, Tensor? unseen = null)
    {
        using var scope = NewDisposeScope();
        x = x.Add(_attention.Forward(_attentionNorm.Forward(x).to(products), positions, unseen));
        x = x.Add(_down.Forward(silu(_up.Forward(_mlpNorm.Forward(x).to(products)))));
        return x.MoveToOuterDisposeScope();
    }
}

/// <summary>Self-attention whose scores also depend on the distance between query and key, as in Transformer-XL:
/// ((q + u)·k + (q + v)·p) / √headSize. Weights: linear_q, linear_k, linear_v, linear_pos, linear_out; pos_bias_u, pos_bias_v
/// [heads, headSize].</summary>
/// <remarks>Ports RelPositionMultiHeadedAttention of chatterbox models/s3gen/transformer/attention.py.</remarks>
internal sealed class RelativeAttention(ConformerConfig config, WeightScope weights, TorchOps ops)
{
    private readonly Linear _query = new(weights["linear_q"], config.Size, config.Size);
    private readonly Linear _key = new(weights["linear_k"], config.Size, config.Size);
    private readonly Linear _value = new(weights["linear_v"], config.Size, config.Size);
    private readonly Linear _position = new(weights["linear_pos"], config.Size, config.Size, bias: false);
    private readonly Linear _out = new(weights["linear_out"], config.Size, config.Size);
    private readonly Tensor _contentBias = weights.Get("pos_bias_u", config.Heads, config.HeadSize);
    private readonly Tensor _positionBias = weights.Get("pos_bias_v", config.Heads, config.HeadSize);

    /// <param name="x">Normed hidden states, [rows, time, size].</param>
    /// <param name="positions">Relative positions, [1, 2·time − 1, size].</param>
    /// <param name="unseen">Added to the scores of each key, [time]; null for nothing.</param>
    /// <returns>[rows, time, size].</returns>
    public Tensor Forward(Tensor x, Tensor positions, Tensor? unseen = null)
    {
        using var scope = NewDisposeScope();
        var q = Split(_query.Forward(x)); // [rows, time, heads, headSize]
        var k = Split(_key.Forward(x)).transpose(1, 2); // [rows, heads, time, headSize]
        var v = Split(_value.Forward(x)).transpose(1, 2);
        var p = Split(_position.Forward(positions)).transpose(1, 2); // [1, heads, 2·time − 1, headSize]

        var byContent = q.Add(_contentBias).transpose(1, 2);
        var byPosition = q.Add(_positionBias).Div(Math.Sqrt(config.HeadSize)).transpose(1, 2);
        var bias = Align(matmul(byPosition, p.transpose(2, 3))); // [rows, heads, time, time]
        var y = ops.Attention(byContent, k, v, unseen is null ? bias : bias.Add(unseen)); // [rows, heads, time, headSize]
        return _out.Forward(y.transpose(1, 2).flatten(2)).MoveToOuterDisposeScope();
    }

    /// <summary>From scores by distance to scores by key: row i of the result is row i of the input from column time − 1 − i on.
    /// A view with a skewed stride says so without moving anything.</summary>
    /// <param name="byDistance">A result of matmul, [rows, heads, time, 2·time − 1].</param>
    /// <returns>A view of it, [rows, heads, time, time].</returns>
    private static Tensor Align(Tensor byDistance)
    {
        var (rows, heads, time, distances) = (byDistance.shape[0], byDistance.shape[1], byDistance.shape[2], byDistance.shape[3]);
        return byDistance.as_strided([rows, heads, time, time], [heads * time * distances, time * distances, distances - 1, 1], time - 1);
    }

    private Tensor Split(Tensor x) => x.unflatten(2, config.Heads, config.HeadSize);
}
