namespace Chatterbox.T3;

/// <summary>The GPT-2 decoder of Turbo and Nano, without token embedding and head.</summary>
/// <remarks>Ports GPT2Model of transformers, models/gpt2/modeling_gpt2.py, as T3 calls it: learned positions count over the
/// whole sequence, prefix and speech. Weights: tfmr; its wte (a table of text tokens) is unused, T3 has its own.</remarks>
internal sealed class Gpt2Backbone : IPlainBackbone
{
    private readonly Tensor _positions;
    private readonly Gpt2Block[] _blocks;
    private readonly LayerNorm _norm;

    public Gpt2Backbone(Gpt2Config config, WeightScope weights, TorchOps ops)
    {
        weights.Skip("wte.weight");
        _positions = weights["wpe"].Get("weight", config.Positions, config.HiddenSize);
        _blocks = [.. Enumerable.Range(0, config.Layers).Select(layer => new Gpt2Block(config, weights["h"][layer], ops, layer))];
        _norm = new(weights["ln_f"], config.HiddenSize, config.NormEps);
    }

    /// <inheritdoc/>
    public ScalarType CacheType => _positions.dtype;

    /// <inheritdoc/>
    public BackboneWeights Weights => new([.. _blocks.Select(block => block.Weights)], new(_norm.Weight, _norm.Bias), _positions);

    /// <inheritdoc/>
    public Tensor Forward(Tensor x, KvCache cache, CacheRows rows)
    {
        using var scope = NewDisposeScope();
        x = x.Add(_positions.narrow(0, rows.Start, x.shape[1]));
        foreach (var block in _blocks)
        {
            x = block.Forward(x, cache, rows);
        }

        return _norm.Forward(x).MoveToOuterDisposeScope();
    }
}

/// <summary>One pre-norm decoder layer: attention, then MLP, each added to the residual.</summary>
/// <remarks>Ports GPT2Block. Weights: tfmr.h.{i}.</remarks>
internal sealed class Gpt2Block(Gpt2Config config, WeightScope weights, TorchOps ops, int layer)
{
    private readonly LayerNorm _attentionNorm = new(weights["ln_1"], config.HiddenSize, config.NormEps);
    private readonly Gpt2Attention _attention = new(config, weights["attn"], ops, layer);
    private readonly LayerNorm _mlpNorm = new(weights["ln_2"], config.HiddenSize, config.NormEps);
    private readonly Gpt2Mlp _mlp = new(config, weights["mlp"]);

    /// <summary>The layer's weights.</summary>
    public LayerWeights Weights =>
        new(
            new(_attentionNorm.Weight, _attentionNorm.Bias),
            _attention.Qkv.Weight,
            _attention.Qkv.Bias,
            _attention.Out.Weight,
            _attention.Out.Bias,
            new(_mlpNorm.Weight, _mlpNorm.Bias),
            _mlp.Up.Weight,
            _mlp.Up.Bias,
            _mlp.Down.Weight,
            _mlp.Down.Bias
        );

    /// <param name="x">Hidden states, [rows, time, hidden].</param>
    /// <param name="cache">Holds what came before, and takes what is new.</param>
    /// <param name="rows">Slots and position of the rows.</param>
    /// <returns>Hidden states of the same shape.</returns>
    public Tensor Forward(Tensor x, KvCache cache, CacheRows rows)
    {
        using var scope = NewDisposeScope();
        x = x.Add(_attention.Forward(_attentionNorm.Forward(x), cache, rows));
        x = x.Add(_mlp.Forward(_mlpNorm.Forward(x)));
        return x.MoveToOuterDisposeScope();
    }
}

/// <summary>Causal self-attention.</summary>
/// <remarks>Ports GPT2Attention. Weights: c_attn (queries, keys, values), c_proj.</remarks>
internal sealed class Gpt2Attention(Gpt2Config config, WeightScope weights, TorchOps ops, int layer)
{
    public TransposedLinear Qkv { get; } = new(weights["c_attn"], config.HiddenSize, 3 * config.HiddenSize);
    public TransposedLinear Out { get; } = new(weights["c_proj"], config.HiddenSize, config.HiddenSize);

    /// <inheritdoc cref="Gpt2Block.Forward"/>
    public Tensor Forward(Tensor x, KvCache cache, CacheRows rows)
    {
        using var scope = NewDisposeScope();
        var heads = Qkv.Forward(x).unflatten(2, [3, config.Heads, config.HeadDim]).unbind(2); // q, k, v: [rows, time, heads, headDim]
        var (keys, values) = cache.Append(layer, rows, heads[1], heads[2]);
        var attended = ops.Attention(heads[0].transpose(1, 2), keys, values, causal: rows.Start == 0); // [rows, heads, time, headDim]
        return Out.Forward(attended.transpose(1, 2).flatten(2)).MoveToOuterDisposeScope();
    }
}

/// <summary>Two projections with GELU, in its tanh form, between them.</summary>
/// <remarks>Ports GPT2MLP with gelu_new. Weights: c_fc, c_proj.</remarks>
internal sealed class Gpt2Mlp(Gpt2Config config, WeightScope weights)
{
    public TransposedLinear Up { get; } = new(weights["c_fc"], config.HiddenSize, config.MlpSize);
    public TransposedLinear Down { get; } = new(weights["c_proj"], config.MlpSize, config.HiddenSize);

    /// <param name="x">[rows, time, hidden].</param>
    public Tensor Forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        var wide = nn.functional.gelu(Up.Forward(x), TorchSharp.Modules.GELU.Approximate.tanh);
        return Down.Forward(wide).MoveToOuterDisposeScope();
    }
}

/// <summary>y = x·W + b over the last dimension. Weights: weight [inputs, outputs], bias [outputs].</summary>
/// <remarks>Ports Conv1D of transformers pytorch_utils.py, which keeps its weight the other way round than a Linear. A GPU
/// gets it turned, which its kernels for a few rows need and all others are as fast with.</remarks>
internal sealed class TransposedLinear
{
    private readonly Tensor _weight; // [inputs, outputs]

    public TransposedLinear(WeightScope weights, long inputs, long outputs)
    {
        _weight = Turned(weights, weights.Get("weight", inputs, outputs));
        Weight = weights.Own(_weight.t());
        Bias = weights.Get("bias", outputs);
    }

    /// <summary>[outputs, inputs].</summary>
    public Tensor Weight { get; }

    /// <summary>[outputs].</summary>
    public Tensor Bias { get; }

    /// <param name="x">[rows, time, inputs].</param>
    /// <returns>[rows, time, outputs].</returns>
    public Tensor Forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        return Bias.addmm(x.flatten(0, 1), _weight).unflatten(0, x.shape[0], x.shape[1]).MoveToOuterDisposeScope();
    }

    private static Tensor Turned(WeightScope weights, Tensor stored)
    {
        if (stored.device_type == DeviceType.CPU)
        {
            return stored;
        }

        using var scope = NewDisposeScope();
        var turned = weights.Own(stored.t().contiguous().t());
        weights.Release(stored);
        return turned;
    }
}
