using System.Text;
using Markdig;
using Markdig.Syntax;
using Markdig.Syntax.Inlines;

namespace Chatterbox.Service.Jobs.Books;

/// <summary>Reads Markdown: headings of the first two levels begin chapters; code, HTML and pictures are left out.</summary>
internal static class MarkdownBook
{
    private const int ChapterLevel = 2;

    /// <summary>Reads a book.</summary>
    /// <exception cref="RequestException">Its markup is nested too deeply.</exception>
    public static Book Read(string text)
    {
        MarkdownDocument document;
        try
        {
            document = Markdown.Parse(text);
        }
        catch (ArgumentException e)
        {
            throw new RequestException($"The Markdown cannot be read: {e.Message}", "input", e);
        }

        var chapters = new List<BookChapter>();
        var (title, blocks) = ((string?)null, new List<BookBlock>());
        foreach (var block in document.Descendants<LeafBlock>())
        {
            if (block is not (HeadingBlock or ParagraphBlock) || TextOf(block) is not { Length: > 0 } words)
            {
                continue;
            }

            if (block is HeadingBlock { Level: <= ChapterLevel })
            {
                chapters.Add(new BookChapter(title, blocks));
                (title, blocks) = (words, []);
            }

            blocks.Add(new BookBlock(words, block is HeadingBlock));
        }

        chapters.Add(new BookChapter(title, blocks));
        return new Book(
            document.Descendants<HeadingBlock>().Select(TextOf).FirstOrDefault(),
            [.. chapters.Where(chapter => chapter.Blocks.Count > 0)]
        );
    }

    private static string TextOf(LeafBlock block)
    {
        var text = new StringBuilder();
        foreach (var inline in block.Inline?.Descendants() ?? [])
        {
            text.Append(
                inline switch
                {
                    LiteralInline { Parent: LinkInline { IsImage: true } } => "",
                    LiteralInline literal => literal.Content.ToString(),
                    CodeInline code => code.Content,
                    HtmlEntityInline entity => entity.Transcoded.ToString(),
                    LineBreakInline => " ",
                    _ => "",
                }
            );
        }

        return text.ToString().Trim();
    }
}
