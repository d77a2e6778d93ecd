using System.Runtime.CompilerServices;
using Chatterbox.Text;
using Chatterbox.Text.Written;
using CsCheck;

namespace Chatterbox.Tests.Text;

public class SpokenFormTests
{
    private static readonly string[] Parts =
    [
        "5",
        "12",
        "2024",
        "1,234",
        "0.5",
        "00",
        "3rd",
        "st",
        "th",
        "Jan",
        "May",
        "St.",
        "Dr.",
        "Mr.",
        "No.",
        "p.",
        "v",
        "a.m.",
        "pm",
        "km",
        "%",
        "$",
        "€",
        "US$",
        "USD",
        "-",
        "–",
        ":",
        "/",
        ".",
        ",",
        " ",
        " ",
        " ",
        "\n",
        "@",
        "#",
        "&",
        "+",
        "=",
        "<",
        ">",
        "*",
        "×",
        "^",
        "²",
        "½",
        "°",
        "C",
        "(",
        ")",
        "'",
        "s",
        "the",
        "Elm",
        "http://",
        "www.",
        "a",
        "b.com",
        "x",
        "e.g.",
        "i.e.",
        "w/",
        "etc.",
        "Jr.",
        "7",
        "9",
        "k",
        "M",
        "~",
        "±",
        "§",
        "¢",
        "A",
        "é",
        "\"",
        "to",
        "T",
        "Z",
        "and",
        "世",
        "_",
        "?",
        "٣",
        "\ud835\udfcf",
        "\ud83d",
        "`",
        "|",
    ];

    private static readonly Gen<string> Written = Gen.Int[0, Parts.Length - 1]
        .Array[0, 20]
        .Select(parts => string.Concat(parts.Select(i => Parts[i])));

    private static readonly string[] Words =
    [
        "the",
        "a",
        "Plain",
        "words",
        "of",
        "someone",
        "isn't",
        "well-known",
        "Paris",
        "I",
        "NASA",
        "U.S.",
        "may",
        "march",
        "no",
        "in",
        "or",
        "“quoted”",
        "(so)",
        "—",
        "naïve",
        "end.",
        "why?",
        "yes!",
        "then,",
        "but;",
        "thus:",
    ];

    private static readonly Gen<string> Prose = Gen.Int[0, Words.Length - 1]
        .Array[0, 30]
        .Select(words => string.Join(' ', words.Select(i => Words[i])));

    [Fact]
    public void Texts_are_read_as_the_table_says()
    {
        var rows = File.ReadLines(Path.Combine(Path.GetDirectoryName(Here())!, "..", "..", "fixtures", "text", "spoken-forms.tsv"))
            .Select(line => line.Split('\t'))
            .ToList();
        Assert.InRange(rows.Count, 200, int.MaxValue);
        Assert.All(rows, row => Assert.Equal(row[2], Say(row[1], row[0])));
    }

    [Fact]
    public void English_has_no_digits_left_and_is_read_once() =>
        Written.Sample(text =>
        {
            var said = EnglishText.Say(text);
            Assert.DoesNotContain(said, char.IsDigit);
            Assert.Equal(said, EnglishText.Say(said));
        });

    [Fact]
    public void Plain_prose_stays_as_it_is() => Prose.Sample(text => Assert.Equal(text, Say(text)));

    [Theory]
    [
        InlineData("en"),
        InlineData("de"),
        InlineData("fr"),
        InlineData("es"),
        InlineData("it"),
        InlineData("pt"),
        InlineData("nl"),
        InlineData("sv"),
        InlineData("no"),
        InlineData("tr"),
        InlineData("ja"),
        InlineData("xx")
    ]
    public void Every_text_can_be_read(string language) =>
        Gen.OneOf(Written, Gen.String)
            .Sample(text =>
                Assert.NotNull(
                    new SpokenForm(
                        new TextOptions
                        {
                            Normalize = true,
                            SkipMarkup = true,
                            Pronunciations = new Dictionary<string, string> { ["the"] = "thee", ["5"] = "V" },
                        },
                        language
                    ).Of(text)
                )
            );

    [Fact]
    public void Tries_grow_with_the_length_only() =>
        Written
            .Where(text => text.Length > 0)
            .Sample(text =>
            {
                EnglishText.Say(text, out var once);
                EnglishText.Say(string.Concat(Enumerable.Repeat(text + " ", 50)), out var often);
                Assert.InRange(often, 0, 6 * 50 * 60 * (text.Length + 1)); // passes, repetitions, rules
                Assert.InRange(once, 0, 6 * 60 * text.Length);
            });

    [Fact]
    public void Nothing_is_changed_unless_asked_for()
    {
        const string Text = "**Dr. Smith** paid $5 \ud83d\ude00.";
        Assert.Equal(Text, new SpokenForm(new TextOptions()).Of(Text));
        Assert.Equal([Text], TextPlan.Of(Text, form: new SpokenForm(new TextOptions())).Pieces);
    }

    [Theory]
    [InlineData("SQL and sql", "sequel and sql")]
    [InlineData("SQLite, SQL", "SQLite, sequel")]
    [InlineData("Nginx and NGINX and nginx.", "Engine x and Engine x and engine x.")]
    [InlineData("New York is not New Yorkers", "big apple is not New Yorkers")]
    [InlineData("York", "jork")]
    [InlineData("It costs 5 GB", "It costs five gigs")]
    public void Words_are_respelled(string written, string spoken) =>
        Assert.Equal(
            spoken,
            new SpokenForm(
                new TextOptions
                {
                    Normalize = true,
                    Pronunciations = new Dictionary<string, string>
                    {
                        ["SQL"] = "sequel",
                        ["nginx"] = "engine x",
                        ["York"] = "jork",
                        ["New York"] = "big apple",
                        ["GB"] = "gigs",
                    },
                }
            ).Of(written)
        );

    [Theory]
    [InlineData("# Title", "Title")]
    [InlineData("This is **bold**, *this* too, and `code`.", "This is bold, this too, and code.")]
    [InlineData("snake_case and 2*3 stay", "snake_case and 2*3 stay")]
    [InlineData("- one\n- two", "one\ntwo")]
    [InlineData("> quoted", "quoted")]
    [InlineData("See [the page](http://a.b/c).", "See the page.")]
    [InlineData("![a cat](cat.png) A cat.", "A cat.")]
    [InlineData("Look:\n```python\nprint(1)\n```\nDone.", "Look:\nDone.")]
    [InlineData("Hi \ud83d\ude00 there \ud83d\udc69\u200d\ud83d\udcbb!", "Hi there !")]
    [InlineData("one\n---\ntwo", "one\n\ntwo")]
    [InlineData("| a | b |", "a, b")]
    [InlineData("a <b>bold</b> word", "a bold word")]
    public void Markup_is_left_out(string written, string spoken) =>
        Assert.Equal(spoken, new SpokenForm(new TextOptions { SkipMarkup = true }).Of(written));

    [Fact]
    public void A_code_block_may_go_on_in_another_part()
    {
        var form = new SpokenForm(new TextOptions { SkipMarkup = true });
        Assert.Equal("Look:", form.Of("Look:\n```python\nprint('A."));
        Assert.Equal("", form.Of("B')"));
        Assert.Equal("Done.", form.Of("x\n```\nDone."));
        Assert.Equal("print", form.Of("print"));
    }

    [Fact]
    public void A_plan_keeps_what_was_written_beside_what_is_spoken()
    {
        var plan = TextPlan.OfSentences(
            "It costs $3.50 now. Dr. Smith came at 5 p.m. today. [pause:1s] Then 2 left.",
            form: new SpokenForm(new TextOptions { Normalize = true })
        );
        Assert.Equal(["It costs $3.50 now.", "Dr. Smith came at 5 p.m. today.", "Then 2 left."], plan.Written);
        Assert.Equal(["It costs three dollars and fifty cents now.", "Doctor Smith came at five PM today.", "Then two left."], plan.Pieces);
    }

    [Fact]
    public void A_piece_whose_words_are_too_long_is_cut()
    {
        var text = string.Join(' ', Enumerable.Range(1, 60).Select(i => 1_234_567 + i));
        var plan = TextPlan.Of(text, form: new SpokenForm(new TextOptions { Normalize = true }));
        Assert.Equal(plan.Pieces.Count, plan.Written.Count);
        Assert.Equal(text, string.Join(' ', plan.Written));
        Assert.All(plan.Pieces, piece => Assert.InRange(piece.Length, 1, 500));
    }

    private static string Say(string text, string language = "en") =>
        new SpokenForm(new TextOptions { Normalize = true }, language).Of(text);

    private static string Here([CallerFilePath] string file = "") => file;
}
