using System.CommandLine;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Chatterbox.Audio;
using Chatterbox.Service.Hosting;
using Chatterbox.Service.Jobs;
using Chatterbox.Service.Jobs.Books;

namespace Chatterbox.Service.Commands;

/// <summary><c>book FILE</c>: speaks a book into an audiobook with chapters, without a server. What is generated is kept in a folder next
/// to the
/// output until the book is complete, so that the same command continues one that was interrupted.</summary>
internal static class BookCommand
{
    private const long MostTextBytes = 64 << 20;
    private const long MostUnpackedBytes = 256 << 20;
    private const string SettingsFile = "settings";

    private static readonly Argument<FileInfo> Source = new("file") { Description = $"The book: {BookFile.Kinds}." };
    private static readonly Option<FileInfo?> To = new("--out", "-o")
    {
        Description = "File to write: .m4b (chapters; needs ffmpeg), .zip (an MP3 for each chapter), .mp3, .opus, .flac or .wav.",
    };

    private static readonly Option<string?> Title = new("--title")
    {
        Description = "Title of the audiobook; that of the book unless given.",
    };

    /// <summary>The command.</summary>
    public static Command Create()
    {
        var command = new Command("book", "Speaks a book and writes an audiobook with chapters.")
        {
            Source,
            To,
            Title,
            ModelCommand.VoiceName,
            VoicesCommand.Folder,
        };
        SpeechSettings.Complete(command);
        ModelCommand.Complete(command, RunAsync);
        return command;
    }

    private static async Task RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        using var codecs = ModelCommand.Codecs();
        var error = parsed.InvocationConfiguration.Error;
        var file = parsed.GetRequiredValue(Source);
        var ending = codecs.UnsupportedBookReason is null ? ".m4b" : ".zip";
        var output = parsed.GetValue(To)?.FullName ?? Path.GetFullPath(Path.ChangeExtension(file.Name, ending));
        var format = JobFormat.OfFile(output);
        if (format.Name == JobFormat.Book && codecs.UnsupportedBookReason is { } reason)
        {
            throw new RequestException($"{reason} Or let the file end in .zip.", "out");
        }

        SpokenBook book;
        await using (var stream = file.OpenRead())
        {
            book = SpokenBook.Of(
                BookFile.Read(stream, file.Name, new BookLimits(MostTextBytes, MostUnpackedBytes)),
                parsed.GetValue(Title),
                "file"
            );
        }

        var pieces = book.Chapters.SelectMany(chapter => chapter.Plan.Pieces).ToList();
        var folder = Directory.CreateDirectory($"{output}.pieces").FullName;
        var (seed, kept) = Continue(folder, parsed, pieces);
        if (kept > 0)
        {
            await error.WriteLineAsync($"{kept} of {pieces.Count} pieces are in {folder} already.");
        }

        var sampling = SpeechSettings.Sampling(parsed);
        await ModelCommand.WithModelAsync(
            parsed,
            "speech",
            (model, progress) =>
            {
                var voice = ModelCommand.VoiceOf(model, parsed);
                foreach (var (number, chapter) in book.Chapters.Index())
                {
                    error.WriteLine($"Chapter {number + 1} of {book.Chapters.Count}: {chapter.Title}");
                    foreach (
                        var piece in Enumerable
                            .Range(chapter.FirstPiece, chapter.Plan.Pieces.Count)
                            .Where(piece => !File.Exists(PathOf(piece)))
                    )
                    {
                        var (seeded, language) = (
                            sampling with
                            {
                                Seed = unchecked(seed + piece),
                            },
                            parsed.GetValue(SpeechSettings.Language)
                        );
                        var speech = model.Synthesize(
                            pieces[piece],
                            voice,
                            seeded,
                            language,
                            progress.Part(piece, pieces.Count),
                            cancellationToken
                        );
                        Write(PathOf(piece), part => File.WriteAllBytesAsync(part, Pcm16.Encode(speech.Samples.Span), cancellationToken));
                    }
                }
            },
            cancellationToken
        );
        var writer = new BookWriter(codecs, piece => PieceFile.Read(PathOf(piece)), piece => PieceFile.SamplesOf(PathOf(piece)));
        await WholeFile.WriteAsync(
            output,
            part => writer.WriteAsync(part, book, format, speed: 1, cancellationToken),
            (part, path) => File.Move(part, path, overwrite: true)
        );
        var length = TimeSpan.FromSeconds(
            Enumerable.Range(0, pieces.Count).Sum(piece => PieceFile.SamplesOf(PathOf(piece))) / (double)SpeechResult.SampleRate
        );
        Directory.Delete(folder, recursive: true);
        await parsed.InvocationConfiguration.Output.WriteLineAsync(
            string.Create(CultureInfo.InvariantCulture, $"{output}: {book.Chapters.Count} chapters, {length:h\\:mm\\:ss}, seed {seed}")
        );

        string PathOf(int piece) => Path.Combine(folder, PieceFile.NameOf(piece));
    }

    /// <summary>Continues what was interrupted, where it was the same text with the same settings; otherwise begins.</summary>
    /// <returns>The seed, and how many pieces are there.</returns>
    private static (long Seed, int Kept) Continue(string folder, ParseResult parsed, IReadOnlyList<string> pieces)
    {
        var settings = Path.Combine(folder, SettingsFile);
        IEnumerable<string?> all =
        [
            .. pieces,
            SpeechSettings.Sampling(parsed).ToString(),
            parsed.GetValue(SpeechSettings.Language),
            ModelCommand.NameOf(parsed),
            parsed.GetValue(ModelCommand.VoiceName),
        ];
        var print = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(string.Join('\n', all))));
        if (
            File.Exists(settings)
            && File.ReadAllText(settings).Split(' ') is [var before, var number]
            && before == print
            && long.TryParse(number, CultureInfo.InvariantCulture, out var known)
            && (parsed.GetValue(SpeechSettings.Seed) ?? known) == known
        )
        {
            return (known, Directory.EnumerateFiles(folder, "*.pcm").Count());
        }

        foreach (var old in Directory.EnumerateFiles(folder, "*.pcm"))
        {
            File.Delete(old); // of another text or voice
        }

        var seed = parsed.GetValue(SpeechSettings.Seed) ?? Random.Shared.NextInt64();
        Write(settings, part => File.WriteAllTextAsync(part, string.Create(CultureInfo.InvariantCulture, $"{print} {seed}")));
        return (seed, 0);
    }

    private static void Write(string path, Func<string, Task> write) =>
        WholeFile.WriteAsync(path, write, (part, target) => File.Move(part, target, overwrite: true)).GetAwaiter().GetResult();
}
