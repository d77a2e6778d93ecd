namespace Chatterbox.Ops.Cuda;

/// <summary>A queue of work on a GPU, in order; several run side by side.</summary>
internal sealed class CudaStream : IDisposable
{
    private readonly nint _event;

    /// <summary>A stream of its own on the GPU that is current, beside torch's.</summary>
    public CudaStream()
    {
        CudaDriver.Check(CudaDriver.StreamCreate(out var handle, CudaDriver.NonBlocking), nameof(CudaDriver.StreamCreate));
        CudaDriver.Check(CudaDriver.EventCreate(out _event, CudaDriver.WithoutTiming), nameof(CudaDriver.EventCreate));
        Handle = handle;
    }

    private CudaStream(nint handle)
    {
        CudaDriver.Check(CudaDriver.EventCreate(out _event, CudaDriver.WithoutTiming), nameof(CudaDriver.EventCreate));
        Handle = handle;
    }

    /// <summary>The driver's handle.</summary>
    public nint Handle { get; }

    /// <summary>The stream that torch's operations go to: this library leaves it at the device's default.</summary>
    public static CudaStream OfTorch() => new(0);

    /// <summary>What is put into this stream from now on begins after what is in the other now.</summary>
    public void WaitFor(CudaStream other)
    {
        CudaDriver.Check(CudaDriver.EventRecord(other._event, other.Handle), nameof(CudaDriver.EventRecord));
        CudaDriver.Check(CudaDriver.StreamWaitEvent(Handle, other._event, 0), nameof(CudaDriver.StreamWaitEvent));
    }

    /// <summary>Returns when everything in the stream is done.</summary>
    /// <exception cref="CudaException">A kernel failed.</exception>
    public void Synchronize() => CudaDriver.Check(CudaDriver.StreamSynchronize(Handle), nameof(CudaDriver.StreamSynchronize));

    /// <inheritdoc/>
    public void Dispose()
    {
        _ = CudaDriver.EventDestroy(_event);
        if (Handle != 0)
        {
            _ = CudaDriver.StreamDestroy(Handle);
        }
    }
}
