using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Fuzz.Service;

/// <summary>The real service with the tiny model, in a process of its own, which can be measured and killed.</summary>
internal sealed class ServiceProgram : IDisposable
{
    private const int KeptLines = 50;
    private static readonly TimeSpan LongestStart = TimeSpan.FromMinutes(10);

    private static readonly string Executable = Path.Combine(AppContext.BaseDirectory, "Chatterbox.Service");

    private readonly Process _process;
    private readonly ConcurrentQueue<string> _log = new();
    private bool _isDisposed;

    private ServiceProgram(Process process, Uri address)
    {
        (_process, Address) = (process, address);
        process.OutputDataReceived += (_, e) => Keep(e.Data);
        process.ErrorDataReceived += (_, e) => Keep(e.Data);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
    }

    /// <summary>Where it listens.</summary>
    public Uri Address { get; }

    /// <summary>Whether it runs.</summary>
    public bool IsAlive => !_process.HasExited;

    /// <summary>The end of its log.</summary>
    public string Log => string.Join('\n', _log);

    /// <summary>Memory that it holds, MB.</summary>
    public double Megabytes
    {
        get
        {
            _process.Refresh();
            return _process.WorkingSet64 / 1e6;
        }
    }

    /// <summary>Files, pipes and sockets that it has open.</summary>
    public int Handles => Directory.GetFileSystemEntries($"/proc/{_process.Id}/fd").Length;

    /// <summary>Its threads.</summary>
    public int Threads => Directory.GetDirectories($"/proc/{_process.Id}/task").Length;

    /// <summary>Starts it, and waits until it speaks.</summary>
    /// <param name="folder">Holds its voices and its finished files, in the folders voices and audio.</param>
    /// <param name="settings">Further settings, by the names of environment variables.</param>
    /// <exception cref="InvalidOperationException">It does not start.</exception>
    public static Task<ServiceProgram> StartAsync(string folder, params (string Name, string Value)[] settings) =>
        StartAsync(new ProcessStartInfo(Executable), folder, settings);

    /// <summary>Starts it where only so many files may be open.</summary>
    /// <inheritdoc cref="StartAsync(string, ValueTuple{string, string}[])"/>
    public static Task<ServiceProgram> StartWithFewFilesAsync(
        int openFiles,
        string folder,
        params (string Name, string Value)[] settings
    ) => StartAsync(new ProcessStartInfo("bash", ["-c", $"ulimit -n {openFiles}; exec \"$0\"", Executable]), folder, settings);

    private static async Task<ServiceProgram> StartAsync(ProcessStartInfo start, string folder, (string Name, string Value)[] settings)
    {
        var port = FreePort();
        start.RedirectStandardOutput = start.RedirectStandardError = true;
        foreach (
            var (name, value) in ((string Name, string Value)[])
                [
                    ("Model", "tiny"),
                    ("Device", "cpu"),
                    ("Service__Address", "127.0.0.1"),
                    ("Service__Port", port.ToString(CultureInfo.InvariantCulture)),
                    ("Service__VoicesFolder", Path.Combine(folder, "voices")),
                    ("Service__AudioFolder", Path.Combine(folder, "audio")),
                    ("Voices__UploadsEnabled", "true"),
                    .. settings,
                ]
        )
        {
            start.Environment[name] = value;
        }

        var program = new ServiceProgram(Process.Start(start)!, new Uri($"http://127.0.0.1:{port}"));
        using var http = new HttpClient { BaseAddress = program.Address, Timeout = TimeSpan.FromSeconds(10) };
        for (var clock = Stopwatch.StartNew(); clock.Elapsed < LongestStart && program.IsAlive; await Task.Delay(50))
        {
            try
            {
                using var ready = await http.GetAsync(new Uri("/health/ready", UriKind.Relative));
                if (ready.IsSuccessStatusCode)
                {
                    return program;
                }
            }
            catch (Exception e) when (e is HttpRequestException or SocketException or TaskCanceledException)
            {
                // Not yet.
            }
        }

        var log = program.Log;
        program.Dispose();
        throw new InvalidOperationException($"The service did not start. Its log:\n{log}");
    }

    /// <summary>Sends it a signal, by its short name: TERM.</summary>
    public void Signal(string name)
    {
        using var kill = Process.Start("kill", [$"-{name}", _process.Id.ToString(CultureInfo.InvariantCulture)]);
        kill.WaitForExit();
    }

    /// <summary>Waits for its end.</summary>
    /// <returns>Its exit code; 128 and the number of a signal that it died of.</returns>
    public async Task<int> EndAsync(TimeSpan limit)
    {
        await _process.WaitForExitAsync().WaitAsync(limit);
        return _process.ExitCode;
    }

    /// <summary>Kills it.</summary>
    public void Dispose()
    {
        if (_isDisposed)
        {
            return;
        }

        _isDisposed = true;
        _process.Kill(entireProcessTree: true);
        _process.WaitForExit();
        _process.Dispose();
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private void Keep(string? line)
    {
        if (line is not null)
        {
            _log.Enqueue(line);
            while (_log.Count > KeptLines)
            {
                _log.TryDequeue(out var _);
            }
        }
    }
}
