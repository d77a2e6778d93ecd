using Chatterbox.Service.Speak;

namespace Chatterbox.Service.Tests;

public sealed class TextCleanerTests
{
    [Theory]
    [InlineData("Hello <b>there</b><br/>!", "Hello there!")]
    [InlineData("<think>x</think>Yes.<|im_end|>", "xYes.")]
    [InlineData("1 < 2 and 3 > 2", "1 < 2 and 3 > 2")]
    [InlineData("|emotion:happy| Hi", "Hi")]
    [InlineData(" a \n\t b  ", "a b")]
    [InlineData("*bold* **bolder** ***boldest***", "bold bolder boldest")]
    [InlineData("_em_ __emm__, snake_case_name", "em emm, snake_case_name")]
    [InlineData("**a _b_ c** and __*d*__", "a b c and d")]
    [InlineData("2 * 3 * 4, 2*3*4", "2 * 3 * 4, 2*3*4")]
    [InlineData("Smile 😀\u0007!", "Smile 😀 !")]
    [InlineData("**", "**")]
    public void Clean_takes_out_marks(string text, string cleaned) => Assert.Equal(cleaned, TextCleaner.Clean(text));

    [Fact]
    public void Text_of_1000_characters_stays_whole()
    {
        var text = new string('a', 1000);
        Assert.Equal((text, 1000, false), TextCleaner.Cut(text));
    }

    [Theory]
    [InlineData(501, 502)] // beyond character 500: cut after it
    [InlineData(500, 1000)] // not beyond
    [InlineData(999, 1000)]
    [InlineData(1000, 1000)] // out of reach
    public void Longer_text_is_cut_at_a_sentence_end_beyond_500(int sentenceEnd, int length)
    {
        var text = new string('a', sentenceEnd) + "!" + new string('b', 700);
        var (cut, counted, truncated) = TextCleaner.Cut(text);
        Assert.True(truncated);
        Assert.Equal((text[..length], length), (cut, counted));
    }

    [Fact]
    public void Characters_are_counted_whole()
    {
        var (cut, length, truncated) = TextCleaner.Cut(string.Concat(Enumerable.Repeat("😀", 1001)));
        Assert.Equal((2000, 1000, true), (cut.Length, length, truncated));
    }

    [Theory]
    [InlineData("One. Two! Three? Four", new[] { "One.", "Two!", "Three?", "Four" })]
    [InlineData("1.5 is more... than 1.", new[] { "1.5 is more...", "than 1." })]
    public void Sentences_end_at_a_mark_before_white_space(string text, string[] sentences) =>
        Assert.Equal(sentences, TextCleaner.Sentences(text));

    [Fact]
    public void Hostile_text_takes_no_time_worth_speaking_of()
    {
        foreach (var unit in (string[])["<a", "|", "*", "_", "*_", "*a", " _a", "* ", ". "])
        {
            TextCleaner.Clean(string.Concat(Enumerable.Repeat(unit, 400_000 / unit.Length)));
        }
    }
}
