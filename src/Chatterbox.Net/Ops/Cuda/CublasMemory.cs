using System.Runtime.InteropServices;

namespace Chatterbox.Ops.Cuda;

/// <summary>The memory of a GPU that torch keeps for cuBLAS.</summary>
internal static partial class CublasMemory
{
    /// <summary>Has torch keep little, where the process's environment does not say how much. By itself it keeps 32 MiB on compute
    /// capability 9.0 for each stream of each thread that multiplies matrices: four times as much for one model, for products
    /// that are no faster by it. To be called before the first of them.</summary>
    public static void Limit()
    {
        if (OperatingSystem.IsLinux())
        {
            // Not by .NET's function, which changes a copy that native libraries do not see.
            _ = SetEnvironment("CUBLAS_WORKSPACE_CONFIG", ":16:8", overwrite: 0);
            _ = SetEnvironment("CUBLASLT_WORKSPACE_SIZE", "0", overwrite: 0);
        }
    }

    [LibraryImport("libc", EntryPoint = "setenv", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int SetEnvironment(string name, string value, int overwrite);
}
