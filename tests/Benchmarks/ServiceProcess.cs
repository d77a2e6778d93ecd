using System.Diagnostics;

namespace Chatterbox.Benchmarks;

/// <summary>The real service in a process of its own: this program, told to serve until its input ends.</summary>
internal sealed class ServiceProcess : IAsyncDisposable
{
    private const string Listening = "Now listening on: ";

    private readonly Task _log;

    private ServiceProcess(Process process, Uri address)
    {
        (Process, Address) = (process, address);
        _log = process.StandardOutput.ReadToEndAsync(); // or it would stand still once its output is full
    }

    /// <summary>The process.</summary>
    public Process Process { get; }

    /// <summary>Where it listens.</summary>
    public Uri Address { get; }

    /// <summary>Starts it.</summary>
    /// <param name="arguments">What this program is told, so that it serves.</param>
    public static async Task<ServiceProcess> Start(params string[] arguments)
    {
        var process = Process.Start(
            new ProcessStartInfo(Environment.ProcessPath!, arguments) { RedirectStandardInput = true, RedirectStandardOutput = true }
        )!;
        var log = "";
        while (await process.StandardOutput.ReadLineAsync() is { } line)
        {
            log += $"{line}\n";
            if (line.IndexOf(Listening, StringComparison.Ordinal) is var at and >= 0)
            {
                return new(process, new Uri(line[(at + Listening.Length)..]));
            }
        }

        throw new InvalidOperationException($"The service did not start. Its log:\n{log}");
    }

    /// <summary>Waits until its model is loaded.</summary>
    public async Task UntilReady()
    {
        using var http = new HttpClient { BaseAddress = Address };
        while (!(await http.GetAsync(new Uri("/health/ready", UriKind.Relative))).IsSuccessStatusCode)
        {
            await Task.Delay(100);
        }
    }

    /// <summary>Serves what <paramref name="service"/> serves until the input ends.</summary>
    public static async Task<int> Serve(Task<int> service)
    {
        await Task.WhenAny(service, Task.Run(Console.In.ReadToEnd)); // its ReadToEndAsync would not return before the end
        return service.IsCompleted ? await service : 0;
    }

    /// <summary>Ends it.</summary>
    public async ValueTask DisposeAsync()
    {
        Process.StandardInput.Close();
        await _log;
        await Process.WaitForExitAsync();
        Process.Dispose();
    }
}
