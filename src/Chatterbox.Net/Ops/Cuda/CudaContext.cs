using System.Collections.Concurrent;

namespace Chatterbox.Ops.Cuda;

/// <summary>Makes the context that torch uses on a GPU the current one of this thread, until it is disposed: the driver's
/// calls act on the current one.</summary>
internal readonly struct CudaContext : IDisposable
{
    private const int StackLimit = 0; // the driver's number of it
    private const nuint StackBytes = 256; // a thread

    private static readonly ConcurrentDictionary<int, nint> Contexts = new();

    private CudaContext(nint context) => CudaDriver.Check(CudaDriver.CtxPushCurrent(context), nameof(CudaDriver.CtxPushCurrent));

    /// <param name="device">Index of the GPU.</param>
    public static CudaContext Use(int device) => new(Contexts.GetOrAdd(device, Retain));

    /// <inheritdoc/>
    public void Dispose() => _ = CudaDriver.CtxPopCurrent(out _);

    // Held for the life of the process, as torch itself does. CUDA keeps a stack for each thread that a GPU can run, by itself
    // of 1 KiB: 264 MiB on an H200. It makes them larger when a kernel wants that, which none here does.
    private static nint Retain(int device)
    {
        CudaDriver.Check(CudaDriver.DeviceGet(out var handle, device), nameof(CudaDriver.DeviceGet));
        CudaDriver.Check(CudaDriver.DevicePrimaryCtxRetain(out var context, handle), nameof(CudaDriver.DevicePrimaryCtxRetain));
        using var current = new CudaContext(context);
        _ = CudaDriver.CtxSetLimit(StackLimit, StackBytes);
        return context;
    }
}
