using System.Collections.Concurrent;
using System.Globalization;

namespace Chatterbox.Ops.Cuda;

/// <summary>The kernels of one source file, compiled for one GPU and one set of sizes.</summary>
/// <remarks>Kept for the life of the process: every model of the same sizes on the same GPU uses the same.</remarks>
internal sealed class CudaModule
{
    private static readonly ConcurrentDictionary<(string Source, string Sizes, int Device), Lazy<CudaModule>> Compiled = new();

    private readonly ConcurrentDictionary<string, CudaKernel> _kernels = new();
    private readonly nint _handle;

    private CudaModule(string source, IReadOnlyList<string> sizes, int device)
    {
        Device = device;
        var capability = Capability(device);
        string[] options =
        [
            $"--gpu-architecture=sm_{capability}{(capability == 90 ? "a" : "")}", "--std=c++17", "--use_fast_math", "--extra-device-vectorization",
            .. sizes,
        ];
        using var stream = typeof(CudaModule).Assembly.GetManifestResourceStream($"Chatterbox.Ops.Cuda.Kernels.{source}")
            ?? throw new ArgumentException($"There is no kernel source {source}.", nameof(source));
        using var reader = new StreamReader(stream);
        var image = Nvrtc.Compile(source, reader.ReadToEnd(), options);
        using var context = CudaContext.Use(device);
        CudaDriver.Check(CudaDriver.ModuleLoadData(out _handle, image), $"Loading the kernels of {source}");
    }

    /// <summary>Index of the GPU.</summary>
    public int Device { get; }

    /// <summary>The kernels of a source file for some sizes; compiled when they are first asked for.</summary>
    /// <param name="source">File name of the source.</param>
    /// <param name="device">The GPU.</param>
    /// <param name="sizes">Constants of the source and their values.</param>
    /// <exception cref="CudaException">They do not compile.</exception>
    public static CudaModule Get(string source, Device device, params IEnumerable<(string Name, double Value)> sizes)
    {
        string[] options = [.. sizes.Select(size => string.Create(CultureInfo.InvariantCulture, $"-D{size.Name}={size.Value}"))];
        return Compiled.GetOrAdd((source, string.Join(' ', options), device.index), key => new(() => new(source, options, device.index))).Value;
    }

    /// <summary>Compute capability, such as 90.</summary>
    public static int Capability(int device) =>
        (10 * CudaDriver.Attribute(DeviceAttribute.CapabilityMajor, device)) + CudaDriver.Attribute(DeviceAttribute.CapabilityMinor, device);

    /// <summary>A kernel by its name in the source.</summary>
    public CudaKernel this[string name] => _kernels.GetOrAdd(name, _ =>
    {
        CudaDriver.Check(CudaDriver.ModuleGetFunction(out var function, _handle, name), $"Finding the kernel {name}");
        return new(function);
    });
}
