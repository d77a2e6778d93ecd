using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Runtime.CompilerServices;

namespace Chatterbox.Audio.Ffmpeg;

/// <summary>ffmpeg as a stream: one process for each recording that is encoded, fed while it is made, killed when it is given up. Between
/// it and this process are two pipes alone, so that nothing piles up for a slow reader.</summary>
/// <remarks>A process takes longer to start than a model on a GPU to make its first chunk. So for each format that was asked for, one is
/// started ahead, which waits for the next recording.</remarks>
/// <param name="program">The program.</param>
internal sealed class FfmpegEncoder(FfmpegProgram program) : IDisposable
{
    private const int BufferBytes = 16 * 1024;

    private readonly ConcurrentDictionary<AudioFormat, Process> _ahead = new();
    private volatile bool _disposed;

    /// <summary>Encodes samples.</summary>
    /// <param name="samples">Blocks of float32 samples at the format's rate, as bytes.</param>
    /// <param name="begun">Completes when the first of them is near, or none will come: a process takes as long to start as a model to
    /// make the first word, and none is started while a request waits for its turn.</param>
    /// <param name="format">The format.</param>
    /// <param name="cancellationToken">Kills the process.</param>
    /// <returns>Blocks of bytes; each is good until the next is asked for.</returns>
    /// <exception cref="EncoderException">ffmpeg failed, or is not installed.</exception>
    public async IAsyncEnumerable<ReadOnlyMemory<byte>> Encode(
        IAsyncEnumerable<ReadOnlyMemory<byte>> samples,
        Task begun,
        AudioFormat format,
        [EnumeratorCancellation] CancellationToken cancellationToken
    )
    {
        var blocks = samples.GetAsyncEnumerator(cancellationToken);
        var first = blocks.MoveNextAsync().AsTask();
        await Task.WhenAny(begun, first).ConfigureAwait(false);
        if (first.IsCompleted && !(first.IsCompletedSuccessfully && await first.ConfigureAwait(false)))
        {
            await blocks.DisposeAsync().ConfigureAwait(false); // what ends before its turn needs no process
            await first.ConfigureAwait(false);
            yield break;
        }

        using var process = Take(format, first, blocks);
        await using var ending = blocks.ConfigureAwait(false);
        using var stopping = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var messages = FfmpegProgram.ReadMessages(process);
        var feeding = Feed(process, first, blocks, stopping.Token);
        try
        {
            var buffer = new byte[BufferBytes];
            int read;
            while ((read = await process.StandardOutput.BaseStream.ReadAsync(buffer, cancellationToken).ConfigureAwait(false)) > 0)
            {
                yield return buffer.AsMemory(0, read);
                StartAhead(format);
            }

            await feeding.ConfigureAwait(false);
            await process.WaitForExitAsync(cancellationToken).ConfigureAwait(false);
            if (process.ExitCode != 0)
            {
                throw new EncoderException($"ffmpeg ended with {process.ExitCode}: {await messages.ConfigureAwait(false)}");
            }
        }
        finally
        {
            await stopping.CancelAsync().ConfigureAwait(false);
            FfmpegProgram.Kill(process);
            await feeding.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            await process.WaitForExitAsync(CancellationToken.None).ConfigureAwait(false);
        }
    }

    /// <summary>Ends the processes that wait for a recording.</summary>
    public void Dispose()
    {
        _disposed = true;
        foreach (var format in _ahead.Keys)
        {
            EndAhead(format);
        }
    }

    // What comes of the first samples is not to wait for others.
    private static string[] Encoding(AudioFormat format) =>
        format.Codec switch
        {
            AudioCodec.Aac => ["-c:a", "aac", "-b:a", format.BitRate!.Value.ToString(CultureInfo.InvariantCulture), "-f", "adts"],
            _ => throw new ArgumentException($"{format.Name} is encoded in this process.", nameof(format)),
        };

    private static async Task Feed(
        Process process,
        Task<bool> first,
        IAsyncEnumerator<ReadOnlyMemory<byte>> blocks,
        CancellationToken cancellationToken
    )
    {
        try
        {
            var input = process.StandardInput.BaseStream;
            for (var more = await first.ConfigureAwait(false); more; more = await blocks.MoveNextAsync().ConfigureAwait(false))
            {
                await input.WriteAsync(blocks.Current, cancellationToken).ConfigureAwait(false);
                await input.FlushAsync(cancellationToken).ConfigureAwait(false);
            }

            process.StandardInput.Close();
        }
        catch (IOException e)
        {
            throw new EncoderException("ffmpeg closed its input early.", e);
        }
        catch
        {
            FfmpegProgram.Kill(process); // ends the reading of its output, so that the reason is seen
            throw;
        }
    }

    private static void End(Process process)
    {
        FfmpegProgram.Kill(process);
        process.Dispose();
    }

    /// <summary>A process for a recording. Where there is none, the recording ends once its caller, who gets the error, has given it
    /// up.</summary>
    private Process Take(AudioFormat format, Task first, IAsyncDisposable blocks)
    {
        if (_ahead.TryRemove(format, out var waiting))
        {
            if (!waiting.HasExited)
            {
                return waiting;
            }

            waiting.Dispose();
        }

        try
        {
            return Start(format);
        }
        catch (FfmpegMissingException e)
        {
            _ = EndAsync(first, blocks);
            throw new EncoderException($"{format.Name} needs ffmpeg: {e.Message}", e);
        }
    }

    private static async Task EndAsync(Task first, IAsyncDisposable blocks)
    {
        await first.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await blocks.DisposeAsync().ConfigureAwait(false);
    }

    /// <summary>Starts a process for the next recording, once the first bytes of this one are out: before, it would be in their
    /// way.</summary>
    private void StartAhead(AudioFormat format)
    {
        if (_disposed || _ahead.ContainsKey(format))
        {
            return;
        }

        Process process;
        try
        {
            process = Start(format);
        }
        catch (FfmpegMissingException)
        {
            return; // this recording has its process; the next one reports the error
        }

        if (!_ahead.TryAdd(format, process))
        {
            End(process);
        }
        else if (_disposed)
        {
            EndAhead(format);
        }
    }

    private void EndAhead(AudioFormat format)
    {
        if (_ahead.TryRemove(format, out var process))
        {
            End(process);
        }
    }

    private Process Start(AudioFormat format)
    {
        var rate = format.SampleRate.ToString(CultureInfo.InvariantCulture);
        return program.Start([
            "-probesize",
            "32",
            "-analyzeduration",
            "0",
            "-protocol_whitelist",
            "pipe",
            "-f",
            "f32le",
            "-ar",
            rate,
            "-ac",
            "1",
            "-i",
            "pipe:0",
            .. Encoding(format),
            "-map_metadata",
            "-1",
            "-fflags",
            "+bitexact",
            "-flags:a",
            "+bitexact",
            "-flush_packets",
            "1",
            "pipe:1",
        ]);
    }
}
