using Chatterbox.Text.Languages;
using Chatterbox.Text.Unicode;

namespace Chatterbox.Text;

/// <summary>Normalised text → text tokens of one model of the family. Start and stop tokens are T3's to add.</summary>
/// <remarks>
/// Ports EnTokenizer and MTLTokenizer of chatterbox models/tokenizers/tokenizer.py, and the GPT2Tokenizer that tts_turbo.py
/// loads. Safe to use from several threads.
/// </remarks>
internal sealed class TextTokenizer
{
    /// <summary>The token that stands for U+0020 in the vocabularies of the Llama models.</summary>
    public const string Space = "[SPACE]";

    private readonly BytePairEncoder _encoder;
    private readonly Func<string, string?, string> _spell;
    private readonly int _maxTokens;

    private TextTokenizer(BytePairEncoder encoder, Func<string, string?, string> spell, int maxTokens = int.MaxValue)
    {
        _encoder = encoder;
        _spell = spell;
        _maxTokens = maxTokens;
    }

    /// <summary>The English model's.</summary>
    /// <param name="path">tokenizer.json.</param>
    /// <exception cref="CheckpointException">The file is missing, damaged, or of another kind.</exception>
    public static TextTokenizer LoadEnglish(string path) =>
        new(BytePairEncoder.FromTokenizerJson(path), (text, language) => MarkSpaces(EnglishOnly(text, language)));

    /// <summary>The multilingual model's.</summary>
    /// <param name="path">grapheme_mtl_merged_expanded_v1.json, of either version.</param>
    /// <param name="cangjie">Spells Chinese; null where the checkpoint has no Cangjie5_TC.json, and Chinese is refused.</param>
    /// <param name="japanese">Reads kanji; null leaves them as they are, which the model does not know.</param>
    /// <param name="languages">Codes of the languages that the model speaks; null for all of <see cref="SupportedLanguages"/>.</param>
    /// <exception cref="CheckpointException">The file is missing, damaged, or of another kind.</exception>
    public static TextTokenizer LoadMultilingual(
        string path,
        CangjieSpelling? cangjie = null,
        IJapaneseReader? japanese = null,
        IReadOnlyCollection<string>? languages = null
    )
    {
        languages ??= [.. SupportedLanguages.Names.Keys];
        var encoder = BytePairEncoder.FromTokenizerJson(path);
        var spellings = new Dictionary<string, Func<string, string>>
        {
            ["zh"] = cangjie is not null ? cangjie.Spell : _ => throw CangjieSpelling.Missing(path),
            ["ja"] = text => JapaneseSpelling.Spell(text, japanese),
            ["ko"] = KoreanSpelling.Spell,
        };
        return new TextTokenizer(
            encoder,
            (text, language) =>
            {
                text = UnicodeTables.Decompose(PythonText.Lower(text));
                if (language is null)
                {
                    return MarkSpaces(text);
                }

                var code = language.ToLowerInvariant();
                if (!languages.Contains(code) || !encoder.IsAddedToken($"[{code}]"))
                {
                    throw new RequestException(
                        $"Language '{language}' is not one that this model speaks. Choose one of: {string.Join(", ", languages)}.",
                        "language"
                    );
                }

                return MarkSpaces($"[{code}]" + (spellings.TryGetValue(code, out var spell) ? spell(text) : text));
            }
        );
    }

    /// <summary>Turbo's and Nano's: GPT-2's, with 19 tags.</summary>
    /// <param name="folder">Folder of vocab.json, merges.txt and added_tokens.json.</param>
    /// <param name="maxTokens">Most tokens of a text. The reference cuts off what is beyond its tokenizer's 1024 without a word; here it is
    /// an error.</param>
    /// <exception cref="CheckpointException">A file is missing, damaged, or of another kind.</exception>
    public static TextTokenizer LoadTurbo(string folder, int maxTokens = 1024) =>
        new(BytePairEncoder.FromGpt2Files(folder), EnglishOnly, maxTokens);

    /// <summary>Text tokens of a normalised text, without start and stop tokens.</summary>
    /// <param name="text">What <see cref="TextNormalizer"/> returned.</param>
    /// <param name="language">Code such as "fr". Multilingual: null leaves out the language's tag. The others: "en" or null.</param>
    /// <exception cref="RequestException">The language is not the model's, or the text has more tokens than the model takes.</exception>
    public int[] Encode(string text, string? language = null)
    {
        var ids = _encoder.Encode(_spell(text, language));
        return ids.Length <= _maxTokens
            ? ids
            : throw new RequestException(
                $"The text has {ids.Length} text tokens, and this model takes {_maxTokens} at most. Send it in shorter pieces.",
                "text"
            );
    }

    /// <summary>Each character of a text, as the language spells it, that the model does not know and would speak as noise; once, in
    /// order.</summary>
    /// <remarks>Characters come as they reach the vocabulary: multilingual ones in lower case and decomposed.</remarks>
    /// <exception cref="RequestException">The language is not the model's.</exception>
    public IReadOnlyList<string> UnknownCharacters(string text, string? language = null) =>
        _encoder.UnknownCharacters(_spell(text, language));

    private static string EnglishOnly(string text, string? language) =>
        language is null || language.Equals("en", StringComparison.OrdinalIgnoreCase)
            ? text
            : throw new RequestException(
                $"Language '{language}': this model speaks English (en) only. Use a multilingual model.",
                "language"
            );

    private static string MarkSpaces(string text) => text.Replace(" ", Space, StringComparison.Ordinal);
}
