namespace Chatterbox.Ops.Cuda;

/// <summary>A queue of work on a GPU, in order; several run side by side.</summary>
internal sealed class CudaStream : IDisposable
{
    /// <summary>The stream that torch's operations of a thread usually go to: the default of the GPU that is current.</summary>
    public static readonly CudaStream Default = new(0);

    [ThreadStatic]
    private static CudaStream? _ofTorch;

    /// <summary>A stream of its own on the GPU that is current, beside torch's.</summary>
    public CudaStream()
    {
        CudaDriver.Check(CudaDriver.StreamCreate(out var handle, CudaDriver.NonBlocking), nameof(CudaDriver.StreamCreate));
        Handle = handle;
    }

    private CudaStream(nint handle) => Handle = handle;

    /// <summary>The stream that this thread's operations of torch go to, unless they are being recorded: the default of the GPU that is
    /// current, except within <see cref="ForTorch"/>.</summary>
    public static CudaStream OfTorch => _ofTorch ?? Default;

    /// <summary>The stream that this thread's operations of torch go to now: another one only while they are recorded.</summary>
    /// <param name="device">Index of the GPU.</param>
    public static unsafe CudaStream Current(int device)
    {
        if (LibTorch.MissingSymbols is not null)
        {
            return OfTorch;
        }

        var current = LibTorch.CurrentStream((sbyte)device);
        return new(LibTorch.HandleOf(&current));
    }

    /// <summary>The driver's handle.</summary>
    public nint Handle { get; }

    /// <summary>Sends this thread's operations of torch to this stream until the result is disposed. Where this libtorch cannot do that
    /// they
    /// stay where they are, which is slower and gives the same numbers.</summary>
    /// <param name="device">Index of the stream's GPU.</param>
    public unsafe TorchStreamScope ForTorch(int device)
    {
        var before = _ofTorch;
        if (LibTorch.MissingSymbols is not null)
        {
            return new(before, null);
        }

        var usual = LibTorch.CurrentStream((sbyte)device);
        LibTorch.SetCurrentStream(LibTorch.StreamOf(Handle, (sbyte)device));
        _ofTorch = this;
        return new(before, usual);
    }

    /// <summary>What is put into this stream from now on begins after what is in the other now.</summary>
    public void WaitFor(CudaStream other)
    {
        CudaDriver.Check(CudaDriver.EventCreate(out var reached, CudaDriver.WithoutTiming), nameof(CudaDriver.EventCreate));
        try
        {
            CudaDriver.Check(CudaDriver.EventRecord(reached, other.Handle), nameof(CudaDriver.EventRecord));
            CudaDriver.Check(CudaDriver.StreamWaitEvent(Handle, reached, 0), nameof(CudaDriver.StreamWaitEvent));
        }
        finally
        {
            _ = CudaDriver.EventDestroy(reached); // the driver frees it once it has been reached
        }
    }

    /// <summary>Returns when everything in the stream is done.</summary>
    /// <exception cref="CudaException">A kernel failed.</exception>
    public void Synchronize() => CudaDriver.Check(CudaDriver.StreamSynchronize(Handle), nameof(CudaDriver.StreamSynchronize));

    /// <inheritdoc/>
    public void Dispose() => _ = CudaDriver.StreamDestroy(Handle);

    /// <summary>Ends what <see cref="ForTorch"/> began.</summary>
    public readonly unsafe struct TorchStreamScope(CudaStream? before, LibTorch.TorchStream? usual) : IDisposable
    {
        /// <inheritdoc/>
        public void Dispose()
        {
            if (usual is { } stream)
            {
                LibTorch.SetCurrentStream(stream);
            }

            _ofTorch = before;
        }
    }
}
