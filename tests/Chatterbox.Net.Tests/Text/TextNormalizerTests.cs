using Chatterbox.Text;

namespace Chatterbox.Tests.Text;

public class TextNormalizerTests
{
    [
        Theory,
        InlineData(""),
        InlineData("   "),
        InlineData("\n\u00A0\u3000"),
        InlineData("..."),
        InlineData("?!"),
        InlineData("— - —"),
        InlineData("😀"),
        InlineData("\u200B")
    ]
    public void Text_without_anything_to_speak_is_refused(string text)
    {
        foreach (var rules in new[] { PunctuationRules.English, PunctuationRules.Multilingual, PunctuationRules.Turbo })
        {
            var error = Assert.Throws<RequestException>(() => TextNormalizer.Normalize(text, rules));
            Assert.Equal("text", error.Parameter);
            Assert.Contains("Send a text", error.Message, StringComparison.Ordinal);
        }
    }

    [Theory, InlineData("[laugh]"), InlineData("5"), InlineData("½"), InlineData("你"), InlineData("𝟏"), InlineData("न")]
    public void A_letter_digit_or_tag_is_enough(string text) =>
        Assert.Equal(text + ".", TextNormalizer.Normalize(text, PunctuationRules.Turbo));

    [Fact]
    public void Variants_differ_in_punctuation()
    {
        const string Text = "one... two - three; four: five";
        Assert.Equal("One,  two, three,  four, five.", TextNormalizer.Apply(Text, PunctuationRules.English));
        Assert.Equal("One,  two, three,  four, five.", TextNormalizer.Apply(Text, PunctuationRules.Multilingual));
        Assert.Equal("One... two - three; four, five.", TextNormalizer.Apply(Text, PunctuationRules.Turbo));
    }

    [Theory, InlineData("、"), InlineData("，"), InlineData("。"), InlineData("？"), InlineData("！")]
    public void Full_width_marks_end_multilingual_text_only(string mark)
    {
        Assert.Equal("你" + mark, TextNormalizer.Apply("你" + mark, PunctuationRules.Multilingual));
        Assert.Equal("你" + mark + ".", TextNormalizer.Apply("你" + mark, PunctuationRules.English));
        Assert.Equal("你" + mark + ".", TextNormalizer.Apply("你" + mark, PunctuationRules.Turbo));
    }

    [Theory, InlineData("."), InlineData("!"), InlineData("?"), InlineData("-"), InlineData(",")]
    public void Text_that_ends_in_punctuation_gets_no_full_stop(string mark)
    {
        foreach (var rules in new[] { PunctuationRules.English, PunctuationRules.Multilingual, PunctuationRules.Turbo })
        {
            Assert.Equal("A" + mark, TextNormalizer.Apply("a" + mark + "  ", rules));
        }
    }
}
