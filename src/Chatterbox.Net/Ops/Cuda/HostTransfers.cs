using System.Runtime.InteropServices;

namespace Chatterbox.Ops.Cuda;

/// <summary>Carries numbers between the program and a device, with no array in between: a fresh one for a megabyte, which the
/// system hands out page by page, takes the better part of a millisecond.</summary>
internal static unsafe class HostTransfers
{
    private const int Page = 4096;

    /// <summary>Numbers as a tensor.</summary>
    /// <param name="numbers">The numbers.</param>
    /// <param name="device">Where to.</param>
    /// <param name="shape">The tensor's shape; [numbers] if none is given.</param>
    /// <returns>float32.</returns>
    public static Tensor Place(ReadOnlySpan<float> numbers, Device device, params ReadOnlySpan<long> shape)
    {
        var placed = empty(shape.Length > 0 ? shape : [numbers.Length], ScalarType.Float32, device);
        Write(numbers, placed);
        return placed;
    }

    /// <summary>Puts numbers into the first places of a tensor. On a GPU they go there behind what it is doing, for which up to
    /// 64 KB do not wait; torch's own copies wait always.</summary>
    /// <typeparam name="T">As the tensor's elements.</typeparam>
    /// <param name="numbers">The numbers.</param>
    /// <param name="tensor">Contiguous. One without memory, of a network that is only checked, stays without.</param>
    public static void Write<T>(ReadOnlySpan<T> numbers, Tensor tensor)
        where T : unmanaged
    {
        if (tensor.device_type == DeviceType.CPU)
        {
            numbers.CopyTo(MemoryMarshal.Cast<byte, T>(tensor.bytes));
        }
        else if (numbers.Length > 0 && tensor.device_type == DeviceType.CUDA)
        {
            using var context = CudaContext.Use(tensor.device.index);
            fixed (T* from = numbers)
            {
                CudaDriver.CopyToDevice(tensor.Address(), from, (long)numbers.Length * sizeof(T), CudaStream.OfTorch);
            }
        }
    }

    /// <summary>A tensor as numbers, once they are there.</summary>
    /// <param name="tensor">float32.</param>
    public static float[] Read(Tensor tensor)
    {
        var numbers = GC.AllocateUninitializedArray<float>((int)tensor.numel());
        if (numbers.Length == 0)
        {
            return numbers;
        }

        using var scope = NewDisposeScope();
        var source = tensor.contiguous();
        if (source.device_type == DeviceType.CPU)
        {
            MemoryMarshal.Cast<byte, float>(source.bytes).CopyTo(numbers);
            return numbers;
        }

        for (var i = 0; i < numbers.Length; i += Page / sizeof(float))
        {
            numbers[i] = 0; // the system hands out its pages while the GPU is still at work
        }

        using var context = CudaContext.Use(source.device.index);
        fixed (float* to = numbers)
        {
            CudaDriver.CopyToHost(to, source.Address(), numbers.Length * sizeof(float), CudaStream.OfTorch);
        }

        return numbers;
    }
}
