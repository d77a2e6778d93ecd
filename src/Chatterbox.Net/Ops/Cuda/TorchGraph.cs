using System.Collections.Concurrent;
using System.Runtime.InteropServices;

namespace Chatterbox.Ops.Cuda;

/// <summary>Plain operations of torch over fixed tensors, recorded once and launched as one: hundreds of small kernels then
/// take the time of the GPU, not of the host.</summary>
internal sealed unsafe class TorchGraph : IDisposable
{
    private static readonly Lock Recording = new(); // libtorch's bookkeeping of captures is the process's

    private readonly GraphMemory _memory;
    private readonly LibTorch.MemoryPool _pool;
    private readonly nint _recording; // libtorch's object, which keeps the memory
    private readonly CudaGraph _graph;

    private TorchGraph(GraphMemory memory, nint recording, CudaGraph graph, Tensor result) =>
        (_memory, _pool, _recording, _graph, Result) = (memory, memory.Take(), recording, graph, result);

    /// <summary>What the work returned; overwritten by each launch.</summary>
    public Tensor Result { get; }

    /// <summary>Why torch's operations cannot be recorded on a device, or null.</summary>
    public static string? UnsupportedReason(Device device) =>
        device.type != DeviceType.CUDA ? "the model is not on a GPU"
        : RuntimeInformation.ProcessArchitecture != Architecture.X64
            ? "graphs of torch's operations have not been tried on this kind of processor"
        : LibTorch.MissingSymbols is { } names ? $"this libtorch lacks {names}"
        : null;

    /// <summary>Records some work.</summary>
    /// <param name="memory">Where its temporaries lie, of the GPU that is current on this thread; its gate is held.</param>
    /// <param name="work">Reads and writes tensors that live longer than the graph, of fixed shapes. Never waits for the GPU,
    /// takes nothing from the host and draws nothing from torch's generators. Called twice: first to run.</param>
    /// <exception cref="CudaException">The work cannot be recorded.</exception>
    public static TorchGraph Record(GraphMemory memory, Func<Tensor> work)
    {
        // The libraries load kernels and make plans when they are first asked, for each thread: not in a recording.
        work().Dispose();
        CudaStream.OfTorch.Synchronize();

        using var turn = Recording.EnterScope();
        var recording = (nint)NativeMemory.AllocZeroed(LibTorch.GraphBytes);
        LibTorch.NewGraph(recording, 1);
        Tensor? result = null;
        var ended = false;
        try
        {
            result = Capture().DetachFromDisposeScope();
            if (!ended)
            {
                throw new CudaException("Operations that wait for the GPU cannot be recorded.");
            }

            return new(memory, recording, CudaGraph.Of(LibTorch.RawGraph(recording)), result);
        }
        catch
        {
            result?.Dispose();
            if (ended)
            {
                Delete(recording);
            }

            memory.GiveUp(); // torch's allocator believes in a capture without an end for ever, and so that keeps its object
            throw;
        }

        Tensor Capture()
        {
            var usual = LibTorch.CurrentStream((sbyte)memory.Device);
            LibTorch.SetCurrentStream(LibTorch.StreamOf(memory.Stream.Handle, (sbyte)memory.Device));
            try
            {
                LibTorch.BeginCapture(recording, memory.Pool, CudaDriver.ThreadLocalCapture);
                try
                {
                    return work();
                }
                finally
                {
                    ended = End();
                }
            }
            finally
            {
                LibTorch.SetCurrentStream(usual);
            }
        }

        bool End()
        {
            if (CudaDriver.StreamIsCapturing(memory.Stream.Handle, out var status) == 0 && status == CudaDriver.CaptureActive)
            {
                LibTorch.EndCapture(recording);
                return true;
            }

            _ = CudaDriver.StreamEndCapture(memory.Stream.Handle, out _); // libtorch's own function would end the process
            return false;
        }
    }

    /// <summary>Puts the work into a stream.</summary>
    public void Launch(CudaStream stream) => _graph.Launch(stream);

    /// <summary>Frees the graph; nothing of it may be under way.</summary>
    public void Dispose()
    {
        _graph.Dispose();
        Result.Dispose();
        Delete(_recording);
        _memory.GiveBack(_pool);
    }

    private static void Delete(nint recording)
    {
        LibTorch.DeleteGraph(recording);
        NativeMemory.Free((void*)recording);
    }
}

/// <summary>The memory that the temporaries of some graphs share: one graph's launch overwrites what another's has left, its
/// result too. So whoever launches holds <see cref="Gate"/> until the result is copied, and launches come one behind the other.</summary>
internal sealed unsafe class GraphMemory
{
    private static readonly ConcurrentDictionary<(int Device, nint Stream), GraphMemory> Shared = new();

    private int _graphs; // in the present memory

    private GraphMemory(int device)
    {
        Device = device;
        using var context = CudaContext.Use(device);
        Pool = LibTorch.NewPool();
        Stream = new();
        Beside = new();
    }

    /// <summary>Index of the GPU.</summary>
    public int Device { get; }

    /// <summary>Held while a graph is recorded, and from a launch until its result is copied.</summary>
    public Lock Gate { get; } = new();

    /// <summary>Torch's name of the memory.</summary>
    public LibTorch.MemoryPool Pool { get; private set; }

    /// <summary>What is recorded goes into this stream.</summary>
    public CudaStream Stream { get; private set; }

    /// <summary>Where a graph runs beside what torch does.</summary>
    public CudaStream Beside { get; }

    /// <summary>The memory for all graphs of a GPU that are launched where torch's operations of this thread go.</summary>
    /// <param name="device">Index of the GPU.</param>
    public static GraphMemory Of(int device) => Shared.GetOrAdd((device, CudaStream.OfTorch.Handle), _ => new(device));

    /// <summary>Forgets the memory for graphs of a stream that goes.</summary>
    /// <param name="device">Index of the GPU.</param>
    /// <param name="stream">The stream; all graphs that were launched there are disposed.</param>
    public static void Forget(int device, CudaStream stream) => Shared.TryRemove((device, stream.Handle), out _);

    /// <summary>Counts a graph more in the memory.</summary>
    public LibTorch.MemoryPool Take()
    {
        _graphs++;
        return Pool;
    }

    /// <summary>Counts a graph less.</summary>
    /// <param name="pool">What it was in.</param>
    public void GiveBack(LibTorch.MemoryPool pool)
    {
        if (pool == Pool && --_graphs == 0)
        {
            Pool = LibTorch.NewPool(); // torch does not take up again what the last graph has left
        }
    }

    /// <summary>Takes another stream and other memory for the graphs to come.</summary>
    public void GiveUp() => (Stream, Pool, _graphs) = (new(), LibTorch.NewPool(), 0);
}
