using System.Globalization;
using System.Runtime.InteropServices;

namespace Chatterbox.Benchmarks;

/// <summary>How busy a GPU is and how much of its memory is in use, from NVIDIA's management library.</summary>
internal sealed partial class NvmlGpu : IDisposable
{
    private readonly nint _device;

    private NvmlGpu(nint device) => _device = device;

    /// <summary>Opens a device.</summary>
    /// <param name="device">cpu, cuda, cuda:1; null for the best one.</param>
    /// <returns>The GPU; null where the device is none, or the library is not installed.</returns>
    public static NvmlGpu? Open(string? device)
    {
        if (!(device ?? ModelOptions.BestDevice()).StartsWith("cuda", StringComparison.Ordinal))
        {
            return null;
        }

        var index = device?.Split(':') is [_, var number] ? uint.Parse(number, CultureInfo.InvariantCulture) : 0;
        try
        {
            return Init() == 0 && DeviceGetHandleByIndex(index, out var handle) == 0 ? new(handle) : null;
        }
        catch (DllNotFoundException)
        {
            return null;
        }
    }

    /// <summary>Share of the last moments in which a kernel ran, 0 to 1.</summary>
    public double BusyShare() => DeviceGetUtilizationRates(_device, out var rates) == 0 ? rates.Gpu / 100.0 : 0;

    /// <summary>Bytes in use, of all processes.</summary>
    public long MemoryUsed() => DeviceGetMemoryInfo(_device, out var memory) == 0 ? (long)memory.Used : 0;

    /// <inheritdoc/>
    public void Dispose() => _ = Shutdown();

    [LibraryImport("libnvidia-ml.so.1", EntryPoint = "nvmlInit_v2")]
    private static partial int Init();

    [LibraryImport("libnvidia-ml.so.1", EntryPoint = "nvmlShutdown")]
    private static partial int Shutdown();

    [LibraryImport("libnvidia-ml.so.1", EntryPoint = "nvmlDeviceGetHandleByIndex_v2")]
    private static partial int DeviceGetHandleByIndex(uint index, out nint device);

    [LibraryImport("libnvidia-ml.so.1", EntryPoint = "nvmlDeviceGetUtilizationRates")]
    private static partial int DeviceGetUtilizationRates(nint device, out Utilization rates);

    [LibraryImport("libnvidia-ml.so.1", EntryPoint = "nvmlDeviceGetMemoryInfo")]
    private static partial int DeviceGetMemoryInfo(nint device, out Memory memory);

    [StructLayout(LayoutKind.Sequential)]
    private struct Utilization
    {
        public uint Gpu,
            Memory;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Memory
    {
        public ulong Total,
            Free,
            Used;
    }
}
