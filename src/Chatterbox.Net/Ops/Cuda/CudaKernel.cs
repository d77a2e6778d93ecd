namespace Chatterbox.Ops.Cuda;

/// <summary>One compiled kernel. Its one parameter is a structure, passed by value.</summary>
internal sealed class CudaKernel(nint function)
{
    private const int SharedBytesOfAll = 48 * 1024;

    private int _sharedBytes = SharedBytesOfAll;

    /// <summary>Puts the kernel into a stream.</summary>
    /// <typeparam name="T">The structure, laid out as in the source.</typeparam>
    /// <param name="shape">Blocks and threads.</param>
    /// <param name="stream">Where it runs.</param>
    /// <param name="arguments">The structure.</param>
    /// <param name="overlaps">True where the kernel itself waits for the one in front of it.</param>
    /// <param name="together">True where the blocks wait for each other.</param>
    /// <exception cref="CudaException">The launch failed.</exception>
    public void Launch<T>(LaunchShape shape, CudaStream stream, in T arguments, bool overlaps = false, bool together = false)
        where T : unmanaged
    {
        if (shape.SharedBytes > _sharedBytes)
        {
            CudaDriver.AllowSharedBytes(function, shape.SharedBytes);
            _sharedBytes = shape.SharedBytes;
        }

        CudaDriver.Launch(function, shape, stream.Handle, overlaps, together, arguments);
    }
}
