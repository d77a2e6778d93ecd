using System.Runtime.InteropServices;
using Chatterbox.Ops.Cuda;

namespace Chatterbox.Benchmarks;

/// <summary>What the driver says of a GPU's memory: all of it, the allocator's reserve, CUDA's own and other programs' too.</summary>
internal static partial class GpuMemory
{
    /// <summary>Bytes in use once CUDA is there and nothing else, or 0 where the device is no GPU.</summary>
    public static long Begin(TorchSharp.torch.Device device)
    {
        TorchSharp.torch.zeros(1, device: device).Dispose(); // makes the context this thread's
        return device.type == TorchSharp.DeviceType.CUDA ? Used() : 0;
    }

    /// <summary>Bytes in use, or 0 where the device is no GPU.</summary>
    public static long Used(TorchSharp.torch.Device device)
    {
        if (device.type != TorchSharp.DeviceType.CUDA)
        {
            return 0;
        }

        TorchSharp.torch.cuda.synchronize(device);
        using var context = CudaContext.Use(device.index);
        return Used();
    }

    private static long Used()
    {
        CudaDriver.Check(MemGetInfo(out var free, out var total), nameof(MemGetInfo));
        return (long)(total - free);
    }

    [LibraryImport("libcuda.so.1", EntryPoint = "cuMemGetInfo_v2")]
    private static partial int MemGetInfo(out nuint free, out nuint total);
}
