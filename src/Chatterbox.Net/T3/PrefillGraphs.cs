using Chatterbox.Ops.Cuda;

namespace Chatterbox.T3;

/// <summary>A sequence's prefill on a GPU: the plain operations as graphs, each for one number of time steps, in whole buckets. A
/// twin of <see cref="T3Model.Forward"/> over a prefix.</summary>
/// <remarks>What is computed behind the last time step is seen by nobody: the backbone is causal, and each later step writes
/// its keys and values over it before any reads them.</remarks>
internal sealed class PrefillGraphs : IDisposable
{
    private const int Bucket = 32;
    private const int Longest = 1024; // time steps; of longer prefixes the GPU has enough to do
    private const int MostGraphs = 16;

    private readonly T3Model _model;
    private readonly KvCache _cache;
    private readonly CacheRows _rows;
    private readonly Tensor _prefix; // numbers of the longest
    private readonly Tensor _last; // place of the last time step that counts, [1]
    private readonly TorchGraphs<int> _graphs;
    private (nint Keys, nint Values) _recordedFor;

    /// <param name="model">The model.</param>
    /// <param name="cache">Takes the keys and values, from slot 0 on.</param>
    /// <param name="rows">Rows of a prefix.</param>
    public PrefillGraphs(T3Model model, KvCache cache, int rows)
    {
        (_model, _cache, _rows) = (model, cache, new(Slot: 0, rows, Start: 0));
        var dtype = cache.Keys.dtype;
        _prefix = zeros([rows * Longest * model.Config.Backbone.HiddenSize], dtype, model.Device).DetachFromDisposeScope();
        _last = zeros([1], ScalarType.Int64, model.Device).DetachFromDisposeScope();
        _graphs = new(_prefix.device, MostGraphs, steps => model.Forward(Prefix(steps), cache, _rows, _last));
    }

    /// <summary>Runs the transformer over a prefix.</summary>
    /// <param name="prefix">[rows, time, hidden].</param>
    /// <returns>Logits of the first speech token, float32, [rows, speech vocabulary].</returns>
    public Tensor Forward(Tensor prefix)
    {
        var length = prefix.shape[1];
        var steps = (int)Math.Min((length + Bucket - 1) / Bucket * Bucket, _model.Config.MaxLength);
        if (steps > Longest)
        {
            return _model.Forward(prefix, _cache, _rows);
        }

        _cache.Reserve(steps);
        var memory = (_cache.Keys.Address(), _cache.Values.Address());
        if (_recordedFor != memory)
        {
            _graphs.Forget();
            _recordedFor = memory;
        }

        return _graphs.Run(
            steps,
            () =>
            {
                using var scope = NewDisposeScope();
                Prefix(steps).narrow(1, 0, length).copy_(prefix);
                _last.Fill(length - 1);
            }
        );
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _graphs.Dispose();
        _prefix.Dispose();
        _last.Dispose();
    }

    /// <summary>The prefix's buffer, cut for some time steps: [rows, steps, hidden].</summary>
    private Tensor Prefix(int steps)
    {
        using var scope = NewDisposeScope();
        var hidden = _model.Config.Backbone.HiddenSize;
        return _prefix.narrow(0, 0, _rows.Count * steps * hidden).view(_rows.Count, steps, hidden).MoveToOuterDisposeScope();
    }
}
