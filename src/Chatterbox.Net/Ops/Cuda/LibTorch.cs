using System.Runtime.InteropServices;

namespace Chatterbox.Ops.Cuda;

/// <summary>Those functions of libtorch, by their C++ names, that recording torch's operations needs and TorchSharp does not
/// offer.</summary>
/// <remarks>From pytorch's ATen/cuda/CUDAGraph.h and c10/cuda/CUDAStream.h, tried with libtorch 2.11 on Linux. An exception that
/// one of them throws ends the process, so none may be given cause for one.</remarks>
internal static unsafe class LibTorch
{
    /// <summary>Room for an at::cuda::CUDAGraph, bytes: many times what it takes in libtorch 2.11.</summary>
    public const int GraphBytes = 4096;

    private static readonly List<string> Missing = [];
    private static readonly nint Torch = Library("libtorch_cuda.so");
    private static readonly nint Core = Library("libc10_cuda.so");

    /// <summary>CUDAGraph::CUDAGraph(bool keep_graph), on memory that is given.</summary>
    public static readonly delegate* unmanaged<nint, byte, void> NewGraph = (delegate* unmanaged<nint, byte, void>)Find(
        Torch,
        "_ZN2at4cuda9CUDAGraphC1Eb"
    );

    /// <summary>CUDAGraph::~CUDAGraph().</summary>
    public static readonly delegate* unmanaged<nint, void> DeleteGraph = (delegate* unmanaged<nint, void>)Find(
        Torch,
        "_ZN2at4cuda9CUDAGraphD1Ev"
    );

    /// <summary>CUDAGraph::capture_begin(pool, mode): what this thread puts into its current stream is recorded from here on.</summary>
    public static readonly delegate* unmanaged<nint, MemoryPool, int, void> BeginCapture = (delegate* unmanaged<
        nint,
        MemoryPool,
        int,
        void>)Find(Torch, "_ZN2at4cuda9CUDAGraph13capture_beginESt4pairIyyE21cudaStreamCaptureMode");

    /// <summary>CUDAGraph::capture_end(). Throws where the capture has failed.</summary>
    public static readonly delegate* unmanaged<nint, void> EndCapture = (delegate* unmanaged<nint, void>)Find(
        Torch,
        "_ZN2at4cuda9CUDAGraph11capture_endEv"
    );

    /// <summary>CUDAGraph::raw_cuda_graph(): the driver's handle of what was recorded, which stays the object's.</summary>
    public static readonly delegate* unmanaged<nint, nint> RawGraph = (delegate* unmanaged<nint, nint>)Find(
        Torch,
        "_ZN2at4cuda9CUDAGraph14raw_cuda_graphEv"
    );

    /// <summary>at::cuda::graph_pool_handle(): memory that graphs share.</summary>
    public static readonly delegate* unmanaged<MemoryPool> NewPool = (delegate* unmanaged<MemoryPool>)Find(
        Torch,
        "_ZN2at4cuda17graph_pool_handleEv"
    );

    /// <summary>c10::cuda::getStreamFromExternal(the driver's handle, device): torch's name of a stream that is not its own. Of its
    /// own it makes a hundred or two at once, which take 66 MiB of an H200.</summary>
    public static readonly delegate* unmanaged<nint, sbyte, TorchStream> StreamOf = (delegate* unmanaged<nint, sbyte, TorchStream>)Find(
        Core,
        "_ZN3c104cuda21getStreamFromExternalEP11CUstream_sta"
    );

    /// <summary>c10::cuda::getCurrentCUDAStream(device): where this thread's operations go.</summary>
    public static readonly delegate* unmanaged<sbyte, TorchStream> CurrentStream = (delegate* unmanaged<sbyte, TorchStream>)Find(
        Core,
        "_ZN3c104cuda20getCurrentCUDAStreamEa"
    );

    /// <summary>CUDAStream::stream(): the driver's handle.</summary>
    public static readonly delegate* unmanaged<TorchStream*, nint> HandleOf = (delegate* unmanaged<TorchStream*, nint>)Find(
        Core,
        "_ZNK3c104cuda10CUDAStream6streamEv"
    );

    /// <summary>c10::cuda::setCurrentCUDAStream(stream): where this thread's operations go from now on.</summary>
    public static readonly delegate* unmanaged<TorchStream, void> SetCurrentStream = (delegate* unmanaged<TorchStream, void>)Find(
        Core,
        "_ZN3c104cuda20setCurrentCUDAStreamENS0_10CUDAStreamE"
    );

    /// <summary>What of all this cannot be found; null where nothing is missing. Ask once torch has used a GPU.</summary>
    public static string? MissingSymbols => Missing.Count > 0 ? string.Join(", ", Missing) : null;

    private static nint Library(string name)
    {
        if (!NativeLibrary.TryLoad(name, out var library)) // TorchSharp has it open
        {
            Missing.Add(name);
        }

        return library;
    }

    private static nint Find(nint library, string name)
    {
        if (library == 0)
        {
            return 0;
        }

        if (!NativeLibrary.TryGetExport(library, name, out var function))
        {
            Missing.Add(name);
        }

        return function;
    }

    /// <summary>c10::MempoolId_t, a std::pair.</summary>
    public readonly record struct MemoryPool(ulong First, ulong Second);

    /// <summary>c10::cuda::CUDAStream: a device and torch's number of a stream.</summary>
    public readonly record struct TorchStream(long Device, long Id);
}
