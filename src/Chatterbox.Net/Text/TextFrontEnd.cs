using Chatterbox.Text.Languages;

namespace Chatterbox.Text;

/// <summary>A text as T3 reads it.</summary>
/// <param name="Tokens">Text tokens, without start and stop.</param>
/// <param name="UnknownCharacters">Characters that the model does not know and speaks as noise, once each, in order.</param>
internal sealed record EncodedText(int[] Tokens, IReadOnlyList<string> UnknownCharacters);

/// <summary>Text as people write it → text tokens of one variant. Safe to use from several threads.</summary>
internal sealed class TextFrontEnd
{
    private readonly TextConfig _config;
    private readonly TextTokenizer _tokenizer;

    private TextFrontEnd(TextConfig config, TextTokenizer tokenizer)
    {
        _config = config;
        _tokenizer = tokenizer;
    }

    /// <summary>Loads a variant's tokenizer.</summary>
    /// <param name="config">The variant's.</param>
    /// <param name="tokenizerPath">The first of its tokenizer files; the others lie beside it.</param>
    /// <param name="cangjiePath">The table that Chinese is spelled by, or null where there is none.</param>
    /// <param name="segmenter">Finds the words of Chinese text; null for none.</param>
    /// <param name="japanese">Reads kanji; null for none.</param>
    /// <exception cref="CheckpointException">A file is damaged, or of another kind.</exception>
    public static TextFrontEnd Load(
        TextConfig config,
        string tokenizerPath,
        string? cangjiePath = null,
        IChineseSegmenter? segmenter = null,
        IJapaneseReader? japanese = null
    ) =>
        new(
            config,
            config.Tokenizer switch
            {
                TokenizerKind.English => TextTokenizer.LoadEnglish(tokenizerPath),
                TokenizerKind.Multilingual => TextTokenizer.LoadMultilingual(
                    tokenizerPath,
                    cangjiePath is null ? null : CangjieSpelling.Load(cangjiePath, segmenter),
                    japanese,
                    config.Languages
                ),
                TokenizerKind.Gpt2 => TextTokenizer.LoadTurbo(Path.GetDirectoryName(tokenizerPath)!),
                _ => throw new ArgumentOutOfRangeException(nameof(config), config.Tokenizer, "There is no such kind of tokenizer."),
            }
        );

    /// <summary>Encodes a text.</summary>
    /// <param name="text">As it was written.</param>
    /// <param name="language">Code such as "fr"; null for the variant's default.</param>
    /// <exception cref="RequestException">There is nothing to speak, too much of it, or the language is not the model's.</exception>
    public EncodedText Encode(string text, string? language)
    {
        language ??= _config.DefaultLanguage;
        var normalized = TextNormalizer.Normalize(text, _config.Punctuation);
        return new EncodedText(_tokenizer.Encode(normalized, language), _tokenizer.UnknownCharacters(normalized, language));
    }
}
