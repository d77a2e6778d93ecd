using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Chatterbox.Ops.Cpu;

/// <summary>Products of a few rows on the threads of a pool, each with what follows it. For one thread at a time.</summary>
internal sealed unsafe class ThreadedProducts
{
    /// <summary>Most rows of a product; with more, computing bounds it and torch is as fast.</summary>
    public const int MostRows = 16;

    private const int MostOutputs = 64,
        ChunksPerThread = 4; // of a chunk; of a product

    private readonly WorkerPool _pool;
    private readonly Action<int> _multiply;
    private readonly Action<int> _add;
    private readonly Action<int> _gelu;
    private readonly Action<int> _gate;
    private MatrixAddress _matrix;
    private int _outputs;
    private int _chunk;
    private int _rows;
    private float* _bias;
    private float* _x;
    private float* _y;

    /// <param name="pool">The threads.</param>
    public ThreadedProducts(WorkerPool pool)
    {
        _pool = pool;
        (_multiply, _add, _gelu, _gate) = (MultiplyChunk, AddChunk, GeluChunk, GateChunk);
    }

    /// <summary>y = x·Wᵀ + b.</summary>
    /// <param name="weights">W.</param>
    /// <param name="bias">b, [outputs], or null.</param>
    /// <param name="x">[rows, inputs].</param>
    /// <param name="rows">At most <see cref="MostRows"/>.</param>
    /// <param name="y">[rows, outputs].</param>
    public void Multiply(WeightMatrix weights, float* bias, float* x, int rows, float* y) =>
        Run(_multiply, weights, weights.Outputs, bias, x, rows, y);

    /// <summary>y = y + x·Wᵀ + b.</summary>
    /// <inheritdoc cref="Multiply" path="/param"/>
    public void Add(WeightMatrix weights, float* bias, float* x, int rows, float* y) =>
        Run(_add, weights, weights.Outputs, bias, x, rows, y);

    /// <summary>y = gelu(x·Wᵀ + b), GELU in its tanh form.</summary>
    /// <inheritdoc cref="Multiply" path="/param"/>
    public void MultiplyGelu(WeightMatrix weights, float* bias, float* x, int rows, float* y) =>
        Run(_gelu, weights, weights.Outputs, bias, x, rows, y);

    /// <summary>y = silu(x·Gᵀ) · (x·Uᵀ), where W is G above U.</summary>
    /// <param name="weights">W.</param>
    /// <param name="x">[rows, inputs].</param>
    /// <param name="rows">At most <see cref="MostRows"/>.</param>
    /// <param name="y">[rows, outputs / 2].</param>
    public void MultiplySiluGate(WeightMatrix weights, float* x, int rows, float* y) =>
        Run(_gate, weights, weights.Outputs / 2, null, x, rows, y);

    private void Run(Action<int> work, WeightMatrix weights, int outputs, float* bias, float* x, int rows, float* y)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(rows, MostRows);
        (_matrix, _outputs, _rows) = (weights.Address, outputs, rows);
        _bias = bias;
        _x = x;
        _y = y;
        var share = outputs / (_pool.Threads * ChunksPerThread);
        _chunk = Math.Clamp(share / 4 * 4, 4, MostOutputs);
        _pool.Run((outputs + _chunk - 1) / _chunk, work);
    }

    private void MultiplyChunk(int chunk)
    {
        var (first, end) = Outputs(chunk);
        RowProducts.Multiply(_matrix, first, end, _x, _rows, _y, _outputs);
        for (var row = 0; row < _rows; row++)
        {
            AddBias(first, end, _y + ((long)row * _outputs));
        }
    }

    private void AddChunk(int chunk)
    {
        var (first, end) = Outputs(chunk);
        var products = stackalloc float[MostRows * MostOutputs];
        RowProducts.Multiply(_matrix, first, end, _x, _rows, products - first, MostOutputs);
        for (var row = 0; row < _rows; row++)
        {
            var product = products + (row * MostOutputs);
            AddBias(first, end, product - first);
            var sum = new Span<float>(_y + ((long)row * _outputs) + first, end - first);
            TensorPrimitives.Add(sum, new ReadOnlySpan<float>(product, end - first), sum);
        }
    }

    private void GeluChunk(int chunk)
    {
        var factor = MathF.Sqrt(2 / MathF.PI);
        var (first, end) = Outputs(chunk);
        Span<float> inner = stackalloc float[MostOutputs];
        inner = inner[..(end - first)];
        RowProducts.Multiply(_matrix, first, end, _x, _rows, _y, _outputs);
        for (var row = 0; row < _rows; row++)
        {
            AddBias(first, end, _y + ((long)row * _outputs));
            var y = new Span<float>(_y + ((long)row * _outputs) + first, end - first);
            TensorPrimitives.Multiply<float>(y, y, inner);
            TensorPrimitives.Multiply(inner, 0.044715f * factor, inner);
            TensorPrimitives.Add(inner, factor, inner);
            TensorPrimitives.Multiply<float>(inner, y, inner);
            TensorPrimitives.Tanh<float>(inner, inner);
            TensorPrimitives.Add(inner, 1, inner);
            TensorPrimitives.Multiply(inner, 0.5f, inner);
            TensorPrimitives.Multiply<float>(inner, y, y);
        }
    }

    private void GateChunk(int chunk)
    {
        var (first, end) = Outputs(chunk);
        var count = end - first;
        var gates = stackalloc float[MostRows * MostOutputs];
        Span<float> sigmoid = stackalloc float[MostOutputs];
        sigmoid = sigmoid[..count];
        RowProducts.Multiply(_matrix, first, end, _x, _rows, gates - first, MostOutputs);
        RowProducts.Multiply(_matrix, _outputs + first, _outputs + end, _x, _rows, _y - _outputs, _outputs);
        for (var row = 0; row < _rows; row++)
        {
            var gate = new Span<float>(gates + (row * MostOutputs), count);
            var y = new Span<float>(_y + ((long)row * _outputs) + first, count);
            TensorPrimitives.Sigmoid<float>(gate, sigmoid);
            TensorPrimitives.Multiply<float>(gate, sigmoid, gate);
            TensorPrimitives.Multiply<float>(gate, y, y);
        }
    }

    private (int First, int End) Outputs(int chunk) => (chunk * _chunk, Math.Min(_outputs, (chunk + 1) * _chunk));

    private void AddBias(int first, int end, float* y)
    {
        if (_bias is not null)
        {
            var sum = new Span<float>(y + first, end - first);
            TensorPrimitives.Add(sum, new ReadOnlySpan<float>(_bias + first, end - first), sum);
        }
    }
}
