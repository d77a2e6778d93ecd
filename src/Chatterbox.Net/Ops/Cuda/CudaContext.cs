namespace Chatterbox.Ops.Cuda;

/// <summary>Makes the context that torch uses on a GPU the current one of this thread, until it is disposed: the driver's
/// calls act on the current one.</summary>
internal readonly struct CudaContext : IDisposable
{
    private CudaContext(nint context) => CudaDriver.Check(CudaDriver.CtxPushCurrent(context), nameof(CudaDriver.CtxPushCurrent));

    /// <param name="device">Index of the GPU.</param>
    public static CudaContext Use(int device)
    {
        CudaDriver.Check(CudaDriver.DeviceGet(out var handle, device), nameof(CudaDriver.DeviceGet));

        // torch holds the context for the life of the process; this counts one more holder each time, which costs nothing.
        CudaDriver.Check(CudaDriver.DevicePrimaryCtxRetain(out var context, handle), nameof(CudaDriver.DevicePrimaryCtxRetain));
        return new(context);
    }

    /// <inheritdoc/>
    public void Dispose() => _ = CudaDriver.CtxPopCurrent(out _);
}
