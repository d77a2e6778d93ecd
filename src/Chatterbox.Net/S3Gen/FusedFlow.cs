using Chatterbox.Ops.Cuda;

namespace Chatterbox.S3Gen;

/// <summary>The flow's steps on a GPU: each a CUDA graph of kernels, the estimator and the Euler step with its guidance. A twin of the
/// plain <see cref="FlowMatching"/>, which integrates where this does not fit.</summary>
/// <remarks>A graph is for one number of frames: there is one for each whole bucket of frames that is asked for. Frames
/// after the last are computed and change none before, since all but attention is causal, and attention knows how many count in
/// each row. A frame's sums are added in the same order in whatever batch it is: its mel is the same to the bit.</remarks>
internal sealed class FusedFlow : IDisposable
{
    /// <summary>Graphs are for whole multiples of so many frames.</summary>
    public const int Bucket = 64;

    private const int MostGraphs = 32;
    private const int MostTogether = 16384; // frames of the estimator's rows, padding included
    private const double Similar = 4 / 3.0; // times a flow that the longest one with it may be as long
    private const int Threads = 256;

    private static readonly KernelSource Source = new("flow.cu", ("THREADS", Threads));

    private readonly Lock _gate = new(); // models on several threads share one S3Gen
    private readonly S3GenConfig _config;
    private readonly FusedEstimator _estimator;
    private readonly CudaModule _kernels;
    private readonly Device _device;
    private readonly Tensor _lengths; // of the steps
    private readonly int _rowsOfOne; // of the estimator, for a row of the batch
    private readonly Dictionary<(int Rows, int Frames), CudaGraph> _graphs = [];
    private FlowBuffers? _buffers;
    private bool _loaded;

    /// <param name="config">Sizes for which <see cref="FusedEstimator.UnsupportedReason"/> is null.</param>
    /// <param name="estimator">The plain network.</param>
    /// <param name="times">Where the steps begin and end, on the GPU.</param>
    /// <param name="portable">True for the kernels that run on any GPU, though this one has faster ones.</param>
    public FusedFlow(S3GenConfig config, FlowEstimator estimator, Tensor times, bool portable = false)
    {
        (_config, _device) = (config, times.device);
        _rowsOfOne = FlowBuffers.RowsOfOne(config);
        _estimator =
            portable || ClusterEstimator.UnsupportedReason(config, _device) is not null
                ? new PortableEstimator(config, estimator, times)
                : new ClusterEstimator(config, estimator, times);
        _kernels = CudaModule.Get(Source, _device);
        _lengths = times.diff().DetachFromDisposeScope();
    }

    /// <inheritdoc cref="FlowMatching.Integrate(IReadOnlyList{FlowPass}, IProgress{double}?, CancellationToken)"/>
    public IReadOnlyList<Tensor> Integrate(
        IReadOnlyList<FlowPass> passes,
        IProgress<double>? progress = null,
        CancellationToken cancellationToken = default
    )
    {
        using var turn = _gate.EnterScope();
        using var scope = NewDisposeScope();
        using var context = CudaContext.Use(_device.index);
        var mels = new Tensor[passes.Count];
        foreach (var together in Group(passes))
        {
            Integrate(together, mels, progress, cancellationToken);
        }

        return mels;
    }

    /// <summary>Which flows are integrated together: those of similar length, as padding is computed too.</summary>
    /// <param name="passes">The flows.</param>
    /// <returns>Groups of flows with their places among all.</returns>
    internal IEnumerable<(FlowPass Pass, int At)[]> Group(IReadOnlyList<FlowPass> passes)
    {
        List<(FlowPass Pass, int At)> together = [];
        var (longest, rows) = (0, 0);
        foreach (var (at, pass) in passes.Index().OrderByDescending(pass => pass.Item.Frames))
        {
            var fits = Padded(pass.Frames) * Similar >= longest && (rows + pass.Rows) * longest * _rowsOfOne <= MostTogether;
            if (together.Count > 0 && !fits)
            {
                yield return [.. together];
                together.Clear();
            }

            (longest, rows) = together.Count == 0 ? (Padded(pass.Frames), pass.Rows) : (longest, rows + pass.Rows);
            together.Add((pass, at));
        }

        if (together.Count > 0)
        {
            yield return [.. together];
        }
    }

    private static int Padded(int frames) => (frames + Bucket - 1) / Bucket * Bucket;

    private void Integrate(
        (FlowPass Pass, int At)[] together,
        Tensor[] mels,
        IProgress<double>? progress,
        CancellationToken cancellationToken
    )
    {
        var torch = CudaStream.OfTorch;
        var buffers = Reserve(together.Sum(one => one.Pass.Rows), Padded(together[0].Pass.Frames), together.Length > 1);
        var graph = together.Length == 1 ? Graph(buffers) : null; // of several there are too many shapes, and the GPU has enough to do
        buffers.Fill([.. together.Select(one => one.Pass)]);
        for (var step = 0; step < _config.Flow.Steps; step++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (graph is not null)
            {
                graph.Launch(torch);
            }
            else
            {
                Launch(buffers, torch);
            }

            progress?.Report((step + 1) / (double)_config.Flow.Steps);
        }

        var first = 0;
        foreach (var (pass, at) in together)
        {
            using var scope = NewDisposeScope();
            mels[at] = buffers
                .Mel.narrow(0, first, pass.Rows)
                .narrow(1, 0, pass.Frames)
                .clone()
                .MoveToOuterDisposeScope()
                .MoveToOuterDisposeScope();
            first += pass.Rows;
        }
    }

    /// <summary>Launches the next step: x += length · velocity.</summary>
    internal void Launch(FlowBuffers buffers, CudaStream stream)
    {
        _estimator.Forward(buffers, stream);
        var numbers = (int)buffers.Mel.numel();
        _kernels["euler"]
            .Launch(
                new((numbers + Threads - 1) / Threads, Threads),
                stream,
                new EulerArguments
                {
                    Velocity = buffers.Velocity.Address(),
                    Lengths = _lengths.Address(),
                    Step = buffers.Step.Address(),
                    Mel = buffers.Mel.Address(),
                    Input = buffers.Input.Address(),
                    Guidance = (float)_config.Flow.CfgRate,
                    Numbers = numbers,
                    Bands = _config.MelBands,
                    Ld = FlowEstimator.Inputs(_config),
                }
            );
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Forget();
        _buffers?.Dispose();
        _lengths.Dispose();
        _estimator.Dispose();
    }

    /// <summary>Room for a batch: the same memory for all of them, as much as the largest so far takes, or any of several flows.</summary>
    private FlowBuffers Reserve(int rows, int frames, bool isOfSeveral)
    {
        if (_buffers is null || !_buffers.Holds(rows, frames))
        {
            Forget();
            _buffers?.Dispose();
            _buffers = new(_config, Math.Max(isOfSeveral ? MostTogether : 0, rows * _rowsOfOne * frames), _device);
        }

        _buffers.Shape(rows, frames);
        return _buffers;
    }

    private CudaGraph Graph(FlowBuffers buffers)
    {
        var key = (buffers.Rows, buffers.Frames);
        if (_graphs.TryGetValue(key, out var graph))
        {
            return graph;
        }

        if (_graphs.Count == MostGraphs)
        {
            Forget();
        }

        if (!_loaded)
        {
            var torch = CudaStream.OfTorch;
            Launch(buffers, torch); // the driver may load kernels as they are first launched: not in a recording
            _loaded = true;
        }

        return _graphs[key] = CudaGraph.Record(stream => Launch(buffers, stream));
    }

    private void Forget()
    {
        using var context = CudaContext.Use(_device.index);
        var torch = CudaStream.OfTorch;
        torch.Synchronize();
        foreach (var graph in _graphs.Values)
        {
            graph.Dispose();
        }

        _graphs.Clear();
    }
}

/// <summary>The fixed buffers of the flow's steps. Each is a piece of memory for the largest batch; tensors show the part of it
/// that a batch uses.</summary>
internal sealed class FlowBuffers : IDisposable
{
    private readonly S3GenConfig _config;
    private readonly int _capacity; // estimator rows · frames
    private readonly Dictionary<string, Tensor> _memory = [];
    private readonly Dictionary<string, Tensor> _views = [];

    /// <param name="config">Sizes.</param>
    /// <param name="capacity">Most frames of the estimator's rows together.</param>
    /// <param name="device">The GPU.</param>
    public FlowBuffers(S3GenConfig config, int capacity, Device device)
    {
        var sizes = config.Estimator;
        _config = config;
        _capacity = capacity;
        Add(nameof(Input), FlowEstimator.Inputs(config), ScalarType.Float16);
        Add(nameof(Mel), config.MelBands, ScalarType.Float32);
        Add(nameof(Velocity), config.MelBands, ScalarType.Float32);
        Add(nameof(X), sizes.Channels, ScalarType.Float32);
        Add(nameof(First), 2 * sizes.Channels, ScalarType.Float32);
        Add(nameof(Second), sizes.Channels, ScalarType.Float32);
        Add(nameof(Hidden), sizes.Channels, ScalarType.Float16);
        Add(nameof(Narrow), sizes.Channels, ScalarType.Float16);
        Add(nameof(Joined), 2 * sizes.Channels, ScalarType.Float16);
        Add(nameof(Qkv), 3 * sizes.Heads * sizes.HeadSize, ScalarType.Float16);
        Add(nameof(Attended), sizes.Heads * sizes.HeadSize, ScalarType.Float16);
        Add(nameof(Mlp), sizes.MlpSize, ScalarType.Float16);
        Step = zeros([2], ScalarType.Int32, device).DetachFromDisposeScope();
        Live = zeros([capacity / FusedFlow.Bucket], ScalarType.Int32, device).DetachFromDisposeScope();

        // Zeros: what no batch has written is read in places, and nothing may be made of it that is no number.
        void Add(string name, int width, ScalarType dtype) =>
            _memory[name] = zeros([_capacity, width], dtype, device).DetachFromDisposeScope();
    }

    /// <summary>Rows of the estimator: with guidance, twice the batch's.</summary>
    public int Rows { get; private set; }

    /// <summary>Frames of a row, whole buckets.</summary>
    public int Frames { get; private set; }

    /// <summary>Mel and conditions, [rows, frames, inputs], fp16.</summary>
    public Tensor Input => _views[nameof(Input)];

    /// <summary>[batch, frames, bands], float32.</summary>
    public Tensor Mel => _views[nameof(Mel)];

    /// <summary>[rows, frames, bands], float32.</summary>
    public Tensor Velocity => _views[nameof(Velocity)];

    /// <summary>Hidden states of the transformer blocks, [rows, frames, channels], float32.</summary>
    public Tensor X => _views[nameof(X)];

    /// <summary>A residual block's first convolution and projection, [rows, frames, 2·channels], float32.</summary>
    public Tensor First => _views[nameof(First)];

    /// <summary>Its second convolution, [rows, frames, channels], float32.</summary>
    public Tensor Second => _views[nameof(Second)];

    /// <summary>What is between them, fp16.</summary>
    public Tensor Hidden => _views[nameof(Hidden)];

    /// <summary>What a stage makes, [rows, frames, channels], fp16.</summary>
    public Tensor Narrow => _views[nameof(Narrow)];

    /// <summary>What the last stage takes: the middle's output and the first stage's, [rows, frames, 2·channels], fp16.</summary>
    public Tensor Joined => _views[nameof(Joined)];

    /// <summary>[rows, frames, 3·heads·headSize], fp16.</summary>
    public Tensor Qkv => _views[nameof(Qkv)];

    /// <summary>[rows, frames, heads·headSize], fp16.</summary>
    public Tensor Attended => _views[nameof(Attended)];

    /// <summary>[rows, frames, MLP size], fp16.</summary>
    public Tensor Mlp => _views[nameof(Mlp)];

    /// <summary>Number of the step, which the steps count up themselves, and what they count it up with, [2].</summary>
    public Tensor Step { get; }

    /// <summary>Frames that count in each of the estimator's rows, [most rows].</summary>
    public Tensor Live { get; }

    /// <summary>Rows of the estimator for one of the batch: with guidance, two.</summary>
    public static int RowsOfOne(S3GenConfig config) => config.Flow.CfgRate == 0 ? 1 : 2;

    /// <summary>True where a batch fits in.</summary>
    public bool Holds(int rows, int frames) => EstimatorRows(rows) * frames <= _capacity;

    /// <summary>Cuts the memory for a batch.</summary>
    public void Shape(int rows, int frames)
    {
        (Rows, Frames) = (EstimatorRows(rows), frames);
        foreach (var (name, memory) in _memory)
        {
            var of = name == nameof(Mel) ? rows : Rows;
            _views.GetValueOrDefault(name)?.Dispose();
            _views[name] = memory.narrow(0, 0, of * frames).view(of, frames, -1).DetachFromDisposeScope();
        }
    }

    /// <summary>Puts a batch in, before its first step.</summary>
    /// <param name="passes">Its flows, as many rows as the memory was cut for.</param>
    public void Fill(IReadOnlyList<FlowPass> passes)
    {
        using var scope = NewDisposeScope();
        var (batch, bands) = ((int)Mel.shape[0], Mel.shape[2]);
        var live = new int[Rows];
        Step.zero_();
        Mel.zero_();
        Input.zero_();
        var first = 0;
        foreach (var (noise, conditions) in passes)
        {
            var (rows, frames) = ((int)noise.shape[0], (int)noise.shape[1]);
            Mel.narrow(0, first, rows).narrow(1, 0, frames).copy_(noise);
            for (var row = first; row < Rows; row += batch)
            {
                Array.Fill(live, frames, row, rows);
                Input.narrow(0, row, rows).narrow(1, 0, frames).narrow(2, 0, bands).copy_(noise);
            }

            Input.narrow(0, first, rows).narrow(1, 0, frames).narrow(2, bands, 3 * bands).copy_(conditions.Join());
            first += rows;
        }

        HostTransfers.Write<int>(live, Live);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var tensor in _views.Values.Concat(_memory.Values).Concat([Step, Live]))
        {
            tensor.Dispose();
        }
    }

    private int EstimatorRows(int rows) => RowsOfOne(_config) * rows;
}

// The parameters of the kernel, laid out as in flow.cu.

[KernelStruct("flow.cu")]
internal struct EulerArguments
{
    public nint Velocity,
        Lengths,
        Step,
        Mel,
        Input;
    public float Guidance;
    public int Numbers,
        Bands,
        Ld;
}
