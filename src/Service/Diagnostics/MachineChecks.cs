using System.Globalization;

namespace Chatterbox.Service.Diagnostics;

/// <summary>Checks the machine, libtorch and the GPUs.</summary>
internal static class MachineChecks
{
    private const string Machine = "machine",
        Gpu = "GPU";
    private const double GiB = 1L << 30;

    /// <summary>What the machine has.</summary>
    public static IEnumerable<Finding> Of(MachineReport machine)
    {
        yield return new(Machine, "program", Verdict.Ok, $"Chatterbox.Net {machine.Library}, {machine.Runtime}");
        yield return new(Machine, "libtorch", Verdict.Ok, $"{machine.Torch}, {machine.TorchFile ?? "loaded from an unknown place"}");
        var sets = machine.InstructionSets is [] ? "no vector instructions that libtorch uses" : string.Join(", ", machine.InstructionSets);
        yield return new(Machine, "processor", Verdict.Ok, $"{machine.Processor}; {sets}; {machine.TorchThreads} threads");
        foreach (var finding in machine.Gpus is [] ? [NoGpu()] : OfGpus(machine))
        {
            yield return finding;
        }
    }

    private static Finding NoGpu() => new(Gpu, "devices", Verdict.Note, "no NVIDIA GPU, or no driver for it: models run on the CPU");

    private static IEnumerable<Finding> OfGpus(MachineReport machine)
    {
        foreach (var (i, gpu) in machine.Gpus.Index())
        {
            var memory = (gpu.MemoryBytes / GiB).ToString("0", CultureInfo.InvariantCulture);
            yield return new(
                Gpu,
                $"cuda:{i}",
                Verdict.Ok,
                $"{gpu.Name}, {memory} GiB, compute capability {gpu.Capability}; driver for {machine.GpuDriver}"
            );
        }

        if (!machine.TorchUsesGpu)
        {
            yield return new(
                Gpu,
                "libtorch",
                Verdict.Warning,
                "this build's libtorch uses the CPU only",
                "Build or run with -p:TorchBackend=cuda, or use the CUDA image."
            );
            yield break;
        }

        yield return machine.KernelCompiler is { } version
            ? new(Gpu, "kernel compiler", Verdict.Ok, $"NVRTC {version}")
            : new(
                Gpu,
                "kernel compiler",
                Verdict.Warning,
                "NVRTC cannot be loaded: models run on plain operations, many times as slowly",
                "Restore the package of libtorch for CUDA: its libcaffe2_nvrtc.so and libnvrtc must be next to libtorch_cuda.so."
            );
        yield return machine.GraphsReason is not { } reason
            ? new(Gpu, "CUDA graphs", Verdict.Ok, "supported")
            : new(
                Gpu,
                "CUDA graphs",
                Verdict.Warning,
                $"not supported: {reason}",
                "Use the version of libtorch that this program was built for, on x64."
            );
    }
}
