using System.Runtime.InteropServices;
using System.Text;

namespace Chatterbox.Ops.Cuda;

/// <summary>NVIDIA's run-time compiler: CUDA C++ to machine code of the GPU at hand.</summary>
/// <remarks>libtorch brings the compiler under names that differ by version; its own libcaffe2_nvrtc is linked with it, so
/// that the compiler's functions are found through that one.</remarks>
internal static unsafe class Nvrtc
{
    private static readonly Lazy<Functions> Loaded = new(() => new Functions(), LazyThreadSafetyMode.PublicationOnly);

    /// <summary>The compiler's version, such as 13.0.</summary>
    /// <exception cref="CudaException">The compiler is not there.</exception>
    public static string Version
    {
        get
        {
            int major,
                minor;
            Check(Loaded.Value.Version(&major, &minor), "nvrtcVersion");
            return $"{major}.{minor}";
        }
    }

    /// <summary>The same, or null where the compiler is not there.</summary>
    public static string? TryGetVersion()
    {
        try
        {
            return Version;
        }
        catch (CudaException)
        {
            return null;
        }
    }

    /// <summary>Compiles a program.</summary>
    /// <param name="name">Its name, for messages.</param>
    /// <param name="source">CUDA C++.</param>
    /// <param name="headers">Names and texts of the headers that it may include.</param>
    /// <param name="options">The compiler's options.</param>
    /// <returns>Machine code.</returns>
    /// <exception cref="CudaException">The compiler is not there, or does not accept the program.</exception>
    public static byte[] Compile(string name, string source, IReadOnlyList<(string Name, string Text)> headers, IEnumerable<string> options)
    {
        var nvrtc = Loaded.Value;
        string[] texts = [source, name, .. headers.Select(header => header.Text), .. headers.Select(header => header.Name), .. options];
        var strings = texts.Select(Marshal.StringToCoTaskMemUTF8).ToArray();
        var (names, rest) = (2 + headers.Count, 2 + (2 * headers.Count)); // where the headers' names begin, and the options
        nint program = 0;
        try
        {
            int result;
            fixed (nint* text = strings)
            {
                Check(nvrtc.CreateProgram(&program, text[0], text[1], headers.Count, text + 2, text + names), "nvrtcCreateProgram");
                result = nvrtc.CompileProgram(program, strings.Length - rest, text + rest);
            }

            if (result != 0)
            {
                var log = Read(program, nvrtc.GetProgramLogSize, nvrtc.GetProgramLog);
                throw new CudaException(
                    $"The kernels of {name} do not compile for this GPU:\n{Encoding.UTF8.GetString(log).TrimEnd('\0')}"
                );
            }

            return Read(program, nvrtc.GetCubinSize, nvrtc.GetCubin);
        }
        finally
        {
            if (program != 0)
            {
                _ = nvrtc.DestroyProgram(&program);
            }

            foreach (var text in strings)
            {
                Marshal.FreeCoTaskMem(text);
            }
        }
    }

    private static byte[] Read(nint program, delegate* unmanaged<nint, nuint*, int> sizeOf, delegate* unmanaged<nint, byte*, int> copy)
    {
        nuint size;
        Check(sizeOf(program, &size), "nvrtc's size");
        var bytes = new byte[size];
        fixed (byte* target = bytes)
        {
            Check(copy(program, target), "nvrtc's result");
        }

        return bytes;
    }

    private static void Check(int result, string call)
    {
        if (result != 0)
        {
            throw new CudaException($"{call} failed ({result}).");
        }
    }

    private sealed class Functions
    {
        public readonly delegate* unmanaged<int*, int*, int> Version;
        public readonly delegate* unmanaged<nint*, nint, nint, int, nint*, nint*, int> CreateProgram;
        public readonly delegate* unmanaged<nint, int, nint*, int> CompileProgram;
        public readonly delegate* unmanaged<nint, nuint*, int> GetCubinSize,
            GetProgramLogSize;
        public readonly delegate* unmanaged<nint, byte*, int> GetCubin,
            GetProgramLog;
        public readonly delegate* unmanaged<nint*, int> DestroyProgram;

        public Functions()
        {
            if (!NativeLibrary.TryLoad("libcaffe2_nvrtc.so", typeof(torch).Assembly, null, out var library))
            {
                throw new CudaException("libcaffe2_nvrtc.so, which comes with libtorch for CUDA, cannot be loaded.");
            }

            Version = (delegate* unmanaged<int*, int*, int>)Export("nvrtcVersion");
            CreateProgram = (delegate* unmanaged<nint*, nint, nint, int, nint*, nint*, int>)Export("nvrtcCreateProgram");
            CompileProgram = (delegate* unmanaged<nint, int, nint*, int>)Export("nvrtcCompileProgram");
            GetCubinSize = (delegate* unmanaged<nint, nuint*, int>)Export("nvrtcGetCUBINSize");
            GetCubin = (delegate* unmanaged<nint, byte*, int>)Export("nvrtcGetCUBIN");
            GetProgramLogSize = (delegate* unmanaged<nint, nuint*, int>)Export("nvrtcGetProgramLogSize");
            GetProgramLog = (delegate* unmanaged<nint, byte*, int>)Export("nvrtcGetProgramLog");
            DestroyProgram = (delegate* unmanaged<nint*, int>)Export("nvrtcDestroyProgram");

            nint Export(string name) =>
                NativeLibrary.TryGetExport(library, name, out var address)
                    ? address
                    : throw new CudaException($"The CUDA compiler that came with libtorch lacks {name}.");
        }
    }
}
