using System.Diagnostics;
using System.IO.Pipelines;

namespace Chatterbox.Audio.Ffmpeg;

/// <summary>Decodes with ffmpeg what is not decoded in this process.</summary>
/// <remarks>ffmpeg is given bytes through a pipe and gives samples through another. It may open nothing else: no file, no address; the
/// format is set from the file's content; time, memory and output are limited; it is killed as soon as its output is of no use any
/// more.</remarks>
/// <param name="program">The program.</param>
internal sealed class FfmpegDecoder(FfmpegProgram program)
{
    private const int BlockBytes = 1 << 16;

    private static readonly TimeSpan Longest = TimeSpan.FromMinutes(2);

    /// <summary>Decodes the first audio stream of a file.</summary>
    /// <param name="stream">The file's bytes from its first one on.</param>
    /// <param name="demuxer">Of which format they are.</param>
    /// <param name="source">What the recording is called, and how long it may be.</param>
    /// <exception cref="VoiceException">It is no audio, damaged or too long.</exception>
    /// <exception cref="FfmpegMissingException">ffmpeg is not installed.</exception>
    public AudioClip Decode(Stream stream, string demuxer, RecordingSource source)
    {
        // A pipe cannot seek; demuxers that must do so keep its bytes in an unnamed file (ffmpeg's protocol 'cache').
        var (protocols, input) = demuxer == FfmpegDemuxer.Mov ? ("cache,pipe", "cache:pipe:0") : ("pipe", "pipe:0");
        using var process = program.Start([
            "-threads",
            "1",
            "-protocol_whitelist",
            protocols,
            "-f",
            demuxer,
            "-i",
            input,
            "-map",
            "0:a:0",
            "-threads",
            "1",
            "-c:a",
            "pcm_f32le",
            "-f",
            "wav",
            "pipe:1",
        ]);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(source.Cancel);
        limit.CancelAfter(Longest);
        using var killing = limit.Token.Register(() => FfmpegProgram.Kill(process));
        var messages = FfmpegProgram.ReadMessages(process);
        var feeding = Task.Run(() => Feed(stream, process, limit.Token), CancellationToken.None);
        try
        {
            return Receive(process, messages, source);
        }
        catch (Exception) when (limit.IsCancellationRequested)
        {
            source.Cancel.ThrowIfCancellationRequested();
            throw new VoiceException(
                $"{source.Name}: ffmpeg did not decode it within {Longest.TotalMinutes} minutes. Convert it to 16-bit WAV."
            );
        }
        finally
        {
            FfmpegProgram.Kill(process);
            process.WaitForExit();
            feeding.GetAwaiter().GetResult();
        }
    }

    // ffmpeg sends a WAV header with the rate and the channels, which are mixed here: ffmpeg weighs those of surround sound.
    private static AudioClip Receive(Process process, Task<string> messages, RecordingSource source)
    {
        var output = PipeReader.Create(process.StandardOutput.BaseStream);
        var first = output.ReadAsync().AsTask().GetAwaiter().GetResult();
        output.AdvanceTo(first.Buffer.Start);
        var clip = first.Buffer.IsEmpty ? null : WavReader.Read(output.AsStream(), source);
        process.WaitForExit();
        return process.ExitCode == 0 && clip is not null
            ? clip
            : throw new VoiceException(
                $"{source.Name}: ffmpeg cannot decode it ({LastLine(messages)}). Convert it to 16-bit WAV, or choose another recording."
            );
    }

    private static string LastLine(Task<string> messages) =>
        messages.GetAwaiter().GetResult().Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)
            is [.., var last]
            ? last
            : "it reports no reason";

    private static void Feed(Stream stream, Process process, CancellationToken cancellationToken)
    {
        try
        {
            var block = new byte[BlockBytes];
            var input = process.StandardInput.BaseStream;
            for (int read; !cancellationToken.IsCancellationRequested && (read = stream.Read(block)) > 0; )
            {
                input.Write(block.AsSpan(0, read));
            }

            process.StandardInput.Close();
        }
        catch (Exception e) when (e is IOException or InvalidOperationException or ObjectDisposedException)
        {
            // ffmpeg has all it wants, or has ended: its exit code says which.
        }
    }
}
