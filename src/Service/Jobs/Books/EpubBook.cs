using System.IO.Compression;
using System.Text;
using System.Xml;
using System.Xml.Linq;

namespace Chatterbox.Service.Jobs.Books;

/// <summary>Reads EPUB 2 and 3: the documents of the spine in their order, with the titles of the table of contents. Nothing is unpacked to
/// the
/// disk, what is unpacked in memory is bounded, and its XML has neither document types nor entities of its own.</summary>
internal sealed class EpubBook
{
    private const int MostEntries = 10_000;
    private const int MostXmlBytes = 4 << 20;
    private const int MostNodes = 100; // of a title
    private const string NcxType = "application/x-dtbncx+xml";

    /// <summary>What fonts are obscured with, which is no protection of the text.</summary>
    private static readonly string[] FontObfuscation = ["http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC"];

    private readonly Dictionary<string, ZipArchiveEntry> _entries;
    private readonly BookLimits _limits;
    private long _unpacked;

    private EpubBook(ZipArchive archive, BookLimits limits)
    {
        _limits = limits;
        _entries =
            archive.Entries.Count <= MostEntries
                ? archive.Entries.GroupBy(entry => entry.FullName).ToDictionary(entries => entries.Key, entries => entries.First())
                : throw Unusable($"it has {archive.Entries.Count} files, expected {MostEntries} at most");
    }

    /// <summary>Reads a book.</summary>
    /// <param name="stream">The file; it can seek.</param>
    /// <param name="limits">How much it may hold.</param>
    /// <exception cref="RequestException">It is damaged, protected, too large, or no EPUB.</exception>
    public static Book Read(Stream stream, BookLimits limits)
    {
        try
        {
            using var archive = new ZipArchive(stream, ZipArchiveMode.Read, leaveOpen: true);
            return new EpubBook(archive, limits).Read();
        }
        catch (InvalidDataException e)
        {
            throw new RequestException(
                $"The EPUB cannot be read: its zip file is damaged ({e.Message}). Send it again, or export it again.",
                "file",
                e
            );
        }
    }

    private static RequestException Unusable(string reason) =>
        new($"The EPUB cannot be read: {reason}. Send an EPUB 2 or 3 without protection.", "file");

    private Book Read()
    {
        ThrowIfProtected();
        var container = ReadXml("META-INF/container.xml");
        var packagePath =
            container.Descendants().FirstOrDefault(element => element.Name.LocalName == "rootfile")?.Attribute("full-path")?.Value
            ?? throw Unusable("META-INF/container.xml names no package");
        var package = ReadXml(packagePath);
        var items = package
            .Descendants()
            .Where(element =>
                element.Name.LocalName == "item" && element.Attribute("id") is not null && element.Attribute("href") is not null
            )
            .GroupBy(element => element.Attribute("id")!.Value)
            .ToDictionary(same => same.Key, same => same.First());
        var title = package.Descendants().FirstOrDefault(element => element.Name.LocalName == "title")?.Value.Trim();
        var navigation =
            items.Values.FirstOrDefault(item => (item.Attribute("properties")?.Value ?? "").Split(' ').Contains("nav"))
            ?? items.Values.FirstOrDefault(item => item.Attribute("media-type")?.Value == NcxType);
        var contents = navigation is null ? null : PathOf(packagePath, navigation);
        var titles = contents is not null && _entries.ContainsKey(contents) ? Titles(contents) : [];

        var spine = package
            .Descendants()
            .Where(element => element.Name.LocalName == "itemref" && element.Attribute("linear")?.Value != "no")
            .Select(element => element.Attribute("idref")?.Value ?? "")
            .ToList();
        if (spine.Count == 0)
        {
            throw Unusable("it has no reading order (spine)");
        }

        var chapters = new List<(string? Title, List<BookBlock> Blocks)>();
        var bytes = 0L;
        foreach (var id in spine)
        {
            var path = items.TryGetValue(id, out var item)
                ? PathOf(packagePath, item)
                : throw Unusable($"its spine names '{Shorten(id)}', which its manifest does not have");
            if (path == contents)
            {
                continue; // a table of contents is not read aloud
            }

            var blocks = XhtmlText.Read(ReadText(path));
            bytes += blocks.Sum(block => (long)Encoding.UTF8.GetByteCount(block.Text));
            BookFile.ThrowIfTooLong(bytes, _limits, "file");
            if (blocks.Count == 0)
            {
                continue;
            }

            var heading = titles.GetValueOrDefault(path) ?? blocks.FirstOrDefault(block => block.IsHeading)?.Text;
            if (heading is null && chapters.Count > 0)
            {
                chapters[^1].Blocks.AddRange(blocks); // a chapter of several files
            }
            else
            {
                chapters.Add((heading, [.. blocks]));
            }
        }

        return chapters.Count == 0
            ? throw Unusable("it has no text")
            : new Book(
                string.IsNullOrEmpty(title) ? null : title,
                [.. chapters.Select(chapter => new BookChapter(chapter.Title, chapter.Blocks))]
            );
    }

    private void ThrowIfProtected()
    {
        if (
            _entries.ContainsKey("META-INF/encryption.xml")
            && ReadXml("META-INF/encryption.xml")
                .Descendants()
                .Any(element =>
                    element.Name.LocalName == "EncryptionMethod" && !FontObfuscation.Contains(element.Attribute("Algorithm")?.Value)
                )
        )
        {
            throw Protected();
        }
    }

    private static RequestException Protected() =>
        new("The EPUB is protected (DRM): its text is encrypted. Only books without protection can be read.", "file");

    /// <summary>The titles of the table of contents, by the paths of their documents.</summary>
    private Dictionary<string, string> Titles(string contents)
    {
        var titles = new Dictionary<string, string>();
        foreach (var (target, words) in Links(ReadXml(contents)))
        {
            if (
                target is not null
                && string.Join(' ', words.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)) is { Length: > 0 } title
            )
            {
                titles.TryAdd(Resolve(contents, target), title);
            }
        }

        return titles;
    }

    private static IEnumerable<(string? Target, string Words)> Links(XDocument contents)
    {
        foreach (var element in contents.Descendants())
        {
            if (element.Name.LocalName == "navPoint")
            {
                yield return (Child(element, "content")?.Attribute("src")?.Value, WordsOf(Child(element, "navLabel")));
            }
            else if (element.Name.LocalName == "a")
            {
                yield return (element.Attribute("href")?.Value, WordsOf(element));
            }
        }
    }

    private static string WordsOf(XElement? label) =>
        string.Concat(label?.DescendantNodes().Take(MostNodes).OfType<XText>().Select(text => text.Value) ?? []);

    private static XElement? Child(XElement element, string name) =>
        element.Elements().FirstOrDefault(child => child.Name.LocalName == name);

    private static string PathOf(string packagePath, XElement item) => Resolve(packagePath, item.Attribute("href")!.Value);

    /// <summary>The name, in the zip file, of what a file of it refers to.</summary>
    private static string Resolve(string from, string reference)
    {
        var segments = new List<string>(from.Split('/')[..^1]);
        foreach (var segment in Uri.UnescapeDataString(reference.Split('#')[0]).Split('/'))
        {
            if (segment == ".." && segments.Count > 0)
            {
                segments.RemoveAt(segments.Count - 1);
            }
            else if (segment is not ("." or ""))
            {
                segments.Add(segment);
            }
        }

        return string.Join('/', segments);
    }

    private XDocument ReadXml(string path)
    {
        var settings = new XmlReaderSettings { DtdProcessing = DtdProcessing.Ignore, XmlResolver = null };
        var bytes = ReadBytes(path);
        if (bytes.Length > MostXmlBytes)
        {
            throw Unusable($"{Shorten(path)} has {bytes.Length} bytes, expected {MostXmlBytes} at most");
        }

        try
        {
            using var reader = XmlReader.Create(new MemoryStream(bytes), settings);
            return XDocument.Load(reader);
        }
        catch (XmlException e)
        {
            throw Unusable($"{Shorten(path)} is not well-formed XML (line {e.LineNumber})");
        }
    }

    private string ReadText(string path)
    {
        using var reader = new StreamReader(new MemoryStream(ReadBytes(path)), Encoding.UTF8, detectEncodingFromByteOrderMarks: true);
        return reader.ReadToEnd();
    }

    /// <summary>Unpacks a file, as long as all of them together stay within the limit, whatever sizes the zip file claims.</summary>
    private byte[] ReadBytes(string path)
    {
        var entry = _entries.GetValueOrDefault(path) ?? throw Unusable($"it has no file '{Shorten(path)}'");
        if (entry.IsEncrypted)
        {
            throw Protected();
        }

        using var packed = entry.Open();
        using var unpacked = new MemoryStream();
        var block = new byte[1 << 14];
        for (int read; (read = packed.Read(block)) > 0; )
        {
            _unpacked += read;
            if (_unpacked > _limits.UnpackedBytes)
            {
                throw new RequestException(
                    $"The EPUB is larger than {_limits.UnpackedBytes} bytes when it is unpacked (Jobs:MaxUnpackedBytes).",
                    "file"
                );
            }

            unpacked.Write(block, 0, read);
        }

        return unpacked.ToArray();
    }

    private static string Shorten(string name) => name.Length > 80 ? name[..80] + "…" : name;
}
