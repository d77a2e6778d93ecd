using System.IO.Compression;

namespace Chatterbox.Service.Tests;

/// <summary>Small EPUB files, good ones and hostile ones.</summary>
internal static class Epubs
{
    public const string Container = """
        <?xml version="1.0"?>
        <container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">
          <rootfiles><rootfile full-path="OPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles>
        </container>
        """;

    /// <summary>A book of two chapters, with a table of contents.</summary>
    public static Dictionary<string, string> Files() =>
        new()
        {
            ["mimetype"] = "application/epub+zip",
            ["META-INF/container.xml"] = Container,
            ["OPS/book.opf"] = Package("""<itemref idref="toc"/><itemref idref="one"/><itemref idref="rest"/><itemref idref="two"/>"""),
            ["OPS/nav.xhtml"] =
                """<html xmlns="http://www.w3.org/1999/xhtml"><body><nav><ol><li><a href="text/one.xhtml">The <b>first</b></a></li><li><a href="text/two%20.xhtml#top">The second</a></li></ol></nav></body></html>""",
            ["OPS/text/one.xhtml"] =
                """<!DOCTYPE html><html><head><title>not spoken</title><style>p{}</style></head><body><h1>One</h1><p>Hello&nbsp;there, <i>reader</i>.</p><script>no()</script></body></html>""",
            ["OPS/text/rest.xhtml"] = "<html><body><p>It goes on &amp; on.</p></body></html>",
            ["OPS/text/two .xhtml"] = "<html><body><p>The end.</p></body></html>",
        };

    public static string Package(string spine) =>
        $"""
            <?xml version="1.0"?>
            <package xmlns="http://www.idpf.org/2007/opf" version="3.0">
              <metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>A small book</dc:title></metadata>
              <manifest>
                <item id="toc" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>
                <item id="one" href="text/one.xhtml" media-type="application/xhtml+xml"/>
                <item id="rest" href="text/rest.xhtml" media-type="application/xhtml+xml"/>
                <item id="two" href="text/two%20.xhtml" media-type="application/xhtml+xml"/>
                <item id="out" href="../../../etc/passwd" media-type="application/xhtml+xml"/>
              </manifest>
              <spine>{spine}</spine>
            </package>
            """;

    public static byte[] Zip(Dictionary<string, string> files)
    {
        using var zip = new MemoryStream();
        using (var archive = new ZipArchive(zip, ZipArchiveMode.Create, leaveOpen: true))
        {
            foreach (var (name, text) in files)
            {
                using var writer = new StreamWriter(archive.CreateEntry(name, CompressionLevel.Fastest).Open());
                writer.Write(text);
            }
        }

        return zip.ToArray();
    }

    /// <summary>The book with some of its files exchanged.</summary>
    public static byte[] With(params (string Name, string Text)[] others)
    {
        var files = Files();
        foreach (var (name, text) in others)
        {
            files[name] = text;
        }

        return Zip(files);
    }
}
