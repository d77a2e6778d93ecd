using System.Runtime.InteropServices;

namespace Chatterbox.Ops.Cuda;

/// <summary>Plain operations of torch over fixed tensors, recorded once and launched as one: hundreds of small kernels then
/// take the time of the GPU, not of the host.</summary>
/// <remarks>
/// The temporaries of all graphs of a GPU lie in one pool of memory, so one graph's launch overwrites what another's has
/// left, its result too: whoever launches holds <see cref="Gate"/> until the result is copied, and launches go to torch's
/// stream, one behind the other.
/// </remarks>
internal sealed unsafe class TorchGraph : IDisposable
{
    private static readonly Dictionary<int, (LibTorch.MemoryPool Pool, LibTorch.TorchStream Stream)> Places = [];

    private readonly nint _recording;        // libtorch's object, which keeps the memory
    private readonly CudaGraph _graph;

    private TorchGraph(nint recording, CudaGraph graph, Tensor result) => (_recording, _graph, Result) = (recording, graph, result);

    /// <summary>Held while a graph is recorded, and from a launch until its result is copied.</summary>
    public static Lock Gate { get; } = new();

    /// <summary>What the work returned; overwritten by each launch.</summary>
    public Tensor Result { get; }

    /// <summary>Records some work.</summary>
    /// <param name="device">The GPU, current on this thread.</param>
    /// <param name="work">Reads and writes tensors that live longer than the graph, of fixed shapes. Never waits for the GPU,
    /// takes nothing from the host and draws nothing from torch's generators. Called twice: first to run.</param>
    /// <exception cref="CudaException">The work cannot be recorded.</exception>
    public static TorchGraph Record(Device device, Func<Tensor> work)
    {
        // The libraries load kernels and make plans when they are first asked: not in a recording.
        work().Dispose();
        CudaStream.OfTorch.Synchronize();

        var index = (sbyte)device.index;
        if (!Places.TryGetValue(index, out var place))
        {
            Places[index] = place = (LibTorch.NewPool(), LibTorch.StreamFromPool(0, index));
        }

        var stream = place.Stream;
        var handle = LibTorch.HandleOf(&stream);
        var recording = (nint)NativeMemory.AllocZeroed(LibTorch.GraphBytes);
        LibTorch.NewGraph(recording, 1);
        Tensor? result = null;
        var ended = false;
        try
        {
            result = Capture().DetachFromDisposeScope();
            return new(recording, CudaGraph.Of(LibTorch.RawGraph(recording)), result);
        }
        catch
        {
            result?.Dispose();
            if (ended)
            {
                Delete(recording);
            }
            else
            {
                Places.Remove(index);   // torch's allocator believes in this capture for ever, and so it keeps the object
            }

            throw;
        }

        Tensor Capture()
        {
            var usual = LibTorch.CurrentStream(index);
            LibTorch.SetCurrentStream(place.Stream);
            try
            {
                LibTorch.BeginCapture(recording, place.Pool, CudaDriver.ThreadLocalCapture);
                try
                {
                    return work();
                }
                finally
                {
                    CudaDriver.Check(CudaDriver.StreamIsCapturing(handle, out var status), nameof(CudaDriver.StreamIsCapturing));
                    if (status != CudaDriver.CaptureActive)
                    {
                        _ = CudaDriver.StreamEndCapture(handle, out _);   // libtorch's own function would end the process
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

    /// <summary>Puts the work into torch's stream.</summary>
    public void Launch() => _graph.Launch(CudaStream.OfTorch);

    /// <summary>Frees the graph; nothing of it may be under way.</summary>
    public void Dispose()
    {
        _graph.Dispose();
        Result.Dispose();
        Delete(_recording);
    }

    private static void Delete(nint recording)
    {
        LibTorch.DeleteGraph(recording);
        NativeMemory.Free((void*)recording);
    }
}
