using System.Collections.Concurrent;
using System.Runtime.InteropServices;

namespace Chatterbox.Ops.Cuda;

/// <summary>Plain operations of torch over fixed tensors, recorded once and launched as one: hundreds of small kernels then
/// take the time of the GPU, not of the host.</summary>
internal sealed unsafe class TorchGraph : IDisposable
{
    private readonly GraphMemory _memory;
    private readonly nint _recording;        // libtorch's object, which keeps the memory
    private readonly CudaGraph _graph;

    private TorchGraph(GraphMemory memory, nint recording, CudaGraph graph, Tensor result) =>
        (_memory, _recording, _graph, Result) = (memory, recording, graph, result);

    /// <summary>What the work returned; overwritten by each launch.</summary>
    public Tensor Result { get; }

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

        var recording = (nint)NativeMemory.AllocZeroed(LibTorch.GraphBytes);
        LibTorch.NewGraph(recording, 1);
        Tensor? result = null;
        var ended = false;
        try
        {
            result = Capture().DetachFromDisposeScope();
            var graph = CudaGraph.Of(LibTorch.RawGraph(recording));
            memory.Graphs++;
            return new(memory, recording, graph, result);
        }
        catch
        {
            result?.Dispose();
            if (ended)
            {
                Delete(recording);
            }

            memory.Renew();   // torch's allocator believes in a capture without an end for ever, and so that keeps its object
            throw;
        }

        Tensor Capture()
        {
            var usual = LibTorch.CurrentStream((sbyte)memory.Device);
            LibTorch.SetCurrentStream(memory.Stream);
            try
            {
                LibTorch.BeginCapture(recording, memory.Pool, CudaDriver.ThreadLocalCapture);
                try
                {
                    return work();
                }
                finally
                {
                    CudaDriver.Check(CudaDriver.StreamIsCapturing(memory.StreamHandle, out var status), nameof(CudaDriver.StreamIsCapturing));
                    if (status != CudaDriver.CaptureActive)
                    {
                        _ = CudaDriver.StreamEndCapture(memory.StreamHandle, out _);   // libtorch's own function would end the process
                        throw new CudaException("Operations that wait for the GPU cannot be recorded.");
                    }

                    LibTorch.EndCapture(recording);
                    ended = true;
                }
            }
            finally
            {
                LibTorch.SetCurrentStream(usual);
            }
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
        if (--_memory.Graphs == 0)
        {
            _memory.Renew();
        }
    }

    private static void Delete(nint recording)
    {
        LibTorch.DeleteGraph(recording);
        NativeMemory.Free((void*)recording);
    }
}

/// <summary>The memory that the temporaries of some graphs share: one graph's launch overwrites what another's has left, its
/// result too. So whoever launches holds <see cref="Gate"/> until the result is copied, and launches come one behind the other.</summary>
internal sealed class GraphMemory
{
    private static readonly ConcurrentDictionary<int, GraphMemory> Shared = new();

    private GraphMemory(int device)
    {
        Device = device;
        Renew();
    }

    /// <summary>Index of the GPU.</summary>
    public int Device { get; }

    /// <summary>Held while a graph is recorded, and from a launch until its result is copied.</summary>
    public Lock Gate { get; } = new();

    /// <summary>Torch's name of the memory.</summary>
    public LibTorch.MemoryPool Pool { get; private set; }

    /// <summary>What is recorded goes into this stream.</summary>
    public LibTorch.TorchStream Stream { get; private set; }

    /// <summary>The driver's handle of it.</summary>
    public nint StreamHandle { get; private set; }

    /// <summary>Where a graph runs beside what torch does.</summary>
    public CudaStream Beside { get; } = new();

    /// <summary>Graphs that there are.</summary>
    public int Graphs { get; set; }

    /// <summary>The memory of a GPU, for all graphs on it.</summary>
    /// <param name="device">Index of the GPU.</param>
    public static GraphMemory Of(int device) => Shared.GetOrAdd(device, _ => new(device));

    /// <summary>Takes other memory for the graphs to come: torch does not take up again what its last graph has left.</summary>
    public unsafe void Renew()
    {
        var stream = LibTorch.StreamFromPool(0, (sbyte)Device);
        (Pool, Stream, StreamHandle) = (LibTorch.NewPool(), stream, LibTorch.HandleOf(&stream));
    }
}
