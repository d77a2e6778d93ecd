using Chatterbox.Service.Jobs.Books;

namespace Chatterbox.Service.Tests;

/// <summary>Books become chapters and paragraphs, and hostile ones a clear refusal.</summary>
public sealed class BookTests
{
    private static readonly BookLimits Limits = new(TextBytes: 100_000, UnpackedBytes: 1_000_000);

    [Fact]
    public void An_epub_has_the_chapters_of_its_spine_and_the_titles_of_its_contents()
    {
        var book = Read(Epubs.Zip(Epubs.Files()));
        Assert.Equal("A small book", book.Title);
        Assert.Equal(["The first", "The second"], book.Chapters.Select(chapter => chapter.Title));
        Assert.Equal([new("One", true), new("Hello there, reader."), new("It goes on & on.")], book.Chapters[0].Blocks);
        Assert.Equal([new("The end.")], book.Chapters[1].Blocks);
    }

    [Fact]
    public void An_older_epub_has_the_titles_of_its_ncx()
    {
        var files = Epubs.Files();
        files["OPS/book.opf"] = files["OPS/book.opf"]
            .Replace(
                """href="nav.xhtml" media-type="application/xhtml+xml" properties="nav""",
                """href="toc.ncx" media-type="application/x-dtbncx+xml""",
                StringComparison.Ordinal
            );
        files["OPS/toc.ncx"] =
            """<!DOCTYPE ncx PUBLIC "-//NISO//DTD ncx 2005-1//EN" "http://www.daisy.org/z3986/2005/ncx-2005-1.dtd"><ncx><navMap><navPoint><navLabel><text>Begin</text></navLabel><content src="text/one.xhtml"/></navPoint></navMap></ncx>""";
        Assert.Equal("Begin", Read(Epubs.Zip(files)).Chapters[0].Title);
    }

    [Fact]
    public void Markdown_has_the_chapters_of_its_headings()
    {
        var book = MarkdownBook.Read(
            "# A *book*\n\nBefore.\n\n## One\n\nHello [there](http://x.y), `friend`.\n\n### Part\n\n- a point\n- "
                + "another\n\n```\ncode\n```\n\n<div>html</div>\n\n![picture](a.png)\n\n## Two\n\nThe end [pause:1s] indeed.\n"
        );
        Assert.Equal("A book", book.Title);
        Assert.Equal(["A book", "One", "Two"], book.Chapters.Select(chapter => chapter.Title));
        Assert.Equal(
            [new("One", true), new("Hello there, friend."), new("Part", true), new("a point"), new("another")],
            book.Chapters[1].Blocks
        );
        Assert.Equal(new("The end [pause:1s] indeed."), book.Chapters[2].Blocks[1]);
    }

    [Fact]
    public void A_planned_book_is_spoken_piece_by_piece_with_pauses_between()
    {
        var book = SpokenBook.Of(
            MarkdownBook.Read("# One\n\nFirst.\n\n***\n\nSecond. [pause:2s] Third.\n\n# Two\n\nLast."),
            title: null,
            "input"
        );
        Assert.Equal(["One", "First.", "Second.", "Third.", "Two", "Last."], book.Chapters.SelectMany(chapter => chapter.Plan.Pieces));
        Assert.Equal([0, 4], book.Chapters.Select(chapter => chapter.FirstPiece));
        Assert.Equal(5, book.Chapters[0].Plan.PausesSeconds.Count);
        Assert.Equal(2, book.Chapters[0].Plan.PausesSeconds[3]);
    }

    public static TheoryData<string, string, string, string> Hostile =>
        new()
        {
            { "bomb", "OPS/text/one.xhtml", new string('a', 2_000_000), "when it is unpacked" },
            { "long", "OPS/text/one.xhtml", $"<p>{new string('a', 200_000)}</p>", "Jobs:MaxTextBytes" },
            {
                "entities",
                "META-INF/container.xml",
                """<!DOCTYPE c [<!ENTITY x SYSTEM "file:///etc/passwd">]><c><rootfile full-path="&x;"/></c>""",
                "not well-formed"
            },
            {
                "laughs",
                "OPS/book.opf",
                """<!DOCTYPE p [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><p>&b;</p>""",
                "not well-formed"
            },
            { "outside", "OPS/book.opf", Epubs.Package("""<itemref idref="out"/>"""), "it has no file 'etc/passwd'" },
            { "no spine", "OPS/book.opf", Epubs.Package(""), "no reading order" },
            { "stranger", "OPS/book.opf", Epubs.Package("""<itemref idref="who"/>"""), "its manifest does not have" },
            { "no package", "META-INF/container.xml", "<container/>", "names no package" },
            {
                "protected",
                "META-INF/encryption.xml",
                """<encryption><EncryptedData><EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#aes128-cbc"/></EncryptedData></encryption>""",
                "(DRM)"
            },
        };

    [Theory]
    [MemberData(nameof(Hostile))]
    public void A_hostile_epub_is_refused_clearly(string kind, string file, string text, string reason)
    {
        var error = Assert.Throws<RequestException>(() => Read(Epubs.With((file, text))));
        Assert.True(error.Message.Contains(reason, StringComparison.Ordinal), $"{kind}: {error.Message}");
        Assert.Equal("file", error.Parameter);
    }

    [Fact]
    public void Obscured_fonts_are_no_protection() =>
        Assert.Equal(
            2,
            Read(
                Epubs.With(
                    (
                        "META-INF/encryption.xml",
                        """<encryption><EncryptionMethod Algorithm="http://www.idpf.org/2008/embedding"/></encryption>"""
                    )
                )
            ).Chapters.Count
        );

    [Fact]
    public void A_damaged_file_and_what_is_no_book_are_refused()
    {
        var epub = Epubs.Zip(Epubs.Files());
        Assert.Contains("damaged", Assert.Throws<RequestException>(() => Read(epub[..(epub.Length / 2)])).Message);
        Assert.Contains("no EPUB", Assert.Throws<RequestException>(() => Read([.. "text"u8])).Message);
        Assert.Contains("UTF-8", Assert.Throws<RequestException>(() => Read([0xFF, 0xFE, 0xFF], "book.txt")).Message);
    }

    [Fact]
    public void A_page_gives_text_whatever_it_holds()
    {
        Assert.Equal([new("a < b"), new("x > y")], XhtmlText.Read("<p>a < b</p><!-- <p>no</p> --><p title='>'><![CDATA[x > y]]>"));
        Assert.Equal([new("&xxe;")], XhtmlText.Read("""<!DOCTYPE html [<!ENTITY xxe SYSTEM "file:///etc/passwd">]><p>&xxe;</p><script>"""));
        Assert.Empty(XhtmlText.Read("<script>" + new string('<', 100_000)));
        Assert.Empty(XhtmlText.Read("<" + new string('!', 10) + "<p"));
    }

    private static Book Read(byte[] file, string name = "book.epub")
    {
        using var stream = new MemoryStream(file);
        return BookFile.Read(stream, name, Limits);
    }
}
