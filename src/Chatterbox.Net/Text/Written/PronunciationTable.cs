using System.Text;

namespace Chatterbox.Text.Written;

/// <summary>Respells words.</summary>
internal sealed class PronunciationTable
{
    private const int KeyLength = 4;

    /// <summary>The words by their first four letters or fewer, without regard to case; the longest first.</summary>
    private readonly Dictionary<string, List<(string Word, string Respelling, bool AnyCase)>> _words = new(
        StringComparer.OrdinalIgnoreCase
    );

    /// <param name="words">Words and respellings.</param>
    public PronunciationTable(IReadOnlyDictionary<string, string> words)
    {
        foreach (var (word, respelling) in words.Where(word => word.Key.Length > 0).OrderByDescending(word => word.Key.Length))
        {
            var key = word[..Math.Min(KeyLength, word.Length)];
            (_words.TryGetValue(key, out var known) ? known : _words[key] = []).Add((word, respelling, AnyCase: !word.Any(char.IsUpper)));
        }
    }

    /// <summary>Respells the words of a text, and changes what is between them.</summary>
    public string Between(string text, Func<string, string>? change)
    {
        change ??= words => words;
        if (_words.Count == 0)
        {
            return change(text);
        }

        var (changed, from) = (new StringBuilder(text.Length), 0);
        for (var i = 0; i < text.Length; i++)
        {
            if (BeginsWord(text, i) && Find(text, i) is { } found)
            {
                changed.Append(change(text[from..i])).Append(found.Respelling);
                from = i + found.Length;
                i = from - 1;
            }
        }

        return changed.Append(change(text[from..])).ToString();
    }

    private (int Length, string Respelling)? Find(string text, int at)
    {
        (string Word, string Respelling)? best = null;
        for (var length = Math.Min(KeyLength, text.Length - at); length > 0; length--)
        {
            foreach (var (word, respelling, anyCase) in _words.GetValueOrDefault(text.Substring(at, length), []))
            {
                if (word.Length > (best?.Word.Length ?? 0) && Fits(text, at, word, anyCase))
                {
                    best = (word, respelling);
                    break;
                }
            }
        }

        return best is null ? null : (best.Value.Word.Length, Capitalized(text, at, best.Value.Word, best.Value.Respelling));
    }

    private static bool Fits(string text, int at, string word, bool anyCase)
    {
        var end = at + word.Length;
        return end <= text.Length
            && string.Compare(text, at, word, 0, word.Length, anyCase ? StringComparison.OrdinalIgnoreCase : StringComparison.Ordinal) == 0
            && (end == text.Length || !char.IsLetterOrDigit(text[end]) || !char.IsLetterOrDigit(word[^1]));
    }

    /// <summary>A respelling without capitals begins with one where the word does.</summary>
    private static string Capitalized(string text, int at, string word, string respelling) =>
        respelling.Length > 0 && char.IsUpper(text[at]) && char.IsLower(word[0]) && char.IsLower(respelling[0])
            ? char.ToUpperInvariant(respelling[0]) + respelling[1..]
            : respelling;

    private static bool BeginsWord(string text, int at) =>
        at == 0 || !char.IsLetterOrDigit(text[at - 1]) || !char.IsLetterOrDigit(text[at]);
}
