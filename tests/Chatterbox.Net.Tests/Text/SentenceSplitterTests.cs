using System.Text;
using Chatterbox.Text;
using Chatterbox.Text.Unicode;
using CsCheck;
using Fuzz;

namespace Chatterbox.Tests.Text;

public class SentenceSplitterTests
{
    private static readonly string[] Parts =
    [
        "word",
        "Dr. Smith",
        "e.g. this",
        "3.14",
        "1,234",
        "etc. And",
        "No. 5",
        "J. Doe",
        "“Why?” he said.",
        "Stop! ",
        "wait…",
        " - ",
        "—",
        ", ",
        "; ",
        ": ",
        ". ",
        "? ",
        "...",
        "\n\n",
        "\n",
        " ",
        "  ",
        "\u3000",
        "你好",
        "世界。",
        "你好，",
        "！",
        "？」",
        "カタカナ",
        "안녕하세요",
        "क्षि।",
        "كيف؟",
        "😀",
        "👨‍👩‍👧",
        "e\u0301\u0323",
        "𠀀",
        "[laugh]",
        "[clear throat]",
        "[",
        "]",
        "[x",
        "supercalifragilisticexpialidocioussupercalifragilistic",
        "\u001C",
        "\r\n",
        "\uD83D",
    ];

    private static readonly Gen<string> AnyText = Gen.OneOf(
        Gen.String,
        Gen.Int[0, Parts.Length - 1].List[0, 120].Select(parts => string.Concat(parts.Select(i => Parts[i])))
    );

    [Fact]
    public void No_character_is_lost_or_moved() =>
        Sample((text, _, pieces) => Assert.Equal(WithoutSpace(text), pieces.SelectMany(WithoutSpace)));

    [Fact]
    public void Pieces_fit_and_have_no_space_at_their_ends() =>
        Sample(
            (_, most, pieces) =>
                Assert.All(
                    pieces,
                    piece =>
                    {
                        Assert.InRange(piece.Length, 1, most);
                        Assert.Equal(piece, PythonText.Strip(piece));
                    }
                )
        );

    [Fact]
    public void Tags_stay_whole() =>
        Sample(
            (text, _, pieces) =>
            {
                foreach (var tag in new[] { "[laugh]", "[clear throat]" })
                {
                    Assert.Equal(Count(text, tag), pieces.Sum(p => Count(p, tag)));
                }
            }
        );

    [Fact]
    public void Text_that_fits_is_one_piece() =>
        Gen.Select(AnyText, Gen.Int[40, 400])
            .Sample(
                (text, most) =>
                {
                    var stripped = PythonText.Strip(text);
                    if (stripped.Length is > 0 && stripped.Length * 3 <= most)
                    {
                        Assert.Equal([stripped], SentenceSplitter.Split(text, most));
                    }
                }
            );

    [Fact]
    public void What_is_spoken_of_a_text_does_not_depend_on_how_it_comes() =>
        Gen.Select(AnyText, Gen.Int[40, 400], Gen.Int[1, 20])
            .Sample(
                (text, most, step) =>
                {
                    var whole = Write(text, text.Length + 1, most);
                    Assert.Equal(whole, Write(text, 1, most));
                    Assert.Equal(whole, Write(text, step, most));
                    Assert.Equal(WithoutSpace(text), whole.SelectMany(WithoutSpace));
                }
            );

    [Theory]
    [InlineData("Hello there", 0)]
    [InlineData("Hello there.", 0)]
    [InlineData("Hello there. ", 0)]
    [InlineData("Hello there. H", 12)]
    [InlineData("Hello there! 5", 12)]
    [InlineData("It is 3.", 0)]
    [InlineData("It is 3.5 m", 0)]
    [InlineData("I saw Dr. Smith", 0)]
    [InlineData("I saw Dr. Smith. H", 16)]
    [InlineData("“Why?” he", 0)]
    [InlineData("“Why?” He", 6)]
    [InlineData("A title\n\nA", 7)]
    [InlineData("Say [x. y", 0)]
    [InlineData("世界。", 0)]
    [InlineData("世界。你", 3)]
    [InlineData("", 0)]
    public void A_sentence_is_spoken_once_what_follows_has_begun(string text, int length) =>
        Assert.Equal(length, SentenceSplitter.FirstSpeakable(text));

    [Fact]
    public void Half_a_character_does_not_begin_what_follows()
    {
        Assert.Equal(0, SentenceSplitter.FirstSpeakable("世界。\uD83D"));
        Assert.Equal(3, SentenceSplitter.FirstSpeakable("世界。\uD83D\uDE00"));
    }

    private static List<string> Write(string text, int step, int most)
    {
        var (pieces, rest) = (new List<string>(), "");
        for (var i = 0; i < text.Length; i += step)
        {
            rest = (rest + text[i..Math.Min(text.Length, i + step)]).TrimStart();
            while (SentenceSplitter.FirstSpeakable(rest, most) is > 0 and var cut)
            {
                pieces.Add(rest[..cut]);
                rest = rest[cut..].TrimStart();
            }
        }

        return [.. pieces.Append(rest).Where(piece => piece.Length > 0)];
    }

    [Fact]
    public void Blank_text_has_no_pieces() => Assert.Empty(SentenceSplitter.Split(" \n\u3000\u001C"));

    [Fact]
    public void A_limit_too_small_for_a_tag_is_refused() =>
        Assert.Throws<ArgumentOutOfRangeException>(() => SentenceSplitter.Split("text", SentenceSplitter.LeastLength - 1));

    [Theory]
    [InlineData(
        "The first sentence is here. The second one, a bit longer, follows.",
        "The first sentence is here.|The second one, a bit longer, follows."
    )]
    [InlineData(
        "I paid Dr. Smith of St. Paul 3.14 dollars. He was glad to have it.",
        "I paid Dr. Smith of St. Paul 3.14 dollars.|He was glad to have it."
    )]
    [InlineData(
        "We saw the U.S. Capitol. J. Doe, e.g. Jane, was not with us then.",
        "We saw the U.S. Capitol.|J. Doe, e.g. Jane, was not with us then."
    )]
    [InlineData(
        "Read it in No. 5 of vol. 12 today. It is worth the time it takes you.",
        "Read it in No. 5 of vol. 12 today.|It is worth the time it takes you."
    )]
    [InlineData(
        "“Are you sure of that?” he asked me, twice, and I said that I was.",
        "“Are you sure of that?” he asked me, twice,|and I said that I was."
    )]
    [InlineData(
        "He said “Stop it right now!” Then he left us standing in the rain.",
        "He said “Stop it right now!”|Then he left us standing in the rain."
    )]
    [InlineData(
        "When all the birds had gone away, nobody was left to sing us a song",
        "When all the birds had gone away,|nobody was left to sing us a song"
    )]
    [InlineData(
        "Hi. When all the birds had gone away, nobody was left to sing again.",
        "Hi. When all the birds had gone away,|nobody was left to sing again."
    )]
    [InlineData(
        "one two three four five six seven eight nine ten eleven twelve",
        "one two three four five six seven eight nine|ten eleven twelve"
    )]
    [InlineData(
        "A title without a full stop\n\nAnd then a paragraph that goes on.",
        "A title without a full stop|And then a paragraph that goes on."
    )]
    [InlineData(
        "Am 3. Mai kam Prof. Meier z. B. hierher. Danach war er lange fort.",
        "Am 3. Mai kam Prof. Meier z. B. hierher.|Danach war er lange fort."
    )]
    [InlineData("你好，今天天气真不错。希望你有一个愉快的周末。", "你好，今天天气真不错。|希望你有一个愉快的周末。")]
    [InlineData("他说：「今天天气真好啊！」我们去公园散步吧。", "他说：「今天天气真好啊！」|我们去公园散步吧。")]
    [InlineData("ひらがなだけのぶんですよ、もうすこしだけつづきますね。", "ひらがなだけのぶんですよ、|もうすこしだけつづきますね。")]
    [InlineData("यह पहला वाक्य है, जो लंबा है। यह दूसरा वाक्य है, वह भी।", "यह पहला वाक्य है, जो लंबा है।|यह दूसरा वाक्य है, वह भी।")]
    [InlineData(
        "Some words before the tag that is wide [clear throat] and words after",
        "Some words before the tag that is wide|[clear throat] and words after"
    )]
    public void Cuts_where_a_speaker_would_pause(string text, string pieces) =>
        Assert.Equal(pieces.Split('|'), SentenceSplitter.Split(text, 46));

    [Fact]
    public void Sentences_share_a_piece_while_they_fit()
    {
        var text = string.Join(' ', Enumerable.Range(100, 40).Select(i => $"This is sentence number {i}."));
        var pieces = SentenceSplitter.Split(text);
        Assert.Equal(text, string.Join(' ', pieces));
        Assert.All(pieces, p => Assert.EndsWith(".", p, StringComparison.Ordinal));
        Assert.All(pieces.SkipLast(1), p => Assert.InRange(p.Length, 230, SentenceSplitter.DefaultLength));
    }

    [Fact]
    public void A_character_longer_than_the_limit_is_cut_all_the_same()
    {
        var heap = "a" + new string('\u0301', 500);
        var pieces = SentenceSplitter.Split(heap, 100);
        Assert.Equal(heap, string.Concat(pieces));
        Assert.All(pieces, p => Assert.InRange(p.Length, 1, 100));
    }

    [
        Theory,
        InlineData("."),
        InlineData(","),
        InlineData("\n"),
        InlineData("a\u0301\u0323"),
        InlineData("\"."),
        InlineData("Σ'"),
        InlineData(" ")
    ]
    public void Time_grows_with_length_only(string part)
    {
        var (quarter, whole) = (Text(50_000), Text(200_000));
        Assert.Equal(WithoutSpace(whole), SentenceSplitter.Split(whole).SelectMany(WithoutSpace));
        var (less, more) = (ProcessorTime.Of(() => Work(quarter)), ProcessorTime.Of(() => Work(whole)));

        // 4 times the length. Where time grew with its square it would be seconds, 16 times as many; a few milliseconds vary by themselves.
        Assert.InRange(more / (less + TimeSpan.FromMilliseconds(50)), 0, 10);

        string Text(int parts) => string.Concat(Enumerable.Repeat(part, parts)) + "a";

        static void Work(string text)
        {
            _ = SentenceSplitter.Split(text).Count;
            Assert.NotEmpty(UnicodeTables.Decompose(PythonText.Lower(text)));
        }
    }

    private static void Sample(Action<string, int, IReadOnlyList<string>> check) =>
        Gen.Select(AnyText, Gen.Int[SentenceSplitter.LeastLength, 300])
            .Sample((text, most) => check(text, most, SentenceSplitter.Split(text, most)));

    private static IEnumerable<Rune> WithoutSpace(string text) =>
        text.EnumerateRunes().Where(r => !r.IsBmp || !PythonText.IsSpace((char)r.Value));

    private static int Count(string text, string part) => text.Split(part).Length - 1;

    [Theory]
    [InlineData("!? ")]
    [InlineData("No. ")]
    [InlineData("a, ")]
    [InlineData("The words of a sentence without an end and so without ")]
    public void The_first_sentence_costs_no_more_where_more_follows_it(string part)
    {
        var text = string.Concat(Enumerable.Repeat(part, 40_000 / part.Length));
        var (shortLength, shortCost) = FirstOf(text[..1000]);
        var (length, cost) = FirstOf(text);
        Assert.Equal(shortLength, length);
        Assert.True(length > 0);
        Assert.InRange(cost, 0, 2 * shortCost);

        static (int Length, long Bytes) FirstOf(string text)
        {
            SentenceSplitter.FirstSpeakable(text); // warms up
            var before = GC.GetAllocatedBytesForCurrentThread();
            return (SentenceSplitter.FirstSpeakable(text), GC.GetAllocatedBytesForCurrentThread() - before);
        }
    }
}
