using System.IO.Compression;
using Chatterbox.Audio;
using Chatterbox.Engine;
using Chatterbox.Service.Jobs.Books;

namespace Chatterbox.Service.Jobs;

/// <summary>Writes the file of a book whose pieces have all been generated: they are joined as those of a request are.</summary>
/// <param name="codecs">Encodes.</param>
/// <param name="read">Reads the samples of a piece.</param>
/// <param name="length">Samples of a piece.</param>
internal sealed class BookWriter(AudioCodecs codecs, Func<int, float[]> read, Func<int, long> length)
{
    private static readonly DateTimeOffset EntryTime = new(1980, 1, 1, 0, 0, 0, TimeSpan.Zero); // the same pieces give the same file

    /// <summary>Writes it.</summary>
    /// <param name="path">The file.</param>
    /// <param name="book">The book.</param>
    /// <param name="format">Its form.</param>
    /// <param name="speed">Tempo; the pitch stays.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public Task WriteAsync(string path, SpokenBook book, JobFormat format, double speed, CancellationToken cancellationToken) =>
        format.Name switch
        {
            JobFormat.Book => codecs.WriteBookAsync(path, Speech(book.Chapters), book.Title, Times(book, speed), speed, cancellationToken),
            JobFormat.Zip => WriteZipAsync(path, book, format.Audio, speed, cancellationToken),
            _ => codecs.WriteFileAsync(path, Speech(book.Chapters), format.Audio, speed, cancellationToken),
        };

    private async Task WriteZipAsync(string path, SpokenBook book, AudioFormat format, double speed, CancellationToken cancellationToken)
    {
        var chapterFile = $"{path}.chapter";
        try
        {
            await using var archive = await ZipArchive.CreateAsync(
                File.Create(path),
                ZipArchiveMode.Create,
                leaveOpen: false,
                entryNameEncoding: null,
                cancellationToken
            );
            foreach (var (index, chapter) in book.Chapters.Index())
            {
                await codecs.WriteFileAsync(chapterFile, Speech([chapter]), format, speed, cancellationToken);
                var entry = archive.CreateEntry(
                    JobFormat.ChapterFile(index + 1, book.Chapters.Count, chapter.Title),
                    CompressionLevel.NoCompression
                );
                entry.LastWriteTime = EntryTime;
                await using var target = await entry.OpenAsync(cancellationToken);
                await using var source = File.OpenRead(chapterFile);
                await source.CopyToAsync(target, cancellationToken);
            }
        }
        finally
        {
            File.Delete(chapterFile);
        }
    }

    private async IAsyncEnumerable<ReadOnlyMemory<float>> Speech(IReadOnlyList<SpokenChapter> chapters)
    {
        foreach (var chapter in chapters)
        {
            var speech = new JoinedSpeech(chapter.Plan);
            foreach (var piece in Enumerable.Range(0, chapter.Plan.Pieces.Count))
            {
                yield return speech.Join(
                    new AudioChunk(piece, read(chapter.FirstPiece + piece), EndsPiece: true, TextTokens: 0, SpeechTokens: 0)
                );
            }
        }

        await Task.CompletedTask;
    }

    private List<AudioChapter> Times(SpokenBook book, double speed)
    {
        var (times, position) = (new List<AudioChapter>(), 0d);
        foreach (var chapter in book.Chapters)
        {
            var samples =
                Enumerable.Range(chapter.FirstPiece, chapter.Plan.Pieces.Count).Sum(length)
                + chapter.Plan.PausesSeconds.Sum(pause => (long)JoinedSpeech.Silence(pause).Length);
            var end = position + (samples / (double)SpeechResult.SampleRate / speed);
            times.Add(new AudioChapter(chapter.Title, position, end));
            position = end;
        }

        return times;
    }
}
