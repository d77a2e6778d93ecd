using System.Text.Json;
using System.Text.Json.Nodes;
using Chatterbox.Text;

namespace Chatterbox.Tests.Text;

public sealed class TextTokenizerTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory().FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void The_library_carries_the_english_file()
    {
        using var stream = typeof(TextTokenizer).Assembly.GetManifestResourceStream("Chatterbox.Models.Assets.tokenizer.json");
        Assert.NotNull(stream);
        var embedded = new MemoryStream();
        stream.CopyTo(embedded);
        Assert.Equal(File.ReadAllBytes(TokenizerFiles.EnglishJson), embedded.ToArray());
    }

    [Fact]
    public void Empty_text_has_no_tokens()
    {
        Assert.Empty(TokenizerFiles.English.Encode(""));
        Assert.Empty(TokenizerFiles.Turbo.Encode(""));
        Assert.Equal([708], TokenizerFiles.Multilingual.Encode("", "en"));
        Assert.Empty(TokenizerFiles.Multilingual.Encode(""));
    }

    [Fact]
    public void A_lone_surrogate_does_no_harm()
    {
        Assert.Equal([1], TokenizerFiles.English.Encode("\uD83D"));
        Assert.Equal([708, 1], TokenizerFiles.Multilingual.Encode("\uDE00", "en"));
        Assert.NotEmpty(TokenizerFiles.Turbo.Encode("a\uD83Db"));
    }

    [Fact]
    public void Both_versions_of_the_multilingual_file_load_and_differ_in_one_sign()
    {
        var older = TextTokenizer.LoadMultilingual(TokenizerFiles.OlderMultilingualJson);
        Assert.Equal(2065, TokenizerFiles.Multilingual.Encode("₹", "hi")[^1]);
        Assert.Equal(1, older.Encode("₹", "hi")[^1]);
        Assert.Equal(TokenizerFiles.Multilingual.Encode("Guten Tag.", "de"), older.Encode("Guten Tag.", "de"));
    }

    [Fact]
    public void Language_is_checked_and_its_case_does_not_matter()
    {
        Assert.Equal(TokenizerFiles.Multilingual.Encode("Ça va.", "fr"), TokenizerFiles.Multilingual.Encode("Ça va.", "FR"));
        Assert.Equal(TokenizerFiles.English.Encode("Hi."), TokenizerFiles.English.Encode("Hi.", "en"));
        foreach (
            var (tokenizer, language) in new[]
            {
                (TokenizerFiles.Multilingual, "xx"),
                (TokenizerFiles.Multilingual, "sip"),
                (TokenizerFiles.English, "fr"),
                (TokenizerFiles.Turbo, "de"),
            }
        )
        {
            var error = Assert.Throws<RequestException>(() => tokenizer.Encode("Hi.", language));
            Assert.Equal("language", error.Parameter);
            Assert.Contains(language, error.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Turbo_refuses_what_the_reference_would_cut_off()
    {
        var longest = string.Concat(Enumerable.Repeat(" word", 1024));
        Assert.Equal(1024, TokenizerFiles.Turbo.Encode(longest).Length);
        var error = Assert.Throws<RequestException>(() => TokenizerFiles.Turbo.Encode(longest + " word"));
        Assert.Equal("text", error.Parameter);
        Assert.Contains("1025", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Unknown_characters_are_named_once_each()
    {
        Assert.Equal(["你", "好", "😀"], TokenizerFiles.English.UnknownCharacters("Hello 你好你 😀 [laughter]."));
        Assert.Equal(["漢", "字"], TokenizerFiles.Multilingual.UnknownCharacters("かな 漢字", "ja"));
        Assert.Empty(TokenizerFiles.Multilingual.UnknownCharacters("漢字。", "zh"));
        Assert.Empty(TokenizerFiles.Multilingual.UnknownCharacters("Ça va, Straße, ½", "fr"));
        Assert.Empty(TokenizerFiles.Turbo.UnknownCharacters("Hello 你好 😀"));
    }

    [Fact]
    public async Task Many_threads_may_encode_at_once()
    {
        var texts = Enumerable.Range(0, 200).Select(i => $"Sentence number {i} of {i * 7919} is [laugh] don't-stop {i:X}.").ToArray();
        var expected = texts.Select(t => TokenizerFiles.English.Encode(t)).ToArray();
        var shared = TextTokenizer.LoadEnglish(TokenizerFiles.EnglishJson);
        var all = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(() => texts.Select(t => shared.Encode(t)).ToArray())));
        Assert.All(all, actual => Assert.Equal(expected, actual));
    }

    [Theory]
    [InlineData("", "JSON")]
    [InlineData("{", "JSON")]
    [InlineData("null", "empty")]
    [InlineData("{}", "JSON")]
    [InlineData("[1]", "JSON")]
    public void A_damaged_tokenizer_file_is_named(string content, string reason)
    {
        var path = Path.Combine(_folder, "tokenizer.json");
        File.WriteAllText(path, content);
        AssertNames(path, reason, () => TextTokenizer.LoadEnglish(path));
        AssertNames(path, reason, () => TextTokenizer.LoadMultilingual(path));
    }

    [Fact]
    public void A_tokenizer_file_of_another_kind_is_named()
    {
        AssertNamesAfter(file => file["model"]!["type"] = "Unigram", "Unigram");
        AssertNamesAfter(file => file["pre_tokenizer"]!["type"] = "ByteLevel", "ByteLevel");
        AssertNamesAfter(file => file["normalizer"] = new JsonObject { ["type"] = "NFKC" }, "NFKC");
        AssertNamesAfter(file => file["model"]!["vocab"]!.AsObject().Remove("[START]"), "[START]");
        AssertNamesAfter(file => file["model"]!["vocab"]!.AsObject().Remove("th"), "th");
        AssertNamesAfter(file => file["model"]!["merges"]!.AsArray().Add("nonsense"), "");
        AssertNamesAfter(file => file["added_tokens"]!.AsArray().Add(file["added_tokens"]![0]!.DeepClone()), "[STOP]");
    }

    [Fact]
    public void Merges_may_be_written_as_pairs()
    {
        var path = Edited(file =>
        {
            var pairs = file["model"]!["merges"]!
                .AsArray()
                .Select(m => (JsonNode)new JsonArray([.. m!.GetValue<string>().Split(' ').Select(p => JsonValue.Create(p))]));
            file["model"]!["merges"] = new JsonArray([.. pairs]);
        });
        Assert.Equal(
            TokenizerFiles.English.Encode("The thing is singing."),
            TextTokenizer.LoadEnglish(path).Encode("The thing is singing.")
        );
    }

    [Fact]
    public void A_missing_file_is_named()
    {
        AssertNames(Path.Combine(_folder, "no.json"), "missing", () => TextTokenizer.LoadEnglish(Path.Combine(_folder, "no.json")));
        AssertNames(Path.Combine(_folder, "none/vocab.json"), "missing", () => TextTokenizer.LoadTurbo(Path.Combine(_folder, "none")));
        foreach (var file in new[] { "vocab.json", "added_tokens.json", "merges.txt" })
        {
            CopyTurbo();
            File.Delete(Path.Combine(_folder, file));
            AssertNames(Path.Combine(_folder, file), "missing", () => TextTokenizer.LoadTurbo(_folder));
        }
    }

    [Fact]
    public void Damaged_turbo_files_are_named()
    {
        CopyTurbo();
        File.AppendAllText(Path.Combine(_folder, "merges.txt"), "not-in-the-vocabulary x\n");
        AssertNames(Path.Combine(_folder, "merges.txt"), "not-in-the-vocabulary", () => TextTokenizer.LoadTurbo(_folder));

        CopyTurbo();
        File.WriteAllText(Path.Combine(_folder, "added_tokens.json"), "[]");
        AssertNames(Path.Combine(_folder, "added_tokens.json"), "JSON", () => TextTokenizer.LoadTurbo(_folder));

        CopyTurbo();
        var vocabulary = JsonSerializer.Deserialize<Dictionary<string, int>>(File.ReadAllBytes(Path.Combine(_folder, "vocab.json")))!;
        vocabulary.Remove("Ġ");
        File.WriteAllText(Path.Combine(_folder, "vocab.json"), JsonSerializer.Serialize(vocabulary));
        AssertNames(
            Path.Combine(_folder, "merges.txt"),
            "vocab.json beside it lacks the byte symbol Ġ",
            () => TextTokenizer.LoadTurbo(_folder)
        );
    }

    private static void AssertNames(string path, string reason, Func<object> load)
    {
        var error = Assert.Throws<CheckpointException>(load);
        Assert.StartsWith(path + ": ", error.Message, StringComparison.Ordinal);
        Assert.Contains(reason, error.Message, StringComparison.Ordinal);
        Assert.Contains("Download it again", error.Message, StringComparison.Ordinal);
    }

    private void AssertNamesAfter(Action<JsonNode> edit, string reason)
    {
        var path = Edited(edit);
        AssertNames(path, reason, () => TextTokenizer.LoadEnglish(path));
    }

    private string Edited(Action<JsonNode> edit)
    {
        var file = JsonNode.Parse(File.ReadAllBytes(TokenizerFiles.EnglishJson))!;
        edit(file);
        var path = Path.Combine(_folder, "tokenizer.json");
        File.WriteAllText(path, file.ToJsonString());
        return path;
    }

    private void CopyTurbo()
    {
        foreach (var file in new[] { "vocab.json", "added_tokens.json", "merges.txt" })
        {
            File.Copy(Path.Combine(TokenizerFiles.TurboFolder, file), Path.Combine(_folder, file), overwrite: true);
        }
    }
}
