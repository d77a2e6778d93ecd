namespace Chatterbox.Tests;

/// <summary>Counts tensors, for tests of what is left behind.</summary>
internal static class LiveTensors
{
    /// <summary>Tensors that are alive once those are gone that earlier tests left to the finalizer: where a count begins, as
    /// these would otherwise go while it is under way.</summary>
    public static long Settled()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        return Tensor.TotalCount;
    }
}
