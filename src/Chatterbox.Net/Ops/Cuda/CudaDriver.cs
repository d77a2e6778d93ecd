using System.Globalization;
using System.Runtime.InteropServices;

namespace Chatterbox.Ops.Cuda;

/// <summary>The functions of NVIDIA's driver that this library calls itself: modules, launches, streams, events, graphs.
/// libtorch has made the device's primary context current on every thread that has used a CUDA tensor.</summary>
internal static partial class CudaDriver
{
    private const string Library = "libcuda.so.1";

    /// <summary>Work of a stream with this flag runs beside the default stream's, not after it.</summary>
    public const uint NonBlocking = 1;

    /// <summary>A capture that only concerns the stream captured, whatever other threads do.</summary>
    public const int ThreadLocalCapture = 1;

    /// <summary>The state of a stream that is being captured, and has been without a fault.</summary>
    public const int CaptureActive = 1;

    /// <summary>An event that takes no time stamps.</summary>
    public const uint WithoutTiming = 2;

    private const int Cooperative = 2,
        ProgrammaticSerialization = 6; // attributes of a launch
    private const int MaxDynamicSharedBytes = 8;

    /// <summary>Fails with the driver's own words where a call did not succeed.</summary>
    /// <exception cref="CudaException">The call failed.</exception>
    public static void Check(int result, string call)
    {
        if (result != 0)
        {
            var name = GetErrorName(result, out var text) == 0 ? Marshal.PtrToStringUTF8(text) : null;
            throw new CudaException(
                $"{call} failed on the GPU: {name ?? "unknown error"} ({result}). The GPU's state is lost if a kernel failed: restart "
                    + $"the program; if it comes again, load the model with the plain operations."
            );
        }
    }

    /// <summary>A number that describes a device, given by its index.</summary>
    public static int Attribute(DeviceAttribute attribute, int device)
    {
        Check(DeviceGet(out var handle, device), nameof(DeviceGet));
        Check(DeviceGetAttribute(out var value, (int)attribute, handle), nameof(DeviceGetAttribute));
        return value;
    }

    /// <summary>Bytes of a GPU's memory that are free.</summary>
    public static long FreeMemory(int device)
    {
        using var context = CudaContext.Use(device);
        Check(MemGetInfo(out var free, out _), nameof(MemGetInfo));
        return (long)free;
    }

    /// <summary>The GPUs of this machine, whether or not libtorch can use them; none where there is no driver.</summary>
    public static IReadOnlyList<GpuDescription> Gpus()
    {
        if (!NativeLibrary.TryLoad(Library, out _) || Init(0) != 0 || DeviceGetCount(out var count) != 0)
        {
            return [];
        }

        return [.. Enumerable.Range(0, count).Select(Describe)];

        static unsafe GpuDescription Describe(int index)
        {
            Check(DeviceGet(out var device, index), nameof(DeviceGet));
            var name = stackalloc byte[256];
            Check(DeviceGetName(name, 256, device), nameof(DeviceGetName));
            Check(DeviceTotalMem(out var bytes, device), nameof(DeviceTotalMem));
            return new(
                Marshal.PtrToStringUTF8((nint)name)!,
                $"{Attribute(DeviceAttribute.CapabilityMajor, index)}.{Attribute(DeviceAttribute.CapabilityMinor, index)}",
                (long)bytes
            );
        }
    }

    /// <summary>The newest version of CUDA that the driver knows, such as CUDA 13.0; null where there is no driver.</summary>
    public static string? Version() =>
        NativeLibrary.TryLoad(Library, out _) && DriverGetVersion(out var version) == 0
            ? string.Create(CultureInfo.InvariantCulture, $"CUDA {version / 1000}.{version % 1000 / 10}")
            : null;

    /// <summary>Lets a kernel use more shared memory than the 48 KB that every launch may.</summary>
    public static void AllowSharedBytes(nint function, int bytes) =>
        Check(FuncSetAttribute(function, MaxDynamicSharedBytes, bytes), nameof(FuncSetAttribute));

    /// <summary>Puts a kernel into a stream.</summary>
    /// <param name="function">The kernel.</param>
    /// <param name="shape">Blocks, threads, shared memory.</param>
    /// <param name="stream">Where it runs.</param>
    /// <param name="overlaps">True where the kernel may begin before the one in front of it has ended: it waits for it
    /// itself (griddepcontrol). Compute capability 9.0 and later.</param>
    /// <param name="together">True where the blocks wait for each other: all of them run at once, or none yet.</param>
    /// <param name="arguments">The kernel's one parameter, a structure.</param>
    public static unsafe void Launch<T>(nint function, LaunchShape shape, nint stream, bool overlaps, bool together, in T arguments)
        where T : unmanaged
    {
        var attributes = stackalloc LaunchAttribute[2];
        var count = 0;
        if (overlaps)
        {
            attributes[count++] = new() { Id = ProgrammaticSerialization, Value = 1 };
        }

        if (together)
        {
            attributes[count++] = new() { Id = Cooperative, Value = 1 };
        }

        var config = new LaunchConfig
        {
            GridX = shape.Grid.X,
            GridY = shape.Grid.Y,
            GridZ = shape.Grid.Z,
            BlockX = shape.Threads,
            BlockY = 1,
            BlockZ = 1,
            SharedBytes = (uint)shape.SharedBytes,
            Stream = stream,
            Attributes = attributes,
            AttributeCount = (uint)count,
        };
        fixed (T* structure = &arguments)
        {
            void* parameter = structure;
            Check(LaunchKernelEx(&config, function, &parameter, null), nameof(LaunchKernelEx));
        }
    }

    /// <summary>Copies from the program's memory to a GPU's, behind what is in the stream.</summary>
    /// <remarks>The numbers have left the program's memory when it returns.</remarks>
    public static unsafe void CopyToDevice(nint to, void* from, long bytes, CudaStream stream) =>
        Check(MemcpyHtoDAsync(to, from, (nuint)bytes, stream.Handle), nameof(MemcpyHtoDAsync));

    /// <summary>Copies from a GPU's memory to the program's, once what is in the stream is done.</summary>
    public static unsafe void CopyToHost(void* to, nint from, long bytes, CudaStream stream)
    {
        Check(MemcpyDtoHAsync(to, from, (nuint)bytes, stream.Handle), nameof(MemcpyDtoHAsync));
        stream.Synchronize();
    }

    [LibraryImport(Library, EntryPoint = "cuInit")]
    private static partial int Init(uint flags);

    [LibraryImport(Library, EntryPoint = "cuDriverGetVersion")]
    private static partial int DriverGetVersion(out int version);

    [LibraryImport(Library, EntryPoint = "cuDeviceGetCount")]
    private static partial int DeviceGetCount(out int count);

    [LibraryImport(Library, EntryPoint = "cuDeviceGetName")]
    private static unsafe partial int DeviceGetName(byte* name, int length, int device);

    [LibraryImport(Library, EntryPoint = "cuDeviceTotalMem_v2")]
    private static partial int DeviceTotalMem(out nuint bytes, int device);

    [LibraryImport(Library, EntryPoint = "cuDeviceGet")]
    public static partial int DeviceGet(out int device, int index);

    [LibraryImport(Library, EntryPoint = "cuDevicePrimaryCtxRetain")]
    public static partial int DevicePrimaryCtxRetain(out nint context, int device);

    [LibraryImport(Library, EntryPoint = "cuCtxSetLimit")]
    public static partial int CtxSetLimit(int limit, nuint value);

    [LibraryImport(Library, EntryPoint = "cuCtxPushCurrent_v2")]
    public static partial int CtxPushCurrent(nint context);

    [LibraryImport(Library, EntryPoint = "cuCtxPopCurrent_v2")]
    public static partial int CtxPopCurrent(out nint context);

    [LibraryImport(Library, EntryPoint = "cuDeviceGetAttribute")]
    private static partial int DeviceGetAttribute(out int value, int attribute, int device);

    [LibraryImport(Library, EntryPoint = "cuMemGetInfo_v2")]
    private static partial int MemGetInfo(out nuint free, out nuint total);

    [LibraryImport(Library, EntryPoint = "cuGetErrorName")]
    private static partial int GetErrorName(int error, out nint text);

    [LibraryImport(Library, EntryPoint = "cuModuleLoadData")]
    public static partial int ModuleLoadData(out nint module, ReadOnlySpan<byte> image);

    [LibraryImport(Library, EntryPoint = "cuModuleGetFunction", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int ModuleGetFunction(out nint function, nint module, string name);

    [LibraryImport(Library, EntryPoint = "cuFuncSetAttribute")]
    private static partial int FuncSetAttribute(nint function, int attribute, int value);

    [LibraryImport(Library, EntryPoint = "cuLaunchKernelEx")]
    private static unsafe partial int LaunchKernelEx(LaunchConfig* config, nint function, void** parameters, void** extra);

    [LibraryImport(Library, EntryPoint = "cuMemcpyHtoDAsync_v2")]
    private static unsafe partial int MemcpyHtoDAsync(nint to, void* from, nuint bytes, nint stream);

    [LibraryImport(Library, EntryPoint = "cuMemcpyDtoHAsync_v2")]
    private static unsafe partial int MemcpyDtoHAsync(void* to, nint from, nuint bytes, nint stream);

    [LibraryImport(Library, EntryPoint = "cuStreamCreate")]
    public static partial int StreamCreate(out nint stream, uint flags);

    [LibraryImport(Library, EntryPoint = "cuStreamDestroy_v2")]
    public static partial int StreamDestroy(nint stream);

    [LibraryImport(Library, EntryPoint = "cuStreamSynchronize")]
    public static partial int StreamSynchronize(nint stream);

    [LibraryImport(Library, EntryPoint = "cuStreamWaitEvent")]
    public static partial int StreamWaitEvent(nint stream, nint cudaEvent, uint flags);

    [LibraryImport(Library, EntryPoint = "cuEventCreate")]
    public static partial int EventCreate(out nint cudaEvent, uint flags);

    [LibraryImport(Library, EntryPoint = "cuEventRecord")]
    public static partial int EventRecord(nint cudaEvent, nint stream);

    [LibraryImport(Library, EntryPoint = "cuEventSynchronize")]
    public static partial int EventSynchronize(nint cudaEvent);

    [LibraryImport(Library, EntryPoint = "cuEventDestroy_v2")]
    public static partial int EventDestroy(nint cudaEvent);

    [LibraryImport(Library, EntryPoint = "cuStreamBeginCapture_v2")]
    public static partial int StreamBeginCapture(nint stream, int mode);

    [LibraryImport(Library, EntryPoint = "cuStreamIsCapturing")]
    public static partial int StreamIsCapturing(nint stream, out int status);

    [LibraryImport(Library, EntryPoint = "cuStreamEndCapture")]
    public static partial int StreamEndCapture(nint stream, out nint graph);

    [LibraryImport(Library, EntryPoint = "cuGraphInstantiateWithFlags")]
    public static partial int GraphInstantiate(out nint executable, nint graph, ulong flags);

    [LibraryImport(Library, EntryPoint = "cuGraphDestroy")]
    public static partial int GraphDestroy(nint graph);

    [LibraryImport(Library, EntryPoint = "cuGraphExecDestroy")]
    public static partial int GraphExecDestroy(nint executable);

    [LibraryImport(Library, EntryPoint = "cuGraphLaunch")]
    public static partial int GraphLaunch(nint executable, nint stream);

    [StructLayout(LayoutKind.Sequential)]
    private unsafe struct LaunchConfig
    {
        public uint GridX,
            GridY,
            GridZ,
            BlockX,
            BlockY,
            BlockZ,
            SharedBytes;
        public nint Stream;
        public LaunchAttribute* Attributes;
        public uint AttributeCount;
    }

    /// <summary>A number that says which, and 64 bytes of a value of which the first counts here.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 72)]
    private struct LaunchAttribute
    {
        [FieldOffset(0)]
        public int Id;

        [FieldOffset(8)]
        public int Value;
    }
}

/// <summary>What describes a device, by the driver's numbers.</summary>
internal enum DeviceAttribute
{
    /// <summary>Multiprocessors.</summary>
    Multiprocessors = 16,

    /// <summary>The 9 of compute capability 9.0.</summary>
    CapabilityMajor = 75,

    /// <summary>The 0 of compute capability 9.0.</summary>
    CapabilityMinor = 76,

    /// <summary>Most bytes of shared memory that a block can be given.</summary>
    SharedBytes = 97,
}

/// <summary>How many blocks of how many threads a kernel runs in.</summary>
/// <param name="Grid">Blocks along each dimension.</param>
/// <param name="Threads">Threads of a block, along its first dimension.</param>
/// <param name="SharedBytes">Dynamic shared memory of a block.</param>
internal readonly record struct LaunchShape((uint X, uint Y, uint Z) Grid, uint Threads, int SharedBytes = 0)
{
    /// <param name="blocks">Blocks, along the first dimension only.</param>
    /// <param name="threads">Threads of a block.</param>
    /// <param name="sharedBytes">Dynamic shared memory of a block.</param>
    public LaunchShape(long blocks, int threads, int sharedBytes = 0)
        : this(((uint)blocks, 1, 1), (uint)threads, sharedBytes) { }
}

/// <summary>A call of CUDA failed.</summary>
internal sealed class CudaException(string message) : InvalidOperationException(message);
