using System.Collections.Concurrent;

namespace Chatterbox.Ops.Cuda;

/// <summary>The kernels of one source file, compiled for one GPU and one set of sizes.</summary>
/// <remarks>Kept for the life of the process: every model of the same sizes on the same GPU uses the same.</remarks>
internal sealed class CudaModule
{
    private const int LeastCapability = 80;

    private static readonly ConcurrentDictionary<(string Source, string Defines, int Device), Lazy<CudaModule>> Compiled = new();

    private readonly ConcurrentDictionary<string, CudaKernel> _kernels = new();
    private readonly nint _handle;

    private CudaModule(KernelSource source, IReadOnlyList<string> defines, int device)
    {
        var capability = Capability(device);
        string[] options =
        [
            $"--gpu-architecture=sm_{capability}{(capability == 90 ? "a" : "")}",
            "--std=c++17",
            "--use_fast_math",
            "--extra-device-vectorization",
            .. defines,
        ];
        var text = source.CheckedText;
        var image = KernelCache.Default.Get(
            [
                Nvrtc.Version,
                source.File,
                text,
                .. KernelSource.Headers.SelectMany(header => new[] { header.Name, header.Text }),
                .. options,
            ],
            () => Nvrtc.Compile(source.File, text, KernelSource.Headers, options)
        );
        using var context = CudaContext.Use(device);
        CudaDriver.Check(CudaDriver.ModuleLoadData(out _handle, image), $"Loading the kernels of {source.File}");
    }

    /// <summary>The kernels of a source file for some sizes; compiled when they are first asked for.</summary>
    /// <param name="source">The source.</param>
    /// <param name="device">The GPU.</param>
    /// <param name="sizes">Constants of the source that differ from model to model, and their values.</param>
    /// <exception cref="CudaException">They do not compile.</exception>
    public static CudaModule Get(KernelSource source, Device device, params IEnumerable<(string Name, double Value)> sizes)
    {
        string[] defines = [.. source.Defines(sizes)];
        return Compiled
            .GetOrAdd((source.File, string.Join(' ', defines), device.index), key => new(() => new(source, defines, device.index)))
            .Value;
    }

    /// <summary>Why kernels cannot run on a device, or null.</summary>
    public static string? UnsupportedReason(Device device) =>
        device.type != DeviceType.CUDA ? "the model is not on a GPU"
        : Capability(device.index) < LeastCapability ? "the GPU's compute capability is below 8.0"
        : null;

    /// <summary>Why the kernels of a source file cannot run on a device, or null: then they are compiled.</summary>
    /// <inheritdoc cref="Get"/>
    public static string? UnsupportedReason(KernelSource source, Device device, params IEnumerable<(string Name, double Value)> sizes)
    {
        try
        {
            if (UnsupportedReason(device) is { } reason)
            {
                return reason;
            }

            Get(source, device, sizes);
            return null;
        }
        catch (CudaException e)
        {
            return e.Message; // no compiler for kernels here
        }
    }

    /// <summary>Compute capability, such as 90.</summary>
    public static int Capability(int device) =>
        (10 * CudaDriver.Attribute(DeviceAttribute.CapabilityMajor, device))
        + CudaDriver.Attribute(DeviceAttribute.CapabilityMinor, device);

    /// <summary>A kernel by its name in the source.</summary>
    public CudaKernel this[string name] =>
        _kernels.GetOrAdd(
            name,
            _ =>
            {
                CudaDriver.Check(CudaDriver.ModuleGetFunction(out var function, _handle, name), $"Finding the kernel {name}");
                return new(function);
            }
        );
}
