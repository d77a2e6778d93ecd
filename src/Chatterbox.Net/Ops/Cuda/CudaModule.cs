using System.Collections.Concurrent;
using System.Globalization;

namespace Chatterbox.Ops.Cuda;

/// <summary>The kernels of one source file, compiled for one GPU and one set of sizes.</summary>
/// <remarks>Kept for the life of the process: every model of the same sizes on the same GPU uses the same.</remarks>
internal sealed class CudaModule
{
    private const string Folder = "Chatterbox.Ops.Cuda.Kernels.";
    private const int LeastCapability = 80;

    private static readonly Lazy<(string Name, string Text)[]> Headers = new(() =>
        [.. typeof(CudaModule).Assembly.GetManifestResourceNames()
            .Where(name => name.StartsWith(Folder, StringComparison.Ordinal) && name.EndsWith(".cuh", StringComparison.Ordinal))
            .Select(name => (name[Folder.Length..], Read(name[Folder.Length..])))]);

    private static readonly ConcurrentDictionary<(string Source, string Sizes, int Device), Lazy<CudaModule>> Compiled = new();

    private readonly ConcurrentDictionary<string, CudaKernel> _kernels = new();
    private readonly nint _handle;

    private CudaModule(string source, IReadOnlyList<string> sizes, int device)
    {
        var capability = Capability(device);
        string[] options =
        [
            $"--gpu-architecture=sm_{capability}{(capability == 90 ? "a" : "")}", "--std=c++17", "--use_fast_math", "--extra-device-vectorization",
            .. sizes,
        ];
        var text = Read(source);
        var image = KernelCache.Default.Get(
            [Nvrtc.Version, source, text, .. Headers.Value.SelectMany(header => new[] { header.Name, header.Text }), .. options],
            () => Nvrtc.Compile(source, text, Headers.Value, options));
        using var context = CudaContext.Use(device);
        CudaDriver.Check(CudaDriver.ModuleLoadData(out _handle, image), $"Loading the kernels of {source}");
    }

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

    /// <summary>Why kernels cannot run on a device, or null.</summary>
    public static string? WhyNot(Device device) =>
        device.type != DeviceType.CUDA ? "the model is not on a GPU"
        : Capability(device.index) < LeastCapability ? "the GPU's compute capability is below 8.0"
        : null;

    /// <summary>Why the kernels of a source file cannot run on a device, or null: then they are compiled.</summary>
    /// <inheritdoc cref="Get"/>
    public static string? WhyNot(string source, Device device, params IEnumerable<(string Name, double Value)> sizes)
    {
        try
        {
            if (WhyNot(device) is { } reason)
            {
                return reason;
            }

            Get(source, device, sizes);
            return null;
        }
        catch (CudaException e)
        {
            return e.Message;   // no compiler for kernels here
        }
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

    private static string Read(string file)
    {
        using var stream = typeof(CudaModule).Assembly.GetManifestResourceStream(Folder + file)
            ?? throw new ArgumentException($"There is no kernel source {file}.", nameof(file));
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }
}
