using System.Collections.Concurrent;
using System.Numerics;
using System.Runtime.InteropServices;

namespace Chatterbox.Ops.Cuda;

/// <summary>Carries numbers between the program and a device. For a GPU they go through memory that is kept and that it can
/// read by itself: fresh memory for a megabyte, which the system hands out page by page, takes longer than all else.</summary>
internal static class HostCopies
{
    private static readonly ConcurrentBag<Tensor> Free = [];

    /// <summary>Numbers as a tensor.</summary>
    /// <param name="numbers">The numbers.</param>
    /// <param name="device">Where to.</param>
    /// <returns>[numbers], float32.</returns>
    public static Tensor Place(ReadOnlySpan<float> numbers, Device device)
    {
        if (device.type == DeviceType.CPU || numbers.IsEmpty)
        {
            return tensor(numbers.ToArray(), device: device);
        }

        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var pinned = Rent(numbers.Length);
        numbers.CopyTo(Numbers(pinned));
        var placed = empty([numbers.Length], ScalarType.Float32, device).copy_(pinned.narrow(0, 0, numbers.Length));
        Free.Add(pinned);
        return placed.MoveToOuterDisposeScope();
    }

    /// <summary>A tensor as numbers.</summary>
    /// <param name="tensor">float32.</param>
    public static float[] Read(Tensor tensor)
    {
        if (tensor.device_type == DeviceType.CPU || tensor.numel() == 0)
        {
            using var host = tensor.cpu();
            return host.data<float>().ToArray();
        }

        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var count = (int)tensor.numel();
        var pinned = Rent(count);
        pinned.narrow(0, 0, count).copy_(tensor.flatten());
        var numbers = GC.AllocateUninitializedArray<float>(count);
        Numbers(pinned)[..count].CopyTo(numbers);
        Free.Add(pinned);
        return numbers;
    }

    private static Span<float> Numbers(Tensor pinned) => MemoryMarshal.Cast<byte, float>(pinned.bytes);

    private static Tensor Rent(int count)
    {
        if (Free.TryTake(out var kept) && kept.shape[0] >= count)
        {
            return kept;
        }

        kept?.Dispose();
        using var pageable = empty([(long)BitOperations.RoundUpToPowerOf2((uint)count)], ScalarType.Float32);
        return pageable.pin_memory().DetachFromDisposeScope();
    }
}
