using System.Net;
using System.Text;

namespace Chatterbox.Service.Jobs.Books;

/// <summary>The text of an XHTML page. Tags are read as they come, without document types and entities of their own, so that a page that
/// is not well formed, or hostile, gives some text at worst.</summary>
internal static class XhtmlText
{
    private static readonly HashSet<string> Skipped =
    [
        "script",
        "style",
        "title",
        "svg",
        "math",
        "template",
        "rt",
        "rp",
        "audio",
        "video",
        "object",
    ];

    private static readonly HashSet<string> Blocks =
    [
        "p",
        "div",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "li",
        "ul",
        "ol",
        "blockquote",
        "tr",
        "td",
        "th",
        "table",
        "section",
        "article",
        "header",
        "footer",
        "aside",
        "nav",
        "hr",
        "pre",
        "dt",
        "dd",
        "dl",
        "figure",
        "figcaption",
        "body",
        "head",
        "html",
        "main",
    ];

    /// <summary>Reads a page.</summary>
    /// <returns>Its headings and paragraphs, in order.</returns>
    public static IReadOnlyList<BookBlock> Read(string page)
    {
        var blocks = new List<BookBlock>();
        var text = new StringBuilder();
        var at = 0;
        while (at < page.Length)
        {
            var tag = page.IndexOf('<', at);
            text.Append(page, at, (tag < 0 ? page.Length : tag) - at);
            if (tag < 0)
            {
                break;
            }

            at = Follow(page, tag, text, blocks);
        }

        Flush(text, blocks, isHeading: false);
        return blocks;
    }

    /// <summary>Follows a tag.</summary>
    /// <returns>Where the page continues.</returns>
    private static int Follow(string page, int tag, StringBuilder text, List<BookBlock> blocks)
    {
        const string cdata = "<![CDATA[",
            comment = "<!--";
        var rest = page.AsSpan(tag);
        if (rest.StartsWith(comment))
        {
            return After(page, "-->", tag);
        }

        if (rest.StartsWith(cdata))
        {
            var end = After(page, "]]>", tag);
            text.Append(
                WebUtility.HtmlEncode(page[Math.Min(end, tag + cdata.Length)..Math.Max(end - 3, Math.Min(end, tag + cdata.Length))])
            );
            return end;
        }

        if (rest.StartsWith("<!") || rest.StartsWith("<?"))
        {
            var close = page.IndexOf('>', tag);
            return After(page, close >= 0 && page.AsSpan(tag..close).Contains('[') ? "]>" : ">", tag);
        }

        var isEnd = rest.StartsWith("</");
        var nameAt = tag + (isEnd ? 2 : 1);
        var nameEnd = nameAt;
        while (nameEnd < page.Length && char.IsAsciiLetterOrDigit(page[nameEnd]))
        {
            nameEnd++;
        }

        if (nameEnd == nameAt)
        {
            text.Append("&lt;"); // a mere sign
            return tag + 1;
        }

        var name = page[nameAt..nameEnd].ToLowerInvariant();
        var next = EndOfTag(page, nameEnd);
        if (Blocks.Contains(name))
        {
            Flush(text, blocks, isEnd && name is ['h', >= '1' and <= '6']);
        }
        else if (name == "br")
        {
            text.Append(' ');
        }
        else if (!isEnd && Skipped.Contains(name) && page[next - 2] != '/')
        {
            return After(page, ">", Find(page, $"</{name}", next));
        }

        return next;
    }

    private static void Flush(StringBuilder text, List<BookBlock> blocks, bool isHeading)
    {
        var words = string.Join(' ', WebUtility.HtmlDecode(text.ToString()).Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
        text.Clear();
        if (words.Length > 0)
        {
            blocks.Add(new BookBlock(words, isHeading));
        }
    }

    /// <summary>Where a tag ends; quoted values may have its sign.</summary>
    private static int EndOfTag(string page, int at)
    {
        for (var quote = '\0'; at < page.Length; at++)
        {
            var character = page[at];
            if (quote != '\0')
            {
                quote = character == quote ? '\0' : quote;
            }
            else if (character is '"' or '\'')
            {
                quote = character;
            }
            else if (character == '>')
            {
                return at + 1;
            }
        }

        return page.Length;
    }

    private static int Find(string page, string what, int from) =>
        page.IndexOf(what, Math.Min(from, page.Length), StringComparison.OrdinalIgnoreCase) is >= 0 and var at ? at : page.Length;

    private static int After(string page, string what, int from) => Math.Min(page.Length, Find(page, what, from) + what.Length);
}
