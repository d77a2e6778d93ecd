using System.Diagnostics;
using System.Globalization;
using System.Text;

namespace Chatterbox.Audio.Ffmpeg;

/// <summary>Writes audiobooks with ffmpeg: MP4 has its index at the beginning, which is known at the end, so that ffmpeg needs a
/// file.</summary>
/// <remarks>ffmpeg may open three things: the pipe that the samples come from, the list of chapters that is written here, and its output.
/// The formats of both inputs are given, none is guessed.</remarks>
/// <param name="program">The program.</param>
internal sealed class FfmpegBook(FfmpegProgram program)
{
    private const int MostSeconds = 12 * 3600; // of processor time: a long book on a slow one
    private const int NoSpace = 28; // the operating system's number of that error
    private const string BitRate = "64k";

    /// <summary>Writes one.</summary>
    /// <param name="path">The file.</param>
    /// <param name="samples">Blocks of float32 samples at 24 kHz, as bytes.</param>
    /// <param name="title">Its title.</param>
    /// <param name="chapters">Its chapters.</param>
    /// <param name="cancellationToken">Kills the process.</param>
    /// <exception cref="EncoderException">ffmpeg failed, or was removed.</exception>
    /// <exception cref="IOException">The disk is full.</exception>
    public async Task WriteAsync(
        string path,
        IAsyncEnumerable<ReadOnlyMemory<byte>> samples,
        string title,
        IReadOnlyList<AudioChapter> chapters,
        CancellationToken cancellationToken
    )
    {
        var list = $"{path}.chapters";
        await File.WriteAllTextAsync(list, Metadata(title, chapters), cancellationToken).ConfigureAwait(false);
        try
        {
            using var process = Start(path, list);
            using var killing = cancellationToken.Register(() => FfmpegProgram.Kill(process));
            var messages = FfmpegProgram.ReadMessages(process);
            try
            {
                await FeedAsync(process, samples, cancellationToken).ConfigureAwait(false);
                await process.WaitForExitAsync(cancellationToken).ConfigureAwait(false);
            }
            finally
            {
                FfmpegProgram.Kill(process);
            }

            if (process.ExitCode != 0)
            {
                throw Failure(await messages.ConfigureAwait(false));
            }
        }
        finally
        {
            File.Delete(list);
        }
    }

    /// <summary>Title and chapters as ffmpeg reads them.</summary>
    internal static string Metadata(string title, IReadOnlyList<AudioChapter> chapters)
    {
        var text = new StringBuilder(";FFMETADATA1\n");
        text.Append(CultureInfo.InvariantCulture, $"title={Escape(title)}\nalbum={Escape(title)}\ngenre=Audiobook\n");
        foreach (var chapter in chapters)
        {
            var (start, end) = ((long)(chapter.StartSeconds * 1000), (long)(chapter.EndSeconds * 1000));
            text.Append(
                CultureInfo.InvariantCulture,
                $"[CHAPTER]\nTIMEBASE=1/1000\nSTART={start}\nEND={end}\ntitle={Escape(chapter.Title)}\n"
            );
        }

        return text.ToString();
    }

    private static string Escape(string text) =>
        string.Concat(
            text.Select(character =>
                character switch
                {
                    '=' or ';' or '#' or '\\' => $"\\{character}",
                    _ when char.IsControl(character) => " ",
                    _ => $"{character}",
                }
            )
        );

    private static async Task FeedAsync(
        Process process,
        IAsyncEnumerable<ReadOnlyMemory<byte>> samples,
        CancellationToken cancellationToken
    )
    {
        var input = process.StandardInput.BaseStream;
        await foreach (var block in samples.WithCancellation(cancellationToken).ConfigureAwait(false))
        {
            try
            {
                await input.WriteAsync(block, cancellationToken).ConfigureAwait(false);
            }
            catch (IOException)
            {
                return; // ffmpeg has ended: its exit code and messages say why
            }
        }

        process.StandardInput.Close();
    }

    private static Exception Failure(string messages) =>
        messages.Contains("No space left", StringComparison.Ordinal)
            ? new IOException("ffmpeg could not write the audiobook: the disk is full.", NoSpace)
            : new EncoderException($"ffmpeg could not write the audiobook: {messages}");

    private Process Start(string path, string list)
    {
        try
        {
            return program.Start(
                [
                    "-protocol_whitelist",
                    "pipe",
                    "-f",
                    "f32le",
                    "-ar",
                    SpeechResult.SampleRate.ToString(CultureInfo.InvariantCulture),
                    "-ac",
                    "1",
                    "-i",
                    "pipe:0",
                    "-protocol_whitelist",
                    "file",
                    "-f",
                    "ffmetadata",
                    "-i",
                    $"file:{list}",
                    "-map",
                    "0:a",
                    "-map_metadata",
                    "1",
                    "-map_chapters",
                    "1",
                    "-threads",
                    "1",
                    "-c:a",
                    "aac",
                    "-b:a",
                    BitRate,
                    "-fflags",
                    "+bitexact",
                    "-flags:a",
                    "+bitexact",
                    "-movflags",
                    "+faststart",
                    "-f",
                    "ipod",
                    "-y",
                    $"file:{path}",
                ],
                MostSeconds
            );
        }
        catch (FfmpegMissingException e)
        {
            throw new EncoderException($"m4b needs ffmpeg: {e.Message}", e);
        }
    }
}
