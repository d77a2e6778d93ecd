using System.Runtime.InteropServices;

namespace Fuzz;

/// <summary>How long a thread itself has worked: unlike a clock's time, it does not depend on what else the machine does.</summary>
public static partial class ProcessorTime
{
    private const int OfThread = 3; // CLOCK_THREAD_CPUTIME_ID of Linux

    /// <summary>What the calling thread has taken so far; where the system is not Linux, what the process has.</summary>
    public static TimeSpan Now
    {
        get
        {
            if (!OperatingSystem.IsLinux())
            {
                return Environment.CpuUsage.TotalTime;
            }

            return ClockGetTime(OfThread, out var time) == 0
                ? TimeSpan.FromSeconds(time.Seconds) + TimeSpan.FromMicroseconds(time.Nanoseconds / 1000.0)
                : throw new InvalidOperationException($"clock_gettime failed ({Marshal.GetLastPInvokeError()}).");
        }
    }

    /// <summary>What some work takes, at the best of some tries.</summary>
    public static TimeSpan Of(Action work, int tries = 3) =>
        Enumerable
            .Range(0, tries)
            .Min(_ =>
            {
                var before = Now;
                work();
                return Now - before;
            });

    [LibraryImport("libc", EntryPoint = "clock_gettime", SetLastError = true)]
    private static partial int ClockGetTime(int clock, out Time time);

    [StructLayout(LayoutKind.Sequential)]
    private struct Time
    {
        public nint Seconds,
            Nanoseconds;
    }
}
