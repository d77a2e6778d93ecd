using System.Numerics;
using Chatterbox.Ops.Cpu;
using Chatterbox.Ops.Cuda;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Chatterbox.T3.Fused;

/// <summary>Where one row of a step stands.</summary>
/// <param name="Cache">Holds the row's keys and values.</param>
/// <param name="Slot">The row's slot of the cache.</param>
/// <param name="Position">Place of the new time step.</param>
internal readonly record struct StepRow(KvCache Cache, int Slot, int Position);

/// <summary>A backbone on the CPU whose weights are kept small, in 8 or 16 bits, because reading them bounds the time of a step. A twin of
/// <see cref="LlamaBackbone"/> and <see cref="Gpt2Backbone"/>.</summary>
/// <remarks>Hidden states and sums stay in float32, keys and values are kept in bfloat16. A row's numbers do not depend on which others it
/// is computed with. For one thread at a time; it uses the threads of <see cref="WorkerPool.Shared"/>.</remarks>
internal sealed unsafe class CpuBackbone : IBackbone, IDisposable
{
    private readonly BackboneConfig _config;
    private readonly TorchOps _ops;
    private readonly OwnedWeights _owned = new();
    private readonly CpuLayer[] _layers;
    private readonly CpuNorm _norm;
    private readonly Tensor? _places; // GPT-2's learned positions, [positions, hidden]
    private readonly Tensor? _cos; // Llama's rotation, [positions, headDim / 2]
    private readonly Tensor? _sin;
    private readonly WorkerPool _pool = WorkerPool.Shared;
    private readonly ThreadedProducts _products = new(WorkerPool.Shared);
    private readonly Action<int> _attend;
    private readonly float* _x,
        _normed,
        _qkv,
        _wide,
        _parts; // of a step, for the most rows
    private readonly StepRow[] _rows = new StepRow[ThreadedProducts.MostRows];
    private int _layer;
    private int _blocks;

    /// <param name="config">The variant.</param>
    /// <param name="weights">The weights, which are copied.</param>
    /// <param name="format">How the weights of products are kept.</param>
    /// <param name="ops">Operations of the prefill.</param>
    public CpuBackbone(T3Config config, BackboneWeights weights, WeightFormat format, TorchOps ops)
    {
        using var scope = NewDisposeScope();
        (_config, _ops, _attend) = (config.Backbone, ops, Attend);
        _layers =
        [
            .. weights.Layers.Select(layer => new CpuLayer(
                Copy(layer.AttentionNorm),
                Copy(layer.Qkv, layer.QkvBias, format),
                Copy(layer.Out, layer.OutBias, format),
                Copy(layer.MlpNorm),
                Copy(layer.Up, layer.UpBias, format),
                Copy(layer.Down, layer.DownBias, format)
            )),
        ];
        _norm = Copy(weights.Norm);
        _places = weights.Positions is { } places ? Own(places) : null;
        if (_config is LlamaConfig llama)
        {
            var angles = outer(Arithmetic.Range(0, config.MaxLength), RotaryTable.Frequencies(llama)); // [positions, headDim / 2]
            (_cos, _sin) = (Own(angles.cos()), Own(angles.sin()));
        }

        var (hidden, blocks) = (_config.HiddenSize, CachedAttention.BlocksOf(config.MaxLength));
        _x = Buffer(hidden);
        _normed = Buffer(hidden);
        _qkv = Buffer(3 * hidden);
        _wide = Buffer(_config.MlpSize);
        _parts = Buffer(_config.Heads * blocks * CachedAttention.PartSize(_config.HeadDim));

        float* Buffer(int size) => (float*)Own(empty([ThreadedProducts.MostRows, size], ScalarType.Float32)).Address();
    }

    /// <inheritdoc/>
    public ScalarType CacheType => ScalarType.BFloat16;

    /// <summary>Why a backbone cannot run so, or null.</summary>
    /// <param name="config">Its sizes.</param>
    /// <param name="device">Where it is to run.</param>
    public static string? UnsupportedReason(BackboneConfig config, Device device) =>
        device.type != DeviceType.CPU ? "the model is not on the CPU"
        : config.HeadDim % 16 != 0 ? $"heads have {config.HeadDim} numbers, which is not a multiple of 16"
        : WeightMatrix.UnsupportedReason(config.HiddenSize) ?? WeightMatrix.UnsupportedReason(config.MlpSize);

    /// <summary>The smallest format in which a backbone's logits stay close enough to those of float32.</summary>
    public static WeightFormat FastestFormat(BackboneConfig config) => config is LlamaConfig ? WeightFormat.BFloat16 : WeightFormat.Int8;

    /// <inheritdoc/>
    public Tensor Forward(Tensor x, KvCache cache, CacheRows rows)
    {
        if (x.shape[1] != 1)
        {
            return Prefill(x, cache, rows);
        }

        using var scope = NewDisposeScope();
        Span<StepRow> step = [.. Enumerable.Range(0, rows.Count).Select(row => new StepRow(cache, rows.Slot + row, rows.Start))];
        return Step(x.flatten(0, 1), step).unsqueeze(1).MoveToOuterDisposeScope();
    }

    /// <summary>One time step of some rows, each at its own position.</summary>
    /// <param name="x">Embeddings, float32, [rows, hidden]; at most <see cref="ThreadedProducts.MostRows"/> rows.</param>
    /// <param name="rows">Where each row stands.</param>
    /// <returns>Hidden states after the last norm, [rows, hidden].</returns>
    public Tensor Step(Tensor x, ReadOnlySpan<StepRow> rows)
    {
        using var scope = NewDisposeScope();
        var (hidden, count) = (_config.HiddenSize, rows.Length);
        rows.CopyTo(_rows);
        new ReadOnlySpan<float>((float*)x.contiguous().Address(), count * hidden).CopyTo(new Span<float>(_x, count * hidden));
        _blocks = 0;
        for (var row = 0; row < count; row++)
        {
            _blocks = Math.Max(_blocks, CachedAttention.BlocksOf(rows[row].Position + 1));
            if (_places is not null)
            {
                var sum = new Span<float>(_x + (row * hidden), hidden);
                TensorPrimitives.Add(
                    sum,
                    new ReadOnlySpan<float>((float*)_places.Address() + ((long)rows[row].Position * hidden), hidden),
                    sum
                );
            }
        }

        for (_layer = 0; _layer < _layers.Length; _layer++)
        {
            var layer = _layers[_layer];
            Normalize(layer.AttentionNorm, count);
            _products.Multiply(layer.Qkv.Weights, layer.Qkv.BiasAddress, _normed, count, _qkv);
            for (var row = 0; row < count; row++)
            {
                Remember(row);
            }

            _pool.Run(count * _config.Heads * _blocks, _attend);
            for (var head = 0; head < count * _config.Heads; head++)
            {
                var blocks = CachedAttention.BlocksOf(rows[head / _config.Heads].Position + 1);
                CachedAttention.Join(Part(head, 0), blocks, _config.HeadDim, _normed + (head * _config.HeadDim));
            }

            _products.Add(layer.Out.Weights, layer.Out.BiasAddress, _normed, count, _x);
            Normalize(layer.MlpNorm, count);
            if (_config is LlamaConfig)
            {
                _products.MultiplySiluGate(layer.Up.Weights, _normed, count, _wide);
            }
            else
            {
                _products.MultiplyGelu(layer.Up.Weights, layer.Up.BiasAddress, _normed, count, _wide);
            }

            _products.Add(layer.Down.Weights, layer.Down.BiasAddress, _wide, count, _x);
        }

        Normalize(_norm, count);
        var result = empty([count, hidden], ScalarType.Float32);
        new ReadOnlySpan<float>(_normed, count * hidden).CopyTo(new Span<float>((float*)result.Address(), count * hidden));
        Array.Clear(_rows);
        return result.MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose() => _owned.Dispose();

    // As the plain backbones do it, on widened weights.
    private Tensor Prefill(Tensor x, KvCache cache, CacheRows rows)
    {
        using var scope = NewDisposeScope();
        var (count, time) = (x.shape[0], x.shape[1]);
        x = (_places is null ? x : x.Add(_places.narrow(0, rows.Start, time))).flatten(0, 1); // [rows · time, hidden]
        var rotation = _cos is null ? default : new Rotation(Double(_cos), Double(_sin!, negative: true));
        for (var layer = 0; layer < _layers.Length; layer++)
        {
            using var inner = NewDisposeScope();
            var weights = _layers[layer];
            var heads = weights
                .Qkv.Multiply(Normalize(x, weights.AttentionNorm))
                .view(count, time, 3 * _config.Heads, _config.HeadDim)
                .split([2 * _config.Heads, _config.Heads], 2); // queries and keys; values
            var turned = (_cos is null ? heads[0] : _ops.Rotate(heads[0], rotation.Cos, rotation.Sin)).chunk(2, 2);
            cache.Append(layer, rows, turned[1], heads[1]);
            var attended = _ops.Attention(turned[0].transpose(1, 2), turned[1].transpose(1, 2), heads[1].transpose(1, 2), causal: true);
            x = x.Add(weights.Out.Multiply(attended.transpose(1, 2).reshape(count * time, _config.HiddenSize)));
            var wide = weights.Up.Multiply(Normalize(x, weights.MlpNorm));
            wide =
                _config is LlamaConfig
                    ? _ops.SiluGate(wide.narrow(1, 0, _config.MlpSize), wide.narrow(1, _config.MlpSize, _config.MlpSize))
                    : nn.functional.gelu(wide, TorchSharp.Modules.GELU.Approximate.tanh);
            x = x.Add(weights.Down.Multiply(wide)).MoveToOuterDisposeScope();
        }

        return Normalize(x, _norm).view(count, time, _config.HiddenSize).MoveToOuterDisposeScope();

        // [time, headDim / 2] to [time, 1, headDim].
        Tensor Double(Tensor table, bool negative = false)
        {
            var half = table.narrow(0, rows.Start, time);
            return cat([negative ? -half : half, half], 1).unsqueeze(1);
        }
    }

    private Tensor Normalize(Tensor x, CpuNorm norm) =>
        norm.Shift is null ? _ops.RmsNorm(x, norm.Gain, _config.NormEps) : _ops.LayerNorm(x, norm.Gain, norm.Shift, _config.NormEps);

    private void Normalize(CpuNorm norm, int rows)
    {
        var size = _config.HiddenSize;
        var gain = new ReadOnlySpan<float>((float*)norm.Gain.Address(), size);
        for (var row = 0; row < rows; row++)
        {
            var x = new ReadOnlySpan<float>(_x + (row * size), size);
            var y = new Span<float>(_normed + (row * size), size);
            if (norm.Shift is null)
            {
                TensorPrimitives.Multiply(x, 1 / MathF.Sqrt((TensorPrimitives.SumOfSquares(x) / size) + (float)_config.NormEps), y);
                TensorPrimitives.Multiply(y, gain, y);
                continue;
            }

            TensorPrimitives.Subtract(x, TensorPrimitives.Sum(x) / size, y);
            TensorPrimitives.Multiply(y, 1 / MathF.Sqrt((TensorPrimitives.SumOfSquares<float>(y) / size) + (float)_config.NormEps), y);
            TensorPrimitives.MultiplyAdd(y, gain, new ReadOnlySpan<float>((float*)norm.Shift.Address(), size), y);
        }
    }

    // Turns a row's query and key by its position, and puts key and value into the cache.
    private void Remember(int row)
    {
        var (hidden, half, at) = (_config.HiddenSize, _config.HeadDim / 2, _rows[row]);
        var query = _qkv + (row * 3L * hidden);
        if (_cos is not null)
        {
            var cos = (float*)_cos.Address() + ((long)at.Position * half);
            var sin = (float*)_sin!.Address() + ((long)at.Position * half);
            for (var head = 0; head < 2 * _config.Heads; head++)
            {
                var low = query + (head * _config.HeadDim);
                for (var i = 0; i < half; i += Vector<float>.Count)
                {
                    var (a, b) = (Vector.Load(low + i), Vector.Load(low + half + i));
                    var (c, s) = (Vector.Load(cos + i), Vector.Load(sin + i));
                    ((a * c) - (b * s)).Store(low + i);
                    ((b * c) + (a * s)).Store(low + half + i);
                }
            }
        }

        var key = Cached(at.Cache.Keys, at, at.Position);
        var value = Cached(at.Cache.Values, at, at.Position);
        for (var i = 0; i < hidden; i++)
        {
            key[i] = Bf16.Of(query[hidden + i]);
            value[i] = Bf16.Of(query[(2 * hidden) + i]);
        }
    }

    private void Attend(int chunk)
    {
        var (head, block) = Math.DivRem(chunk, _blocks);
        var row = _rows[head / _config.Heads];
        var first = block * CachedAttention.Block;
        if (first <= row.Position)
        {
            var (hidden, inRow) = (_config.HiddenSize, head % _config.Heads * _config.HeadDim);
            CachedAttention.Attend(
                _qkv + (head / _config.Heads * 3L * hidden) + inRow,
                Cached(row.Cache.Keys, row, first) + inRow,
                Cached(row.Cache.Values, row, first) + inRow,
                hidden,
                Math.Min(CachedAttention.Block, row.Position + 1 - first),
                _config.HeadDim,
                Part(head, block)
            );
        }
    }

    private Bf16* Cached(Tensor cache, StepRow row, int position) =>
        (Bf16*)cache.Address() + ((((((long)_layer * row.Cache.Slots) + row.Slot) * row.Cache.Capacity) + position) * _config.HiddenSize);

    private float* Part(int head, int block) => _parts + ((((long)head * _blocks) + block) * CachedAttention.PartSize(_config.HeadDim));

    private CpuNorm Copy(NormWeights norm) => new(Own(norm.Gain), norm.Shift is { } shift ? Own(shift) : null);

    private CpuProduct Copy(Tensor weight, Tensor? bias, WeightFormat format) =>
        new(_owned.Own(WeightMatrix.Of(weight, format)), bias is null ? null : Own(bias));

    private Tensor Own(Tensor tensor) => _owned.Own(tensor.to(ScalarType.Float32, copy: true).contiguous());

    /// <summary>A layer's weights; those of <see cref="LayerWeights"/>.</summary>
    private sealed record CpuLayer(CpuNorm AttentionNorm, CpuProduct Qkv, CpuProduct Out, CpuNorm MlpNorm, CpuProduct Up, CpuProduct Down);

    private sealed record CpuNorm(Tensor Gain, Tensor? Shift);

    private sealed record CpuProduct(WeightMatrix Weights, Tensor? Bias)
    {
        public float* BiasAddress => Bias is null ? null : (float*)Bias.Address();

        public Tensor Multiply(Tensor x) => Weights.Multiply(x, Bias);
    }
}
