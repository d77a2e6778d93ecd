using Chatterbox.Ops.Cuda;

namespace Chatterbox.S3Gen;

/// <summary>The flow's steps on a GPU: each a CUDA graph of kernels, the estimator and the Euler step with its guidance. A twin
/// of <see cref="FlowMatching.Integrate"/>, which does it where this does not fit.</summary>
/// <remarks>A graph is for one number of frames: there is one for each whole bucket of frames that is asked for. Frames
/// behind the last are computed and seen by nobody, since all but attention is causal, and attention is told how many live.</remarks>
internal sealed class FusedFlow : IDisposable
{
    /// <summary>Graphs are for whole multiples of so many frames.</summary>
    public const int Bucket = 64;

    private const int MostGraphs = 32;
    private const int EulerThreads = 256;

    private readonly Lock _gate = new();                  // models on several threads share one S3Gen
    private readonly S3GenConfig _config;
    private readonly FusedEstimator _estimator;
    private readonly CudaModule _kernels;
    private readonly Device _device;
    private readonly Tensor _lengths;                     // of the steps
    private readonly Dictionary<(int Rows, int Frames), CudaGraph> _graphs = [];
    private FlowBuffers? _buffers;
    private bool _loaded;

    /// <param name="config">Sizes that <see cref="FusedEstimator.WhyNot"/> has nothing against.</param>
    /// <param name="estimator">The plain network.</param>
    /// <param name="times">Where the steps begin and end, on the GPU.</param>
    /// <param name="portable">True for the kernels that run on any GPU, though this one has faster ones.</param>
    public FusedFlow(S3GenConfig config, FlowEstimator estimator, Tensor times, bool portable = false)
    {
        _config = config;
        _device = times.device;
        _estimator = portable || ClusterEstimator.WhyNot(config, _device) is not null
            ? new PortableEstimator(config, estimator, times)
            : new ClusterEstimator(config, estimator, times);
        _kernels = CudaModule.Get("flow.cu", _device);
        _lengths = times.diff().DetachFromDisposeScope();
    }

    /// <inheritdoc cref="FlowMatching.Integrate"/>
    public Tensor Integrate(Tensor noise, FlowConditions conditions, IProgress<double>? progress = null, CancellationToken cancel = default)
    {
        using var turn = _gate.EnterScope();
        using var scope = NewDisposeScope();
        using var context = CudaContext.Use(_device.index);
        var torch = CudaStream.OfTorch;
        var (rows, frames) = ((int)noise.shape[0], (int)noise.shape[1]);
        var buffers = Reserve(rows, (frames + Bucket - 1) / Bucket * Bucket);
        var graph = Graph(buffers);
        buffers.Fill(noise, conditions.Join());
        for (var step = 0; step < _config.Flow.Steps; step++)
        {
            cancel.ThrowIfCancellationRequested();
            graph.Launch(torch);
            progress?.Report((step + 1) / (double)_config.Flow.Steps);
        }

        return buffers.Mel.narrow(1, 0, frames).clone().MoveToOuterDisposeScope();
    }

    /// <summary>Launches the next step: x += length · velocity.</summary>
    internal void Launch(FlowBuffers buffers, CudaStream stream)
    {
        _estimator.Forward(buffers, stream);
        var numbers = (int)buffers.Mel.numel();
        _kernels["euler"].Launch(new((numbers + EulerThreads - 1) / EulerThreads, EulerThreads), stream, new EulerArguments
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
        });
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Forget();
        _buffers?.Dispose();
        _lengths.Dispose();
        _estimator.Dispose();
    }

    /// <summary>Room for a batch: the same memory for all of them, as much as the largest so far takes.</summary>
    private FlowBuffers Reserve(int rows, int frames)
    {
        if (_buffers is null || !_buffers.Holds(rows, frames))
        {
            Forget();
            _buffers?.Dispose();
            _buffers = new(_config, rows, frames, _device);
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
            Launch(buffers, torch);   // the driver may load kernels as they are first launched: not in a recording
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
    private readonly int _capacity;                       // estimator rows · frames
    private readonly Dictionary<string, Tensor> _memory = [];
    private readonly Dictionary<string, Tensor> _views = [];

    public FlowBuffers(S3GenConfig config, int rows, int frames, Device device)
    {
        var sizes = config.Estimator;
        _config = config;
        Rows = EstimatorRows(rows);
        _capacity = Rows * frames;
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
        Live = zeros([1], ScalarType.Int32, device).DetachFromDisposeScope();

        // Zeros: what no batch has written is read in places, and nothing may be made of it that is no number.
        void Add(string name, int width, ScalarType dtype) => _memory[name] = zeros([_capacity, width], dtype, device).DetachFromDisposeScope();
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

    /// <summary>Frames that count, [1].</summary>
    public Tensor Live { get; }

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
    /// <param name="noise">[batch, live frames, bands].</param>
    /// <param name="conditions">[batch, live frames, 3·bands].</param>
    public void Fill(Tensor noise, Tensor conditions)
    {
        using var scope = NewDisposeScope();
        var (batch, live, bands) = (noise.shape[0], noise.shape[1], noise.shape[2]);
        Step.zero_();
        Live.Fill(live);
        Mel.zero_();
        Mel.narrow(1, 0, live).copy_(noise);
        Input.zero_();
        Input.narrow(1, 0, live).narrow(2, 0, bands).copy_(Rows == batch ? noise : cat([noise, noise]));
        Input.narrow(0, 0, batch).narrow(1, 0, live).narrow(2, bands, 3 * bands).copy_(conditions);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var tensor in _views.Values.Concat(_memory.Values).Concat([Step, Live]))
        {
            tensor.Dispose();
        }
    }

    private int EstimatorRows(int rows) => _config.Flow.CfgRate == 0 ? rows : 2 * rows;
}

// The parameters of the kernel, laid out as in flow.cu.

internal struct EulerArguments
{
    public nint Velocity, Lengths, Step, Mel, Input;
    public float Guidance;
    public int Numbers, Bands, Ld;
}
