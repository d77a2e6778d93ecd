namespace Chatterbox.Ops.Cuda;

/// <summary>One piece of torch's work as graphs, one for each shape that it is asked for. They belong to the stream that torch's
/// operations go to where this is made, and <see cref="Run"/> is called where they go to the same.</summary>
/// <typeparam name="TShape">What tells one graph from another.</typeparam>
/// <param name="device">A GPU for which <see cref="TorchGraph.UnsupportedReason"/> is null, with its index, as in <c>cuda:0</c>.</param>
/// <param name="most">Graphs kept; then all are forgotten.</param>
/// <param name="work">Does the work at a shape, as <see cref="TorchGraph.Record"/> wants it done.</param>
/// <param name="atOnce">True where shapes are few; false where they are many, and one that comes once is not worth recording.</param>
internal sealed class TorchGraphs<TShape>(Device device, int most, Func<TShape, Tensor> work, bool atOnce = true) : IDisposable
    where TShape : notnull
{
    private readonly CudaStream _stream = CudaStream.OfTorch; // where the graphs are launched
    private readonly GraphMemory _memory = GraphMemory.Of(device.index);
    private readonly Dictionary<TShape, TorchGraph> _graphs = [];
    private readonly HashSet<TShape> _seen = [];

    /// <summary>Does the work.</summary>
    /// <param name="shape">At this shape.</param>
    /// <param name="fill">Writes what goes in into the tensors that the work reads; nobody else does meanwhile.</param>
    /// <param name="beside">Other work that does not need the result, launched so that the GPU does both side by side where it
    /// can; without graphs of its own.</param>
    /// <returns>The result, the caller's own.</returns>
    /// <exception cref="CudaException">The GPU does not do it.</exception>
    public Tensor Run(TShape shape, Action fill, Action? beside = null)
    {
        using var context = CudaContext.Use(device.index);
        lock (_memory.Gate)
        {
            fill();
            if (!atOnce && _seen.Add(shape))
            {
                var result = work(shape);
                beside?.Invoke();
                return result;
            }

            var graph = Graph(shape);
            if (beside is null)
            {
                graph.Launch(_stream);
            }
            else
            {
                _memory.Beside.WaitFor(_stream);
                graph.Launch(_memory.Beside);
                try
                {
                    beside();
                }
                finally
                {
                    _stream.WaitFor(_memory.Beside);
                }
            }

            return graph.Result.clone();
        }
    }

    /// <summary>Drops all graphs: their work is another, or over tensors that go.</summary>
    public void Forget()
    {
        using var context = CudaContext.Use(device.index);
        lock (_memory.Gate)
        {
            _stream.Synchronize();
            foreach (var graph in _graphs.Values)
            {
                graph.Dispose();
            }

            _graphs.Clear();
        }
    }

    /// <inheritdoc/>
    public void Dispose() => Forget();

    private TorchGraph Graph(TShape shape)
    {
        if (!_graphs.TryGetValue(shape, out var graph))
        {
            if (_graphs.Count == most)
            {
                Forget();
            }

            using var scope = NewDisposeScope();
            _graphs[shape] = graph = TorchGraph.Record(_memory, () => work(shape));
        }

        return graph;
    }
}
