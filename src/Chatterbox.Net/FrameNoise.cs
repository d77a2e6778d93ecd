namespace Chatterbox;

/// <summary>Standard normal numbers for the frames of an utterance that is made in passes: a frame has the same numbers in
/// every pass, however many frames a pass has.</summary>
/// <param name="source">The stream that they are drawn from, frame after frame; nobody else draws from it. Stays the caller's.</param>
/// <param name="width">Numbers a frame.</param>
/// <param name="device">Where the numbers are wanted.</param>
internal sealed class FrameNoise(NoiseSource source, long width, Device device) : IDisposable
{
    // Torch makes normal numbers of uniform ones in groups of sixteen, and treats what is left over otherwise: a frame
    // draws whole groups.
    private const long Group = 16;

    private Tensor _kept = empty([0, width], ScalarType.Float32, device).DetachFromDisposeScope();
    private long _first;

    /// <summary>The numbers of some frames. Frames before them are forgotten.</summary>
    /// <param name="first">Their first frame; not before the last call's.</param>
    /// <param name="count">How many.</param>
    /// <returns>[frames, width], float32.</returns>
    public Tensor From(long first, long count)
    {
        using var scope = NewDisposeScope();
        var missing = Math.Max(0, first + count - _first - _kept.size(0));
        var drawn = source.Normal([missing, (width + Group - 1) / Group * Group], device).narrow(1, 0, width);
        var all = cat([_kept, drawn]);
        _kept.Dispose();
        _kept = all.narrow(0, first - _first, all.size(0) - (first - _first)).clone().DetachFromDisposeScope();
        _first = first;
        return _kept.narrow(0, 0, count).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose() => _kept.Dispose();
}
