using System.Text;

namespace Chatterbox.Service.Jobs.Books;

/// <summary>Reads books: EPUB, Markdown, or text. What a file is follows from its first bytes and its name.</summary>
internal static class BookFile
{
    /// <summary>Kinds of files, as a sentence names them.</summary>
    public const string Kinds = "EPUB (.epub), Markdown (.md) or text (.txt)";

    private static readonly UTF8Encoding Utf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>Reads a book.</summary>
    /// <param name="stream">The file; it can seek.</param>
    /// <param name="name">Its name.</param>
    /// <param name="limits">How much it may hold.</param>
    /// <exception cref="RequestException">It is none of these, damaged, protected, or too large.</exception>
    public static Book Read(Stream stream, string name, BookLimits limits)
    {
        var head = new byte[4];
        var isZip =
            stream.ReadAtLeast(head, head.Length, throwOnEndOfStream: false) == head.Length
            && head.AsSpan().SequenceEqual("PK\u0003\u0004"u8);
        stream.Position = 0;
        if (isZip)
        {
            return EpubBook.Read(stream, limits);
        }

        var text = Decode(stream, limits);
        return Path.GetExtension(name).ToLowerInvariant() switch
        {
            ".md" or ".markdown" => MarkdownBook.Read(text),
            ".epub" => throw new RequestException(
                "The file is no EPUB: an EPUB is a zip file. Send the book as it was bought or exported.",
                "file"
            ),
            _ => Plain(text),
        };
    }

    /// <summary>A text without markup: one chapter, whose paragraphs are separated by empty lines.</summary>
    public static Book Plain(string text)
    {
        var paragraphs = text.ReplaceLineEndings("\n")
            .Split("\n\n", StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        return new Book(null, [new BookChapter(null, [.. paragraphs.Select(paragraph => new BookBlock(paragraph))])]);
    }

    /// <summary>Refuses a text that is too long.</summary>
    /// <exception cref="RequestException">It is.</exception>
    public static void ThrowIfTooLong(long bytes, BookLimits limits, string parameter)
    {
        if (bytes > limits.TextBytes)
        {
            throw new RequestException(
                $"The text has {bytes} bytes; it can have {limits.TextBytes} (Jobs:MaxTextBytes). Send it in parts.",
                parameter
            );
        }
    }

    private static string Decode(Stream stream, BookLimits limits)
    {
        ThrowIfTooLong(stream.Length, limits, "file");
        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        try
        {
            return Utf8.GetString(bytes).TrimStart('\uFEFF');
        }
        catch (DecoderFallbackException)
        {
            throw new RequestException($"The file is not text in UTF-8. Send {Kinds}; save a text file as UTF-8.", "file");
        }
    }
}
