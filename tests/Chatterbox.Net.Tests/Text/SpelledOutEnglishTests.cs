using Chatterbox.Text;
using Chatterbox.Text.SpelledOut;

namespace Chatterbox.Tests.Text;

/// <summary>Rules that the recorded texts do not reach, as the reference has them.</summary>
public class SpelledOutEnglishTests
{
    [Theory]
    [
        InlineData("0", "zero"),
        InlineData("10", "ten"),
        InlineData("21", "twenty one"),
        InlineData("100", "one hundred"),
        InlineData("110", "one hundred ten")
    ]
    [
        InlineData("1000", "one thousand"),
        InlineData("1100", "eleven hundred"),
        InlineData("2900", "twenty nine hundred"),
        InlineData("3100", "three thousand one hundred")
    ]
    [InlineData("12345", "twelve thousand three hundred forty five"), InlineData("001", "one")]
    public void Numbers_are_words(string text, string expected) => Assert.Equal(expected, SpelledOutEnglish.Clean(text));

    [Theory]
    [InlineData("1st 2nd 3rd 4th 12th 20th 101st", "first second third fourth twelfth twentieth one hundred first")]
    [InlineData("5% or 1% or 200%!", "five percent or one % or two hundred percent!")]
    [InlineData("1kg, 2kg, 0.5km", "one kilogram, two kilograms, zero point five kilometers")]
    [InlineData("$1 $1.5 $0 $.07", "one dollar one dollar, five cents zero dollars seven cents")]
    [InlineData("£1 £2.50 €1 ¥3", "one pound two pounds fifty one euro three yen")]
    [InlineData("£.50", "zero pounds fifty")]
    [InlineData("$2.5 billion, $3K", "two point five billion dollars, three thousand dollars")]
    [InlineData("0.05 and 1.505", "zero point zero five and one point five zero five")]
    [InlineData("#7 is", "number seven is")]
    [InlineData("from 1985 to 1990", "from nineteen eighty five to nineteen ninety")]
    [InlineData("in 1066 and in 1905", "in one thousand sixty six and in nineteen oh five")]
    public void Amounts_measures_ordinals_and_years_are_words(string text, string expected) =>
        Assert.Equal(expected, SpelledOutEnglish.Clean(text));

    [Theory]
    [InlineData("12345-678", "one two, three four five, six seven eight")]
    [InlineData("555 1234", "five five five, one two three four")]
    [InlineData("1984-1985", "one thousand nine hundred eighty four - one thousand nine hundred eighty five")]
    [InlineData("12 - 3456", "one two, three four five six")]
    [InlineData("+4930123456", "four nine three, zero one two, three four five six")]
    public void Long_runs_of_digits_are_telephone_numbers(string text, string expected) =>
        Assert.Equal(expected, SpelledOutEnglish.Clean(text));

    [Theory]
    [
        InlineData("at 9 a.m. sharp", "at nine AM sharp"),
        InlineData("0:00", ""),
        InlineData("12:05", "twelve oh five"),
        InlineData("5 amps", "five AMps")
    ]
    public void Times_are_words(string text, string expected) => Assert.Equal(expected, SpelledOutEnglish.Clean(text));

    [Theory]
    [
        InlineData("MR. Smith", "mister Smith"),
        InlineData("Drama", "Drama"),
        InlineData("_st_", "_st_"),
        InlineData("st.", "saint"),
        InlineData("étc", "étc")
    ]
    [
        InlineData("a—b", "a b"),
        InlineData("a - b", "a, b"),
        InlineData("a- b", "a, b"),
        InlineData("well-known", "well known"),
        InlineData("x\u001cy", "x y")
    ]
    public void Abbreviations_and_dashes_are_read(string text, string expected) => Assert.Equal(expected, SpelledOutEnglish.Clean(text));

    [Fact]
    public void A_long_text_of_numbers_takes_time_in_proportion_to_its_length()
    {
        var text = string.Join(' ', Enumerable.Range(0, 20_000).Select(i => $"{i},"));
        Assert.EndsWith("nineteen thousand nine hundred ninety nine,", SpelledOutEnglish.Clean(text), StringComparison.Ordinal);
    }

    [Fact]
    public void Text_without_words_is_refused() =>
        Assert.All(["", "  ", "...", "-"], text => Assert.Throws<RequestException>(() => TextNormalizer.Normalize(text, rules: null)));
}
