using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;
using Chatterbox.Ops.Cuda;

namespace Chatterbox;

/// <summary>The machine and the native libraries that models run on.</summary>
/// <param name="Library">Version of this library.</param>
/// <param name="Runtime">.NET and the operating system.</param>
/// <param name="Processor">Name of the processor.</param>
/// <param name="InstructionSets">Those of its vector instructions that matter here.</param>
/// <param name="Torch">Version of libtorch.</param>
/// <param name="TorchFile">Where it was loaded from, if that is known.</param>
/// <param name="TorchThreads">Threads that an operation of libtorch uses on the CPU.</param>
/// <param name="TorchUsesGpu">Whether this libtorch finds a GPU.</param>
/// <param name="Gpus">NVIDIA's GPUs, whether or not libtorch can use them.</param>
/// <param name="GpuDriver">Version of NVIDIA's driver; null where there is none.</param>
/// <param name="KernelCompiler">Version of the run-time compiler for kernels, NVRTC; null where it is missing.</param>
/// <param name="GraphsReason">Why libtorch's operations cannot be recorded as CUDA graphs; null where they can.</param>
public sealed record MachineReport(
    string Library,
    string Runtime,
    string Processor,
    IReadOnlyList<string> InstructionSets,
    string Torch,
    string? TorchFile,
    int TorchThreads,
    bool TorchUsesGpu,
    IReadOnlyList<GpuDescription> Gpus,
    string? GpuDriver,
    string? KernelCompiler,
    string? GraphsReason
)
{
    /// <summary>Looks at the machine; loads libtorch.</summary>
    public static MachineReport Create()
    {
        var usesGpu = TryInitializeDeviceType(DeviceType.CUDA);
        InitializeDeviceType(DeviceType.CPU);
        return new(
            typeof(MachineReport).Assembly.GetName().Version?.ToString(3) ?? "unknown",
            $"{RuntimeInformation.FrameworkDescription} on {RuntimeInformation.OSDescription}, {RuntimeInformation.RuntimeIdentifier}",
            ProcessorName(),
            [.. Sets()],
            __version__,
            TorchLibrary(),
            get_num_threads(),
            usesGpu,
            CudaDriver.Gpus(),
            CudaDriver.Version(),
            usesGpu ? Nvrtc.TryGetVersion() : null,
            usesGpu ? TorchGraph.UnsupportedReason(CUDA) : "libtorch uses no GPU"
        );
    }

    private static string? TorchLibrary()
    {
        using var process = Process.GetCurrentProcess();
        var modules = process.Modules.Cast<ProcessModule>();
        return modules.FirstOrDefault(module => module.ModuleName.Contains("torch_cpu", StringComparison.Ordinal))?.FileName;
    }

    private static string ProcessorName()
    {
        var unnamed = RuntimeInformation.ProcessArchitecture.ToString();
        try
        {
            var line = File.ReadLines("/proc/cpuinfo").FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal));
            return line?.Split(':', 2)[1].Trim() ?? unnamed;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return unnamed; // not Linux
        }
    }

    private static IEnumerable<string> Sets()
    {
        (string Name, bool Has)[] sets =
        [
            ("AVX2", Avx2.IsSupported),
            ("FMA", Fma.IsSupported),
            ("AVX-512", Avx512BW.IsSupported),
            ("Neon", AdvSimd.IsSupported),
        ];
        return sets.Where(set => set.Has).Select(set => set.Name);
    }
}

/// <summary>One GPU.</summary>
/// <param name="Name">As NVIDIA calls it.</param>
/// <param name="Capability">Compute capability, such as 9.0; this library's kernels need 8.0.</param>
/// <param name="MemoryBytes">All of its memory.</param>
public sealed record GpuDescription(string Name, string Capability, long MemoryBytes);
