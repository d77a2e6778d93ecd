using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Runtime.Versioning;

namespace Chatterbox.Audio.Ffmpeg;

/// <summary>What a process of ffmpeg may take, held by the kernel; on Linux only.</summary>
internal static partial class ProcessLimits
{
    /// <summary>Processor time for one recording, seconds.</summary>
    public const int UsualSeconds = 120;

    private const int Seconds = 0; // RLIMIT_CPU
    private const int FileBytes = 1; // RLIMIT_FSIZE
    private const int OpenFiles = 7; // RLIMIT_NOFILE
    private const int AddressBytes = 9; // RLIMIT_AS

    private static readonly (int Resource, ulong Most)[] All =
    [
        (FileBytes, 1UL << 30),
        (OpenFiles, 64),
        (AddressBytes, 2UL << 30), // its libraries alone map 0.3 GB
    ];

    /// <summary>Limits a process that has just been started.</summary>
    /// <param name="process">The process.</param>
    /// <param name="seconds">Processor time that it may take.</param>
    public static void Apply(Process process, int seconds)
    {
        if (OperatingSystem.IsLinux())
        {
            foreach (var (resource, most) in All.Append((Seconds, (ulong)seconds)))
            {
                Set(process.Id, resource, new Limit { Soft = most, Hard = most }, 0); // fails where the process has ended
            }
        }
    }

    [SupportedOSPlatform("linux")]
    [LibraryImport("libc", EntryPoint = "prlimit")]
    private static partial int Set(int process, int resource, in Limit limit, nint old);

    private struct Limit
    {
        public ulong Soft;
        public ulong Hard;
    }
}
