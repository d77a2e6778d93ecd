using System.Text.Json;
using Chatterbox.Tests.Text;
using Chatterbox.Text;
using Chatterbox.Text.SpelledOut;

namespace Chatterbox.Tests.Parity;

public class TextParityTests
{
    private static readonly JsonSerializerOptions Options = new(JsonSerializerDefaults.Web);

    public static TheoryData<string> English => Fixtures.All("text-english");

    public static TheoryData<string> Multilingual => Fixtures.All("text-multilingual");

    public static TheoryData<string> Turbo => Fixtures.All("text-turbo");

    public static TheoryData<string> Flash => Fixtures.All("flash-text");

    [Theory, MemberData(nameof(Flash))]
    public void Flash_text_becomes_the_same_text_tokens(string path) => AssertSame(path, rules: null, TokenizerFiles.English);

    [Theory, MemberData(nameof(English))]
    public void English_text_becomes_the_same_text_tokens(string path) =>
        AssertSame(path, PunctuationRules.English, TokenizerFiles.English);

    [Theory, MemberData(nameof(Multilingual))]
    public void Multilingual_text_becomes_the_same_text_tokens(string path) =>
        AssertSame(path, PunctuationRules.Multilingual, TokenizerFiles.Multilingual);

    [Theory, MemberData(nameof(Turbo))]
    public void Turbo_text_becomes_the_same_text_tokens(string path) => AssertSame(path, PunctuationRules.Turbo, TokenizerFiles.Turbo);

    [Fact]
    public void Multilingual_text_becomes_the_tokens_that_a_public_test_captured()
    {
        using var goldens = JsonDocument.Parse(File.ReadAllBytes(TokenizerFiles.At("chatterbox-multilingual/tokenizer-goldens.json")));
        var rows = goldens.RootElement.GetProperty("rows").EnumerateArray().ToArray();
        Assert.Equal(12, rows.Length);
        foreach (var row in rows)
        {
            var text = TextNormalizer.Normalize(row.GetProperty("text").GetString()!, PunctuationRules.Multilingual);
            Assert.Equal(
                row.GetProperty("ids").Deserialize<int[]>(),
                TokenizerFiles.Multilingual.Encode(text, row.GetProperty("language_id").GetString())
            );
        }
    }

    private static void AssertSame(string path, PunctuationRules? rules, TextTokenizer tokenizer)
    {
        var rows = JsonSerializer.Deserialize<Row[]>(File.ReadAllBytes(path), Options)!;
        foreach (var row in rows)
        {
            if (string.IsNullOrWhiteSpace(row.Text))
            {
                // The reference speaks a sentence of its own, or nothing; the library refuses.
                Assert.Throws<RequestException>(() => TextNormalizer.Normalize(row.Text, rules));
            }
            else
            {
                Assert.Equal(row.Normalized, rules is null ? SpelledOutEnglish.Clean(row.Text) : TextNormalizer.Apply(row.Text, rules));
            }

            Assert.Equal(row.Ids, tokenizer.Encode(row.Normalized, row.Language));
        }

        Close.Report($"{Path.GetFileNameWithoutExtension(path)}: {rows.Length} texts, {rows.Sum(r => r.Ids.Length)} ids equal");
    }

    private sealed record Row(string Text, string Normalized, int[] Ids, string? Language = null);
}
