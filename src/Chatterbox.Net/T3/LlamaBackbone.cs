namespace Chatterbox.T3;

/// <summary>The Llama decoder of the English, multilingual and Flash models, without token embedding and head.</summary>
/// <remarks>Ports LlamaModel of transformers, models/llama/modeling_llama.py, as T3 calls it: plain causal attention (Flash's blocks see
/// all of themselves), as many key heads as query heads. Weights: tfmr; its embed_tokens is a placeholder of eight rows that nothing
/// reads.</remarks>
internal sealed class LlamaBackbone : IPlainBackbone
{
    private readonly RotaryTable _rotary;
    private readonly LlamaBlock[] _blocks;
    private readonly RmsNorm _norm;

    public LlamaBackbone(LlamaConfig config, WeightScope weights, TorchOps ops, int maxLength)
    {
        weights.Skip("embed_tokens.weight");
        _rotary = new(config, weights, maxLength);
        _blocks = [.. Enumerable.Range(0, config.Layers).Select(layer => new LlamaBlock(config, weights["layers"][layer], ops, layer))];
        _norm = new(weights["norm"], ops, config.HiddenSize, config.NormEps);
    }

    /// <inheritdoc/>
    public ScalarType CacheType => _norm.Weight.dtype;

    /// <inheritdoc/>
    public BackboneWeights Weights => new([.. _blocks.Select(block => block.Weights)], new(_norm.Weight, null), Positions: null);

    /// <inheritdoc/>
    public Tensor Forward(Tensor x, KvCache cache, CacheRows rows)
    {
        using var scope = NewDisposeScope();
        var rotation = _rotary.At(rows.Start, x.shape[1]);
        foreach (var block in _blocks)
        {
            x = block.Forward(x, rotation, cache, rows);
        }

        return _norm.Forward(x).MoveToOuterDisposeScope();
    }
}

/// <summary>One pre-norm decoder layer: attention, then gated MLP, each added to the residual.</summary>
/// <remarks>Ports LlamaDecoderLayer. Weights: tfmr.layers.{i}.</remarks>
internal sealed class LlamaBlock(LlamaConfig config, WeightScope weights, TorchOps ops, int layer)
{
    private readonly RmsNorm _attentionNorm = new(weights["input_layernorm"], ops, config.HiddenSize, config.NormEps);
    private readonly LlamaAttention _attention = new(config, weights["self_attn"], ops, layer);
    private readonly RmsNorm _mlpNorm = new(weights["post_attention_layernorm"], ops, config.HiddenSize, config.NormEps);
    private readonly LlamaMlp _mlp = new(config, weights["mlp"], ops);

    /// <summary>The layer's weights.</summary>
    public LayerWeights Weights =>
        new(
            new(_attentionNorm.Weight, null),
            _attention.Qkv.Weight,
            null,
            _attention.Out.Weight,
            null,
            new(_mlpNorm.Weight, null),
            _mlp.GateUp.Weight,
            null,
            _mlp.Down.Weight,
            null
        );

    /// <param name="x">Hidden states, [rows, time, hidden].</param>
    /// <param name="rotation">Cosines and sines of the rows' positions.</param>
    /// <param name="cache">Holds what came before, and takes what is new.</param>
    /// <param name="rows">Slots and position of the rows.</param>
    /// <returns>Hidden states of the same shape.</returns>
    public Tensor Forward(Tensor x, Rotation rotation, KvCache cache, CacheRows rows)
    {
        using var scope = NewDisposeScope();
        x = x.Add(_attention.Forward(_attentionNorm.Forward(x), rotation, cache, rows));
        x = x.Add(_mlp.Forward(_mlpNorm.Forward(x)));
        return x.MoveToOuterDisposeScope();
    }
}

/// <summary>Causal self-attention with rotary positions.</summary>
/// <remarks>Ports LlamaAttention. Weights: q_proj, k_proj, v_proj, o_proj, no biases.</remarks>
internal sealed class LlamaAttention(LlamaConfig config, WeightScope weights, TorchOps ops, int layer)
{
    public Projection Qkv { get; } = new(weights, config.HiddenSize, config.HiddenSize, "q_proj", "k_proj", "v_proj");
    public Projection Out { get; } = new(weights, config.HiddenSize, config.HiddenSize, "o_proj");

    /// <inheritdoc cref="LlamaBlock.Forward"/>
    public Tensor Forward(Tensor x, Rotation rotation, KvCache cache, CacheRows rows)
    {
        using var scope = NewDisposeScope();
        var heads = Qkv.Forward(x).unflatten(2, 3 * config.Heads, config.HeadDim).split([2 * config.Heads, config.Heads], 2);
        var turned = ops.Rotate(heads[0], rotation.Cos, rotation.Sin).chunk(2, 2); // queries and keys, [rows, time, heads, headDim] each
        var (keys, values) = cache.Append(layer, rows, turned[1], heads[1]);
        var queries = turned[0].transpose(1, 2); // [rows, heads, time, headDim]
        var attended = ops.Attention(queries, keys, values, causal: rows.Start == 0);
        return Out.Forward(attended.transpose(1, 2).flatten(2)).MoveToOuterDisposeScope();
    }
}

/// <summary>down(silu(gate(x)) · up(x)).</summary>
/// <remarks>Ports LlamaMLP. Weights: gate_proj, up_proj, down_proj, no biases.</remarks>
internal sealed class LlamaMlp(LlamaConfig config, WeightScope weights, TorchOps ops)
{
    public Projection GateUp { get; } = new(weights, config.HiddenSize, config.MlpSize, "gate_proj", "up_proj");
    public Projection Down { get; } = new(weights, config.MlpSize, config.HiddenSize, "down_proj");

    /// <param name="x">[rows, time, hidden].</param>
    public Tensor Forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        var parts = GateUp.Forward(x).chunk(2, -1);
        return Down.Forward(ops.SiluGate(parts[0], parts[1])).MoveToOuterDisposeScope();
    }
}

/// <summary>y = x·Wᵀ; several projections of the same input are done as one, which keeps a small batch busy.
/// Weights: {name}.weight [outputs, inputs] each.</summary>
internal sealed class Projection(WeightScope weights, long inputs, long outputs, params string[] names)
{
    private const int FewRows = 4;

    /// <summary>[names · outputs, inputs].</summary>
    public Tensor Weight { get; } = weights.GetStacked(names, "weight", outputs, inputs);

    /// <param name="x">[rows, time, inputs].</param>
    /// <returns>The outputs one after the other, [rows, time, names · outputs].</returns>
    public Tensor Forward(Tensor x)
    {
        // A step of two rows takes the time to read the weights. Given the weight on the left, MKL reads it at the memory's
        // speed, given on the right at half of that (two cores of an AMD EPYC); but the rows must not be strided.
        if (x.device_type != DeviceType.CPU || x.shape[0] * x.shape[1] is 1 or > FewRows)
        {
            return nn.functional.linear(x, Weight);
        }

        using var scope = NewDisposeScope();
        return mm(Weight, x.flatten(0, 1).contiguous().t()).t().contiguous().unflatten(0, x.shape[0], x.shape[1]).MoveToOuterDisposeScope();
    }
}

/// <summary>Cosines and sines of every position, computed once.</summary>
/// <remarks>Ports LlamaRotaryEmbedding and the llama3 rule of modeling_rope_utils.py, in float32 as there.</remarks>
internal sealed class RotaryTable
{
    private readonly Tensor _cos;
    private readonly Tensor _sin;

    public RotaryTable(LlamaConfig config, WeightScope weights, int maxLength)
    {
        using var scope = NewDisposeScope();
        var angles = outer(Arithmetic.Range(0, maxLength), Frequencies(config)); // [time, headDim / 2]
        var sign = cat([-ones(angles.shape[1]), ones(angles.shape[1])]);
        angles = cat([angles, angles], -1).unsqueeze(1); // [time, 1, headDim]: the same for each head
        _cos = weights.Own(angles.cos().to(weights.DType, weights.Device));
        _sin = weights.Own((angles.sin() * sign).to(weights.DType, weights.Device));
    }

    /// <summary>The rotation of <paramref name="length"/> positions from <paramref name="start"/> on.</summary>
    public Rotation At(long start, long length) => new(_cos.narrow(0, start, length), _sin.narrow(0, start, length));

    /// <summary>Radians a position, for each pair of a head's numbers: [headDim / 2].</summary>
    /// <remarks>Waves much longer than the original context are stretched, short ones stay, between them the two blend.</remarks>
    internal static Tensor Frequencies(LlamaConfig config)
    {
        using var scope = NewDisposeScope();
        var (factor, low, high, context) = config.RopeScaling;
        var exponents = Arithmetic.Range(0, config.HeadDim, 2).Div(config.HeadDim);
        var plain = tensor((float)config.RopeTheta).pow(exponents).reciprocal();
        var wavelength = plain.reciprocal().Mul(2 * Math.PI);
        var blend = wavelength.reciprocal().Mul(context).Sub(low).Div(high - low);
        var blended = ((-blend).Add(1) * plain).Div(factor).Add(blend * plain);
        var frequencies = where(wavelength.Gt(context / low), plain.Div(factor), where(wavelength.Lt(context / high), plain, blended));
        return frequencies.MoveToOuterDisposeScope();
    }
}

/// <summary>The rotation of some positions, as <see cref="TorchOps.Rotate"/> takes it.</summary>
/// <param name="Cos">[time, 1, headDim].</param>
/// <param name="Sin">[time, 1, headDim].</param>
internal readonly record struct Rotation(Tensor Cos, Tensor Sin);
