using System.Collections.Concurrent;
using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Chatterbox.Service.Hosting;
using Microsoft.Extensions.Options;

namespace Chatterbox.Service.Streaming;

/// <summary>The encoder failed.</summary>
internal sealed class EncoderException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>ffmpeg as a stream: one process for each answer, fed while audio is made, killed when nobody listens. What is
/// between it and us is the two pipes, so nothing piles up behind a slow reader.</summary>
/// <remarks>A process takes longer to start than a model on a GPU to make its first chunk. So for each encoding that was asked for, one
/// is started ahead, which waits for the next answer.</remarks>
internal sealed class FfmpegEncoder(IOptions<ServiceOptions> options) : IDisposable
{
    private const int BufferBytes = 16 * 1024;

    private readonly string? _program = Find(options.Value.Ffmpeg);
    private readonly ConcurrentDictionary<IReadOnlyList<string>, Process> _ahead = new();   // by encoding
    private volatile bool _disposed;

    /// <summary>Whether the program is there.</summary>
    public bool IsAvailable => _program is not null;

    /// <summary>Encodes 24 kHz mono speech.</summary>
    /// <param name="speech">Blocks of samples.</param>
    /// <param name="begun">Completes when the first of them is near, or none will come: the process takes as long to start as
    /// a model to say the first word, and there is none while a request waits for its turn.</param>
    /// <param name="speed">Tempo; the pitch stays.</param>
    /// <param name="encoding">Arguments that choose codec and container.</param>
    /// <param name="cancel">Kills the process.</param>
    public async IAsyncEnumerable<ReadOnlyMemory<byte>> Encode(
        IAsyncEnumerable<float[]> speech, Task begun, double speed, IReadOnlyList<string> encoding, [EnumeratorCancellation] CancellationToken cancel)
    {
        await using var blocks = speech.GetAsyncEnumerator(cancel);
        var first = blocks.MoveNextAsync().AsTask();
        await Task.WhenAny(begun, first);
        if (first.IsCompleted && !await first) // what ends before its turn needs no process
        {
            yield break;
        }

        using var process = Take(speed, encoding);
        using var stopping = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        var complaint = ReadComplaint(process);
        var feeding = Feed(process, first, blocks, stopping.Token);
        try
        {
            var buffer = new byte[BufferBytes];
            int read;
            while ((read = await process.StandardOutput.BaseStream.ReadAsync(buffer, cancel)) > 0)
            {
                yield return buffer.AsMemory(0, read);
                StartAhead(speed, encoding);
            }

            await feeding;
            await process.WaitForExitAsync(cancel);
            if (process.ExitCode != 0)
            {
                throw new EncoderException($"ffmpeg ended with {process.ExitCode}: {await complaint}");
            }
        }
        finally
        {
            await stopping.CancelAsync();
            Kill(process);
            await feeding.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            await process.WaitForExitAsync(CancellationToken.None);
        }
    }

    /// <summary>Ends the processes that wait for an answer.</summary>
    public void Dispose()
    {
        _disposed = true;
        foreach (var encoding in _ahead.Keys)
        {
            EndAhead(encoding);
        }
    }

    /// <summary>atempo takes 0.5 to 2 without dropping samples; beyond, it is used twice.</summary>
    private static string Tempo(double speed)
    {
        var filters = speed is >= 0.5 and <= 2 ? 1 : 2;
        var each = Math.Pow(speed, 1.0 / filters).ToString("0.000000", CultureInfo.InvariantCulture);
        return string.Join(',', Enumerable.Repeat($"atempo={each}", filters));
    }

    private static async Task Feed(Process process, Task<bool> first, IAsyncEnumerator<float[]> blocks, CancellationToken cancel)
    {
        try
        {
            var input = process.StandardInput.BaseStream;
            for (var more = await first; more; more = await blocks.MoveNextAsync())
            {
                await input.WriteAsync(MemoryMarshal.AsBytes(blocks.Current.AsSpan()).ToArray(), cancel);
                await input.FlushAsync(cancel);
            }

            process.StandardInput.Close();
        }
        catch (IOException e)
        {
            throw new EncoderException("ffmpeg closed its input early.", e);
        }
        catch
        {
            Kill(process); // ends the reading of its output, so that the reason is seen
            throw;
        }
    }

    private static async Task<string> ReadComplaint(Process process)
    {
        var kept = "";
        var buffer = new char[512];
        int read;
        while ((read = await process.StandardError.ReadAsync(buffer)) > 0)
        {
            kept = kept.Length < 2000 ? kept + new string(buffer, 0, read) : kept;
        }

        return kept.Trim();
    }

    private static void End(Process process)
    {
        Kill(process);
        process.Dispose();
    }

    private static void Kill(Process process)
    {
        try
        {
            process.Kill();
        }
        catch (InvalidOperationException)
        {
            // It has ended.
        }
    }

    private static string? Find(string program) => program.Contains(Path.DirectorySeparatorChar)
        ? File.Exists(program) ? program : null
        : (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
            .Select(folder => Path.Combine(folder, OperatingSystem.IsWindows() ? program + ".exe" : program))
            .FirstOrDefault(File.Exists);

    private Process Take(double speed, IReadOnlyList<string> encoding)
    {
        if (speed == 1 && _ahead.TryRemove(encoding, out var waiting))
        {
            if (!waiting.HasExited)
            {
                return waiting;
            }

            waiting.Dispose();
        }

        return Start(speed, encoding);
    }

    /// <summary>Starts a process for the next answer, once the first bytes of this one are out: before, it would be in their way. At
    /// another tempo than speech's own, which hardly two answers share, none waits.</summary>
    private void StartAhead(double speed, IReadOnlyList<string> encoding)
    {
        if (speed != 1 || _disposed || _ahead.ContainsKey(encoding))
        {
            return;
        }

        Process process;
        try
        {
            process = Start(speed, encoding);
        }
        catch (Win32Exception)
        {
            return; // This answer has its own; the next one says what is wrong.
        }

        if (!_ahead.TryAdd(encoding, process))
        {
            End(process);
        }
        else if (_disposed)
        {
            EndAhead(encoding);
        }
    }

    private void EndAhead(IReadOnlyList<string> encoding)
    {
        if (_ahead.TryRemove(encoding, out var process))
        {
            End(process);
        }
    }

    private Process Start(double speed, IReadOnlyList<string> encoding)
    {
        string[] input = ["-hide_banner", "-loglevel", "error", "-nostats", "-probesize", "32", "-analyzeduration", "0",
            "-f", "f32le", "-ar", "24000", "-ac", "1", "-i", "pipe:0"];
        string[] tempo = speed == 1 ? [] : ["-af", Tempo(speed)];
        string[] output = ["-map_metadata", "-1", "-fflags", "+bitexact", "-flags:a", "+bitexact", "-flush_packets", "1", "pipe:1"];
        var start = new ProcessStartInfo(_program!)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
        };
        foreach (var argument in (string[])[.. input, .. tempo, .. encoding, .. output])
        {
            start.ArgumentList.Add(argument);
        }

        return Process.Start(start)!;
    }
}
