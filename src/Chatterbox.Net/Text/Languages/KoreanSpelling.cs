namespace Chatterbox.Text.Languages;

/// <summary>Korean, in conjoining jamo.</summary>
/// <remarks>
/// Ports korean_normalize of chatterbox models/tokenizers/tokenizer.py. Its own splitting of syllables finds none, since
/// decomposition came before; what is left of it is the stripping of white space that decomposition may bring to the ends.
/// </remarks>
internal static class KoreanSpelling
{
    /// <summary>Spells decomposed text.</summary>
    public static string Spell(string text) => PythonText.Strip(text);
}
