using System.Text;
using Chatterbox.Text.Unicode;

namespace Chatterbox.Text.Languages;

/// <summary>A stretch of Japanese text and how it is read.</summary>
/// <param name="Written">The text itself.</param>
/// <param name="Hiragana">Its reading; used where <paramref name="Written"/> has kanji.</param>
public readonly record struct JapanesePiece(string Written, string Hiragana);

/// <summary>Reads kanji: the seam for a morphological analyser or dictionary of the caller's choice.</summary>
public interface IJapaneseReader
{
    /// <summary>Cuts a text into words whose <see cref="JapanesePiece.Written"/>, put together, are the text, composed or not.</summary>
    /// <param name="text">Lower-cased and in NFKD: a voiced kana comes as kana and U+3099.</param>
    IEnumerable<JapanesePiece> Read(string text);
}

/// <summary>Japanese, in kana.</summary>
/// <remarks>
/// Ports hiragana_normalize of chatterbox models/tokenizers/tokenizer.py around a reader that stands where pykakasi did,
/// whose licence keeps it out. Without one, text stays as it is, as in the reference without pykakasi.
/// </remarks>
internal static class JapaneseSpelling
{
    /// <summary>Spells decomposed text: words with kanji by their reading, all others as written.</summary>
    public static string Spell(string text, IJapaneseReader? reader)
    {
        if (reader is null)
        {
            return text;
        }

        var spelled = new StringBuilder(text.Length);
        foreach (var (written, hiragana) in reader.Read(text))
        {
            if (!written.Any(IsKanji))
            {
                spelled.Append(written);
                continue;
            }

            if (hiragana is ['は' or 'へ', ..])
            {
                spelled.Append(' '); // not to be taken for the particle of the word before
            }

            spelled.Append(hiragana);
        }

        return UnicodeTables.Decompose(spelled.ToString());
    }

    private static bool IsKanji(char c) => c is >= '\u4E00' and <= '\u9FFF';
}
