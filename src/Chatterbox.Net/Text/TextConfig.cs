namespace Chatterbox.Text;

/// <summary>How a variant turns text into text tokens.</summary>
/// <param name="Tokenizer">The kind of its tokenizer.</param>
/// <param name="Punctuation">What it was trained to see; null where it was trained on texts that are spelled out instead.</param>
internal sealed record TextConfig(TokenizerKind Tokenizer, PunctuationRules? Punctuation)
{
    /// <summary>Codes of the languages it speaks.</summary>
    public IReadOnlyList<string> Languages { get; init; } = ["en"];

    /// <summary>Tags of sounds and moods that it was trained to speak, such as [laugh].</summary>
    public IReadOnlyList<string> Tags { get; init; } = [];

    /// <summary>The language of a request that names none; null leaves the text without a language's tag.</summary>
    public string? DefaultLanguage { get; init; }
}

/// <summary>The kinds of tokenizers in the family.</summary>
internal enum TokenizerKind
{
    /// <summary>A tokenizer.json, without languages.</summary>
    English,

    /// <summary>A tokenizer.json with a tag for each language, some of which have a spelling of their own.</summary>
    Multilingual,

    /// <summary>GPT-2's files, with tags for sounds and moods.</summary>
    Gpt2,
}
