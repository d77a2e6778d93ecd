using Chatterbox.Text;

namespace Chatterbox.Service.Jobs.Books;

/// <summary>A book as it is spoken.</summary>
/// <param name="Title">Its title.</param>
/// <param name="Chapters">Its chapters, in order.</param>
internal sealed record SpokenBook(string Title, IReadOnlyList<SpokenChapter> Chapters)
{
    private const int MostPieces = 50_000;
    private const int MostChapters = 500;
    private const int LongestTitle = 200;
    private const double MostPauseSeconds = 3600;
    private const double ParagraphPauseSeconds = 0.5;
    private const double HeadingPauseSeconds = 0.9;
    private const double ChapterPauseSeconds = 1.8;

    /// <summary>Plans a book: headings and paragraphs are pieces of their own, with pauses between them.</summary>
    /// <param name="book">The book.</param>
    /// <param name="title">Its title, where it is not to have its own.</param>
    /// <param name="parameter">Name of the text in errors.</param>
    /// <exception cref="RequestException">There is nothing to speak, or too much.</exception>
    public static SpokenBook Of(Book book, string? title, string parameter)
    {
        var chapters = new List<SpokenChapter>();
        var (first, paused) = (0, 0d);
        foreach (var chapter in book.Chapters)
        {
            var plan = PlanOf(chapter, parameter, ref paused);
            if (plan.Pieces.Count == 0)
            {
                continue;
            }

            chapters.Add(new SpokenChapter(Shorten(chapter.Title ?? $"Chapter {chapters.Count + 1}"), first, plan));
            first += plan.Pieces.Count;
        }

        return first == 0
                ? throw new RequestException(
                    $"There is nothing to speak in '{parameter}': it has no letter and no digit. Send some words.",
                    parameter
                )
            : first > MostPieces
                ? throw new RequestException(
                    $"The text has {first} sentences and paragraphs; a job can have {MostPieces}. Send it in parts.",
                    parameter
                )
            : chapters.Count > MostChapters
                ? throw new RequestException(
                    $"The text has {chapters.Count} chapters; a job can have {MostChapters}. Send it in parts.",
                    parameter
                )
            : paused > MostPauseSeconds
                ? throw new RequestException(
                    $"The pauses in the text are {paused:0} s together: there can be {MostPauseSeconds:0} s.",
                    parameter
                )
            : new SpokenBook(Shorten(title ?? book.Title ?? chapters[0].Title), chapters);
    }

    private static TextPlan PlanOf(BookChapter chapter, string parameter, ref double paused)
    {
        var pieces = new List<string>();
        List<double> pauses = [0]; // always one more than pieces
        foreach (var block in chapter.Blocks)
        {
            var plan = TextPlan.OfSentence(block.Text, parameter);
            paused += plan.PausesSeconds.Sum();
            pauses[^1] += plan.PausesSeconds[0];
            if (plan.Pieces.Count == 0)
            {
                continue;
            }

            pieces.AddRange(plan.Pieces);
            pauses.AddRange(plan.PausesSeconds.Skip(1));
            pauses[^1] += block.IsHeading ? HeadingPauseSeconds : ParagraphPauseSeconds;
        }

        pauses[^1] = pieces.Count > 0 ? ChapterPauseSeconds : 0;
        return new TextPlan(pieces, pauses);
    }

    private static string Shorten(string title) => title.Length > LongestTitle ? title[..LongestTitle] : title;
}

/// <summary>A chapter as it is spoken.</summary>
/// <param name="Title">Its title.</param>
/// <param name="FirstPiece">Index, in the book, of its first piece.</param>
/// <param name="Plan">Its pieces and pauses.</param>
internal sealed record SpokenChapter(string Title, int FirstPiece, TextPlan Plan);
