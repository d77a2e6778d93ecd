using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Chatterbox.Service.Hosting;

/// <summary>The first signal to end lets the service finish what it has begun; a second one ends the process at once. Files are whole
/// or not there, whenever that is.</summary>
internal static class SecondSignal
{
    /// <summary>Counts signals until it is disposed.</summary>
    public static IDisposable EndsAtOnce()
    {
        var signals = 0;
        return new Registrations(
            new[] { PosixSignal.SIGTERM, PosixSignal.SIGINT }
                .Select(signal =>
                    PosixSignalRegistration.Create(
                        signal,
                        _ =>
                        {
                            if (Interlocked.Increment(ref signals) == 2)
                            {
                                Process.GetCurrentProcess().Kill();
                            }
                        }
                    )
                )
                .ToList()
        );
    }

    private sealed class Registrations(IReadOnlyList<PosixSignalRegistration> all) : IDisposable
    {
        public void Dispose()
        {
            foreach (var registration in all)
            {
                registration.Dispose();
            }
        }
    }
}
