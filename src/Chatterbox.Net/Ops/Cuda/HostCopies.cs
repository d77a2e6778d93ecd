using System.Runtime.InteropServices;

namespace Chatterbox.Ops.Cuda;

/// <summary>Carries numbers between the program and a device, with no array in between: a fresh one for a megabyte, which the
/// system hands out page by page, takes the better part of a millisecond.</summary>
internal static class HostCopies
{
    /// <summary>Numbers as a tensor.</summary>
    /// <param name="numbers">The numbers.</param>
    /// <param name="device">Where to.</param>
    /// <returns>[numbers], float32.</returns>
    public static Tensor Place(ReadOnlySpan<float> numbers, Device device)
    {
        using var scope = NewDisposeScope();
        var host = empty([numbers.Length], ScalarType.Float32);
        numbers.CopyTo(MemoryMarshal.Cast<byte, float>(host.bytes));
        return host.to(device).MoveToOuterDisposeScope();
    }

    /// <summary>A tensor as numbers.</summary>
    /// <param name="tensor">float32.</param>
    public static float[] Read(Tensor tensor)
    {
        var numbers = GC.AllocateUninitializedArray<float>((int)tensor.numel());
        if (numbers.Length > 0)
        {
            using var scope = NewDisposeScope();
            frombuffer(numbers, ScalarType.Float32).copy_(tensor.flatten());
        }

        return numbers;
    }
}
