using Chatterbox.Ops.Cpu;
using Chatterbox.Ops.Cuda;
using Chatterbox.S3Gen;
using Chatterbox.T3;
using Chatterbox.T3.Fused;
using Chatterbox.Watermark;

namespace Chatterbox;

/// <summary>How the stages of a model are computed on this machine, and why not faster.</summary>
/// <param name="Device">Where the model is: cpu, or cuda:0.</param>
/// <param name="Stages">In the order in which speech passes through them.</param>
public sealed record RuntimeReport(string Device, IReadOnlyList<StageRuntime> Stages)
{
    /// <summary>The report of something that has no stages.</summary>
    public static RuntimeReport Empty { get; } = new("cpu", []);

    /// <summary>Stages that are on a GPU and miss its fast path: they take many times as long as they could.</summary>
    public IEnumerable<StageRuntime> Slow =>
        Device.StartsWith("cuda", StringComparison.Ordinal) ? Stages.Where(stage => stage.Path == ExecutionPath.Plain) : [];

    /// <summary>Reports on a model's networks.</summary>
    internal static RuntimeReport Of(ChatterboxConfig config, Device device, T3Model t3, S3GenNetworks s3gen, PerthWatermarker watermarker)
    {
        var graphs = TorchGraph.UnsupportedReason(device);
        var flow = s3gen.S3Gen.Flow.NotFusedReason;
        StageRuntime[] stages =
        [
            Stage("T3 prefill", ExecutionPath.Graph, t3.NotFusedReason ?? graphs),
            t3.CpuFormat is { } format ? new("T3 step", ExecutionPath.Fused, null) { Detail = CpuPrecision.Describe(format) }
            : t3.NotFusedReason is { } notFused ? new("T3 step", ExecutionPath.Plain, notFused)
            : SingleStep.UnsupportedReason(config.T3, device) is { } notSingle ? new("T3 step", ExecutionPath.KernelGraph, notSingle)
            : new("T3 step", ExecutionPath.OneKernel, null),
            Stage("S3Gen encoder", ExecutionPath.Graph, s3gen.S3Gen.NoEncoderGraphsReason),
            flow is not null
                ? new("S3Gen flow", ExecutionPath.Plain, flow)
                : new("S3Gen flow", ExecutionPath.KernelGraph, ClusterEstimator.UnsupportedReason(config.S3Gen, device)),
            Stage("HiFT vocoder", ExecutionPath.Fused, s3gen.HiFT.NotFusedReason),
            Stage("watermark", ExecutionPath.Fused, watermarker.NotFusedReason),
            Stage("voice encoders", ExecutionPath.Graph, graphs),
            Stage("random numbers", ExecutionPath.Fused, CudaNoise.UnsupportedReason(device)),
        ];

        // It is not the precision that keeps a CPU from a GPU's kernels, unless a GPU has none for the stage.
        var noGpu = CudaModule.UnsupportedReason(device);
        return new(
            device.ToString(),
            [
                .. stages.Select(stage =>
                    noGpu is not null && stage.Path == ExecutionPath.Plain && !(config.T3.InBlocks && stage.Reason == t3.NotFusedReason)
                        ? stage with
                        {
                            Reason = noGpu,
                        }
                        : stage
                ),
            ]
        );
    }

    private static StageRuntime Stage(string name, ExecutionPath fast, string? reason) =>
        new(name, reason is null ? fast : ExecutionPath.Plain, reason);
}

/// <summary>How one stage is computed.</summary>
/// <param name="Stage">Its name, such as T3 step or HiFT vocoder.</param>
/// <param name="Path">The way that it takes.</param>
/// <param name="Reason">Why it does not take the fastest one that this library has; null where it does.</param>
public sealed record StageRuntime(string Stage, ExecutionPath Path, string? Reason)
{
    /// <summary>What the kernels depend on, such as the element type of weights; null where there is nothing to add.</summary>
    public string? Detail { get; init; }

    /// <summary>The path in words.</summary>
    public string Description =>
        (Detail is null ? "" : $"{Detail}, ")
        + Path switch
        {
            ExecutionPath.Graph => "CUDA graph",
            ExecutionPath.Fused => "fused kernels",
            ExecutionPath.KernelGraph => "CUDA graph of fused kernels",
            ExecutionPath.OneKernel => "one kernel a step",
            _ => "plain operations",
        };

    /// <inheritdoc/>
    public override string ToString() =>
        Reason is null ? $"{Stage}: {Description}" : $"{Stage}: {Description}, because {Reason.Split('\n')[0]}";
}

/// <summary>The ways to compute a stage, the slowest first.</summary>
public enum ExecutionPath
{
    /// <summary>Libtorch's operations, one after the other: the reference that the others are tested against.</summary>
    Plain,

    /// <summary>Libtorch's operations, recorded and launched at once.</summary>
    Graph,

    /// <summary>This library's kernels, each of which does the work of several operations.</summary>
    Fused,

    /// <summary>This library's kernels, recorded and launched at once.</summary>
    KernelGraph,

    /// <summary>A single kernel for a whole step.</summary>
    OneKernel,
}
