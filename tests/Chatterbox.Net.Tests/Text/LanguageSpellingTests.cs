using System.Text.Json;
using Chatterbox.Text;
using Chatterbox.Text.Languages;
using Chatterbox.Text.Unicode;

namespace Chatterbox.Tests.Text;

public sealed class LanguageSpellingTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory().FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Both_forms_of_the_cangjie_table_spell_alike()
    {
        var rows = File.ReadAllLines(TokenizerFiles.CangjieText)[11..];
        var json = Path.Combine(_folder, "Cangjie5_TC.json");
        File.WriteAllText(json, JsonSerializer.Serialize(rows));
        var (fromText, fromJson) = (CangjieSpelling.Load(TokenizerFiles.CangjieText), CangjieSpelling.Load(json));

        var all = string.Concat(rows.Select(r => r.Split('\t')[0]));
        Assert.Equal(126610, rows.Length);
        Assert.Equal(fromText.Spell(all), fromJson.Spell(all));
    }

    [Fact]
    public void The_last_code_of_a_character_counts_and_later_characters_of_a_code_are_numbered()
    {
        var spelling = CangjieSpelling.Load(Table("""["日\ta", "曰\ta\t[O]", "見\tbuhu", "昌\taa", "見\ta"]"""));
        Assert.Equal("[cj_a][cj_.]", spelling.Spell("日"));
        Assert.Equal("[cj_a][cj_1][cj_.]", spelling.Spell("曰"));
        Assert.Equal("[cj_a][cj_2][cj_.]", spelling.Spell("見"));
        Assert.Equal("[cj_a][cj_a][cj_.] x, 中。", spelling.Spell("昌 x, 中。"));
    }

    [Fact]
    public void Characters_above_the_basic_plane_and_those_that_are_no_letters()
    {
        var spelling = CangjieSpelling.Load(Table("""["𠀀\tab", "〇\tc", "a\td"]"""));
        Assert.Equal("[cj_a][cj_b][cj_.]〇a", spelling.Spell("𠀀〇a"));
    }

    [Fact]
    public void A_segmenter_puts_spaces_between_words()
    {
        var spelling = CangjieSpelling.Load(Table("""["你\tonf", "好\tvnd", "世\tpt"]"""), new EveryTwo());
        Assert.Equal("[cj_o][cj_n][cj_f][cj_.][cj_v][cj_n][cj_d][cj_.] [cj_p][cj_t][cj_.]界", spelling.Spell("你好世界"));
        var tokenizer = TextTokenizer.LoadMultilingual(TokenizerFiles.MultilingualJson, spelling);
        Assert.Equal(2, tokenizer.Encode("你好世", "zh")[9]);
    }

    [
        Theory,
        InlineData("", "no rows"),
        InlineData("[]", "no rows"),
        InlineData("[\"日\"]", "日"),
        InlineData("[1]", "JSON"),
        InlineData("----\n日 a\n", "日 a")
    ]
    public void A_damaged_cangjie_table_is_named(string content, string reason)
    {
        var error = Assert.Throws<CheckpointException>(() => CangjieSpelling.Load(Table(content)));
        Assert.StartsWith(Path.Combine(_folder, "table"), error.Message, StringComparison.Ordinal);
        Assert.Contains(reason, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Chinese_without_a_table_is_refused_and_other_languages_are_not()
    {
        var tokenizer = TextTokenizer.LoadMultilingual(TokenizerFiles.MultilingualJson);
        var error = Assert.Throws<CheckpointException>(() => tokenizer.Encode("你好。", "zh"));
        Assert.Contains("Cangjie5_TC.json", error.Message, StringComparison.Ordinal);
        Assert.NotEmpty(tokenizer.Encode("かな。", "ja"));
        Assert.Contains(
            "missing",
            Assert.Throws<CheckpointException>(() => CangjieSpelling.Load(Path.Combine(_folder, "none"))).Message,
            StringComparison.Ordinal
        );
    }

    [Fact]
    public void Kana_stay_and_kanji_wait_for_a_reader()
    {
        Assert.Equal("かな カナ 漢字", JapaneseSpelling.Spell("かな カナ 漢字", null));
        Assert.Equal(TokenizerFiles.Multilingual.Encode("がギ。", "ja"), TokenizerFiles.Multilingual.Encode("か\u3099キ\u3099。", "ja"));
        Assert.DoesNotContain(1, TokenizerFiles.Multilingual.Encode("ひらがな、カタカナ。", "ja"));
    }

    [Fact]
    public void A_reader_gives_kanji_in_hiragana()
    {
        var reader = new Reader(
            new("私", "わたし"),
            new("は", "ハ"),
            new("花", "はな"),
            new("部屋", "へや"),
            new("ギター", "ぎたー"),
            new("学生", "がくせい"),
            new("々", "x"),
            new("鬱", "")
        );
        Assert.Equal("わたしは はな へやキ\u3099ターか\u3099くせい々", JapaneseSpelling.Spell("…", reader));
        var tokenizer = TextTokenizer.LoadMultilingual(TokenizerFiles.MultilingualJson, japanese: reader);
        Assert.Empty(tokenizer.UnknownCharacters("私", "ja").Except(["々"]));
    }

    [Fact]
    public void Mecab_reads_kanji_where_it_is_installed()
    {
        var mecab = MecabReader.Find();
        Assert.SkipWhen(
            mecab is null,
            "mecab with a dictionary of the IPADIC format is not installed (apt install mecab mecab-ipadic-utf8)"
        );
        string Read(string text) => JapaneseSpelling.Spell(UnicodeTables.Decompose(text), mecab);
        Assert.Equal(
            UnicodeTables.Decompose("わたしは とうきょうへいきました。").Replace(" ", "", StringComparison.Ordinal),
            Read("私は東京へ行きました。")
        );
        Assert.Equal(UnicodeTables.Decompose(" はな と  へや、ギター Abc がくせい ヴァパポ"), Read("花 と 部屋、ギター Abc 学生 ヴァパポ"));
        Assert.Equal("㐂", Read("㐂")); // what it cannot read stays, and is told as unknown
        Assert.Equal("", Read(""));
        var longText = string.Concat(Enumerable.Repeat("東京の部屋、", 3000));
        Assert.Equal(string.Concat(Enumerable.Repeat(Read("東京の部屋、"), 3000)), Read(longText));
        var tokenizer = TextTokenizer.LoadMultilingual(TokenizerFiles.MultilingualJson, japanese: mecab);
        Assert.Empty(tokenizer.UnknownCharacters("学校で日本語を勉強します。", "ja"));
        Assert.Equal(
            tokenizer.Encode("がっこうでにほんごをべんきょうします。", "ja"),
            tokenizer.Encode("学校で日本語を勉強します。", "ja")
        );
        Assert.Equal(mecab, MecabReader.Find());
    }

    [Fact]
    public void A_mecab_that_is_none_is_not_found()
    {
        Assert.Null(MecabReader.Find("no-such-program"));
        Assert.Null(MecabReader.Find("cat"));
    }

    [Fact]
    public void Korean_becomes_jamo_without_space_at_the_ends()
    {
        Assert.Equal(
            TokenizerFiles.Multilingual.Encode("\u1112\u1161\u11AB", "ko"),
            TokenizerFiles.Multilingual.Encode("\u00A0한\u3000", "ko")
        );
        Assert.Equal("가 나", KoreanSpelling.Spell(" \u001C가 나\n"));
    }

    [Fact]
    public void Hebrew_and_russian_pass_through()
    {
        Assert.DoesNotContain(1, TokenizerFiles.Multilingual.Encode("שָׁלוֹם, привет.", "he"));
        Assert.Equal(TokenizerFiles.Multilingual.Encode("привет.", "he")[1..], TokenizerFiles.Multilingual.Encode("Привет.", "ru")[1..]);
    }

    private string Table(string content)
    {
        var path = Path.Combine(_folder, "table");
        File.WriteAllText(path, content);
        return path;
    }

    private sealed class EveryTwo : IChineseSegmenter
    {
        public IEnumerable<string> Cut(string text) => text.Chunk(2).Select(word => new string(word));
    }

    private sealed class Reader(params JapanesePiece[] pieces) : IJapaneseReader
    {
        public IEnumerable<JapanesePiece> Read(string text) => pieces;
    }
}
