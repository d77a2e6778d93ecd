using static TorchSharp.torch.nn.functional;

namespace Chatterbox.S3Gen;

/// <summary>The network that the flow integrates: how a noisy mel has to move, given what it shall become. A causal U-Net over
/// time with one level, every stage of it a residual block and a few transformer blocks that see the whole sequence.</summary>
/// <remarks>Ports ConditionalDecoder of chatterbox models/s3gen/decoder.py for one entry in its <c>channels</c>, as S3Gen has it.
/// Masks are left out: rows are of equal length. Frames come before channels throughout, not only in the transformer blocks.</remarks>
/// <param name="config">Sizes.</param>
/// <param name="weights">Scope of the estimator.</param>
/// <param name="ops">Operations to use.</param>
/// <param name="products">Element type of the operands of products in the transformer blocks; what is added up along the blocks is in the
/// weights' own.</param>
internal sealed class FlowEstimator(S3GenConfig config, WeightScope weights, TorchOps ops, ScalarType products)
{
    private readonly TimeEmbedding _time = new(config, weights);
    private readonly EstimatorStage _down = new(config.Estimator, weights["down_blocks"][0], ops, Inputs(config), products);
    private readonly FrameConv _downConv = new(
        weights["down_blocks"][0][2],
        config.Estimator.Channels,
        config.Estimator.Channels,
        kernel: 3
    );
    private readonly EstimatorStage[] _middle =
    [
        .. Enumerable
            .Range(0, config.Estimator.MiddleStages)
            .Select(i => new EstimatorStage(config.Estimator, weights["mid_blocks"][i], ops, config.Estimator.Channels, products)),
    ];

    private readonly EstimatorStage _up = new(config.Estimator, weights["up_blocks"][0], ops, 2 * config.Estimator.Channels, products);
    private readonly FrameConv _upConv = new(weights["up_blocks"][0][2], config.Estimator.Channels, config.Estimator.Channels, kernel: 3);
    private readonly CausalBlock _final = new(weights["final_block"], config.Estimator.Channels, config.Estimator.Channels);
    private readonly FrameConv _projection = new(weights["final_proj"], config.Estimator.Channels, config.MelBands, kernel: 1);

    /// <summary>Bands of the noisy mel, mu, the speaker and the prompt's mel, side by side.</summary>
    public static int Inputs(S3GenConfig config) => 4 * config.MelBands;

    /// <summary>What <see cref="Forward"/> takes as time, for any number of times at once.</summary>
    /// <param name="start">Times in [0, 1], [times].</param>
    /// <param name="end">For mean flow, the times that the steps end at, [times].</param>
    /// <returns>[times, time size].</returns>
    public Tensor EmbedTime(Tensor start, Tensor end) => _time.Forward(start, end);

    /// <summary>What the network is made of, for <see cref="FusedEstimator"/>.</summary>
    public EstimatorWeights Weights =>
        new(
            [_down.Weights, .. _middle.Select(stage => stage.Weights), _up.Weights],
            _downConv.Conv,
            _upConv.Conv,
            _final.Weights,
            _projection.Conv
        );

    /// <param name="x">Noisy mel, [rows, frames, bands].</param>
    /// <param name="conditions">Mu, speaker and prompt mel, [rows, frames, 3·bands].</param>
    /// <param name="time">Time embedding, [rows or 1, time size].</param>
    /// <returns>Velocity, [rows, frames, bands].</returns>
    public Tensor Forward(Tensor x, Tensor conditions, Tensor time)
    {
        using var scope = NewDisposeScope();
        var skip = _down.Forward(cat([x, conditions], -1), time); // [rows, frames, channels]
        var y = _downConv.Forward(skip);
        foreach (var stage in _middle)
        {
            y = stage.Forward(y, time);
        }

        y = _upConv.Forward(_up.Forward(cat([y, skip], -1), time));
        return _projection.Forward(_final.Forward(y)).MoveToOuterDisposeScope();
    }
}

/// <summary>Sinusoids of a time, then two linear layers. Weights: time_mlp, and time_embed_mixer where the model is a mean flow.</summary>
/// <remarks>Ports SinusoidalPosEmb and TimestepEmbedding of chatterbox models/s3gen/matcha/decoder.py, and the mixer of
/// utils/intmeanflow.py.</remarks>
internal sealed class TimeEmbedding(S3GenConfig config, WeightScope weights)
{
    private const double Scale = 1000;

    private readonly ScalarType _dtype = weights.DType;
    private readonly Tensor _frequencies = Frequencies(FlowEstimator.Inputs(config) / 2, weights);
    private readonly Linear _first = new(weights["time_mlp"]["linear_1"], FlowEstimator.Inputs(config), config.Estimator.TimeSize);
    private readonly Linear _second = new(weights["time_mlp"]["linear_2"], config.Estimator.TimeSize, config.Estimator.TimeSize);
    private readonly Linear? _mixer = config.Flow.IsMeanFlow
        ? new(weights["time_embed_mixer"], 2 * config.Estimator.TimeSize, config.Estimator.TimeSize, bias: false)
        : null;

    /// <param name="start">Times in [0, 1], float32, [times].</param>
    /// <param name="end">[times]; only a mean flow looks at it.</param>
    /// <returns>[times, time size].</returns>
    public Tensor Forward(Tensor start, Tensor end)
    {
        using var scope = NewDisposeScope();
        var embedded = Embed(start);
        return (_mixer is null ? embedded : _mixer.Forward(cat([embedded, Embed(end)], -1))).MoveToOuterDisposeScope();
    }

    private Tensor Embed(Tensor times)
    {
        using var scope = NewDisposeScope();
        var angles = times.unsqueeze(1).Mul(Scale) * _frequencies; // [times, inputs / 2]
        var sinusoids = cat([sin(angles), cos(angles)], -1);
        return _second.Forward(silu(_first.Forward(sinusoids.to(_dtype)))).MoveToOuterDisposeScope();
    }

    private static Tensor Frequencies(long count, WeightScope weights)
    {
        using var scope = NewDisposeScope();
        var frequencies = exp(Arithmetic.Range(0, count).Mul(-(Math.Log(10000.0) / (count - 1))));
        return weights.Own(frequencies.to(weights.Device));
    }
}

/// <summary>A residual block, then transformer blocks. Weights: 0 (residual block), 1.{i} (transformer blocks).</summary>
internal sealed class EstimatorStage(EstimatorConfig config, WeightScope weights, TorchOps ops, long inputs, ScalarType products)
{
    private readonly CausalResnet _resnet = new(config, weights[0], inputs);
    private readonly TransformerBlock[] _blocks =
    [
        .. Enumerable.Range(0, config.BlocksPerStage).Select(i => new TransformerBlock(config, weights[1][i], ops, products)),
    ];

    /// <summary>What the stage is made of.</summary>
    public StageWeights Weights => new(_resnet.Weights, [.. _blocks.Select(block => block.Weights)]);

    /// <param name="x">[rows, frames, inputs].</param>
    /// <param name="time">Time embedding, [rows or 1, time size].</param>
    /// <returns>[rows, frames, channels].</returns>
    public Tensor Forward(Tensor x, Tensor time)
    {
        using var scope = NewDisposeScope();
        return _blocks.Aggregate(_resnet.Forward(x, time), (hidden, block) => block.Forward(hidden)).MoveToOuterDisposeScope();
    }
}

/// <summary>Two causal convolutions with the time added between them, and a projection around them.</summary>
/// <remarks>Ports CausalResnetBlock1D of chatterbox models/s3gen/decoder.py.</remarks>
internal sealed class CausalResnet(EstimatorConfig config, WeightScope weights, long inputs)
{
    private readonly Linear _time = new(weights["mlp"][1], config.TimeSize, config.Channels);
    private readonly CausalBlock _first = new(weights["block1"], inputs, config.Channels);
    private readonly CausalBlock _second = new(weights["block2"], config.Channels, config.Channels);
    private readonly FrameConv _residual = new(weights["res_conv"], inputs, config.Channels, kernel: 1);

    /// <summary>What the block is made of.</summary>
    public ResnetWeights Weights => new(_time, _first.Weights, _second.Weights, _residual.Conv);

    /// <inheritdoc cref="EstimatorStage.Forward"/>
    public Tensor Forward(Tensor x, Tensor time)
    {
        using var scope = NewDisposeScope();
        var y = _first.Forward(x).Add(_time.Forward(time.Mish()).unsqueeze(1));
        return _second.Forward(y).Add(_residual.Forward(x)).MoveToOuterDisposeScope();
    }
}

/// <summary>Causal convolution, norm over the channels, Mish. Weights: block.0 (convolution), block.2 (norm).</summary>
/// <remarks>Ports CausalBlock1D of chatterbox models/s3gen/decoder.py.</remarks>
internal sealed class CausalBlock(WeightScope weights, long inputs, long outputs)
{
    private readonly FrameConv _conv = new(weights["block"][0], inputs, outputs, kernel: 3);
    private readonly LayerNorm _norm = new(weights["block"][2], outputs);

    /// <summary>Convolution and norm.</summary>
    public (CausalConv1d Conv, LayerNorm Norm) Weights => (_conv.Conv, _norm);

    /// <param name="x">[rows, frames, inputs].</param>
    /// <returns>[rows, frames, outputs].</returns>
    public Tensor Forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        return _norm.Forward(_conv.Forward(x)).Mish().MoveToOuterDisposeScope();
    }
}

/// <summary>Causal convolution over frames that come before channels.</summary>
internal sealed class FrameConv(WeightScope weights, long inputs, long outputs, long kernel)
{
    /// <summary>The convolution, of channels before frames.</summary>
    public CausalConv1d Conv { get; } = new(weights, inputs, outputs, kernel);

    /// <param name="x">[rows, frames, inputs].</param>
    /// <returns>[rows, frames, outputs], a view in which channels come before frames.</returns>
    public Tensor Forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        return Conv.Forward(x.transpose(1, 2)).transpose(1, 2).MoveToOuterDisposeScope();
    }
}

/// <summary>One pre-norm transformer block: self-attention, then a feed-forward layer with the exact GELU.
/// Weights: norm1, attn1, norm3, ff.net.0.proj, ff.net.2.</summary>
/// <remarks>Ports BasicTransformerBlock of chatterbox models/s3gen/matcha/transformer.py with the Attention and GELU of diffusers
/// 0.29.0.</remarks>
internal sealed class TransformerBlock(EstimatorConfig config, WeightScope weights, TorchOps ops, ScalarType products)
{
    private readonly LayerNorm _attentionNorm = new(weights["norm1"], config.Channels);
    private readonly EstimatorAttention _attention = new(config, weights["attn1"].In(products), ops);
    private readonly LayerNorm _mlpNorm = new(weights["norm3"], config.Channels);
    private readonly Linear _up = new(weights["ff"]["net"][0]["proj"].In(products), config.Channels, config.MlpSize);
    private readonly Linear _down = new(weights["ff"]["net"][2].In(products), config.MlpSize, config.Channels);

    /// <summary>What the block is made of.</summary>
    public BlockWeights Weights => new(_attentionNorm, _attention.Weights, _attention.Out, _mlpNorm, _up, _down);

    /// <param name="x">[rows, frames, channels].</param>
    /// <returns>The same shape.</returns>
    public Tensor Forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        x = x.Add(_attention.Forward(_attentionNorm.Forward(x).to(products)));
        x = x.Add(_down.Forward(gelu(_up.Forward(_mlpNorm.Forward(x).to(products)))));
        return x.MoveToOuterDisposeScope();
    }
}

/// <summary>Self-attention without biases but on the way out. Weights: to_q, to_k, to_v, to_out.0.</summary>
/// <remarks>Ports Attention of diffusers 0.29.0, models/attention_processor.py.</remarks>
internal sealed class EstimatorAttention(EstimatorConfig config, WeightScope weights, TorchOps ops)
{
    private readonly Linear _query = new(weights["to_q"], config.Channels, config.Heads * config.HeadSize, bias: false);
    private readonly Linear _key = new(weights["to_k"], config.Channels, config.Heads * config.HeadSize, bias: false);
    private readonly Linear _value = new(weights["to_v"], config.Channels, config.Heads * config.HeadSize, bias: false);

    /// <summary>Queries, keys, values.</summary>
    public Linear[] Weights => [_query, _key, _value];

    /// <summary>The way out.</summary>
    public Linear Out { get; } = new(weights["to_out"][0], config.Heads * config.HeadSize, config.Channels);

    /// <param name="x">Normed hidden states, [rows, frames, channels].</param>
    /// <returns>The same shape.</returns>
    public Tensor Forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        var y = ops.Attention(Split(_query.Forward(x)), Split(_key.Forward(x)), Split(_value.Forward(x)));
        return Out.Forward(y.transpose(1, 2).flatten(2)).MoveToOuterDisposeScope(); // [rows, frames, channels]
    }

    private Tensor Split(Tensor x) => x.unflatten(2, config.Heads, config.HeadSize).transpose(1, 2); // [rows, heads, frames, headSize]
}
