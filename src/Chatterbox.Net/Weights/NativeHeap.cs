using System.Runtime.InteropServices;

namespace Chatterbox.Weights;

/// <summary>The C library's heap, which libtorch takes its memory from.</summary>
internal static partial class NativeHeap
{
    /// <summary>Gives freed memory back to the system. glibc keeps tensors of up to 32 MB, which nearly all weights are, for
    /// whoever asks next: without this, gigabytes stay with the process when a model is gone.</summary>
    public static void Trim()
    {
        if (OperatingSystem.IsLinux())
        {
            try
            {
                _ = MallocTrim(0);
            }
            catch (EntryPointNotFoundException)
            {
                // Another C library, with habits of its own.
            }
        }
    }

    [LibraryImport("libc", EntryPoint = "malloc_trim")]
    private static partial int MallocTrim(nuint padding);
}
