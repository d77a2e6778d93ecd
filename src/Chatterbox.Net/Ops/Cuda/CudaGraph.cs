namespace Chatterbox.Ops.Cuda;

/// <summary>A sequence of kernels over fixed buffers, recorded once and launched as one.</summary>
internal sealed class CudaGraph : IDisposable
{
    private readonly nint _executable;

    private CudaGraph(nint executable) => _executable = executable;

    /// <summary>Records kernels instead of running them.</summary>
    /// <param name="record">Launches the kernels into the stream it is given, and does nothing else with the GPU.</param>
    public static CudaGraph Record(Action<CudaStream> record)
    {
        using var stream = new CudaStream();
        CudaDriver.Check(
            CudaDriver.StreamBeginCapture(stream.Handle, CudaDriver.ThreadLocalCapture),
            nameof(CudaDriver.StreamBeginCapture)
        );
        try
        {
            record(stream);
        }
        catch
        {
            _ = CudaDriver.StreamEndCapture(stream.Handle, out _);
            throw;
        }

        CudaDriver.Check(CudaDriver.StreamEndCapture(stream.Handle, out var graph), nameof(CudaDriver.StreamEndCapture));

        try
        {
            return Of(graph);
        }
        finally
        {
            _ = CudaDriver.GraphDestroy(graph);
        }
    }

    /// <summary>Makes what was recorded elsewhere ready to launch.</summary>
    /// <param name="graph">The driver's handle of a graph, which stays the caller's.</param>
    public static CudaGraph Of(nint graph)
    {
        CudaDriver.Check(CudaDriver.GraphInstantiate(out var executable, graph, 0), nameof(CudaDriver.GraphInstantiate));
        return new(executable);
    }

    /// <summary>Puts the kernels into a stream.</summary>
    public void Launch(CudaStream stream) =>
        CudaDriver.Check(CudaDriver.GraphLaunch(_executable, stream.Handle), nameof(CudaDriver.GraphLaunch));

    /// <inheritdoc/>
    public void Dispose() => _ = CudaDriver.GraphExecDestroy(_executable);
}
