using System.Text;
using Chatterbox.Text.SpelledOut;

namespace Chatterbox.Text;

/// <summary>Punctuation of one variant of the family: what is replaced, in order, and what may end a text.</summary>
/// <param name="Replacements">Old and new text, each applied to the whole before the next.</param>
/// <param name="SentenceEnders">Characters after which no full stop is added.</param>
/// <remarks>Ports the tables of punc_norm in tts.py, mtl_tts.py and tts_turbo.py.</remarks>
internal sealed record PunctuationRules(IReadOnlyList<(string Old, string New)> Replacements, string SentenceEnders)
{
    /// <summary>English (tts.py).</summary>
    public static PunctuationRules English { get; } =
        new(
            [
                ("...", ", "),
                ("…", ", "),
                (":", ","),
                (" - ", ", "),
                (";", ", "),
                ("—", "-"),
                ("–", "-"),
                (" ,", ","),
                ("“", "\""),
                ("”", "\""),
                ("‘", "'"),
                ("’", "'"),
            ],
            ".!?-,"
        );

    /// <summary>Multilingual (mtl_tts.py): English, and full-width marks end a text too.</summary>
    public static PunctuationRules Multilingual { get; } = English with { SentenceEnders = ".!?-,、，。？！" };

    /// <summary>Turbo and Nano (tts_turbo.py): three dots, spaced hyphens and semicolons stay.</summary>
    public static PunctuationRules Turbo { get; } =
        English with
        {
            Replacements = [.. English.Replacements.Where(r => r.Old is not ("..." or " - " or ";"))],
        };
}

/// <summary>Brings a text's punctuation and spacing to what the models were trained on.</summary>
/// <remarks>
/// Ports punc_norm of tts.py, mtl_tts.py and tts_turbo.py. Where the reference speaks a sentence of its own for an empty
/// text, and a lone full stop for a blank one, <see cref="Normalize"/> refuses.
/// </remarks>
internal static class TextNormalizer
{
    private const int QuotedLength = 40;

    /// <summary>Normalised text, with something to speak in it.</summary>
    /// <param name="text">As it was written.</param>
    /// <param name="rules">The variant's punctuation; null spells the text out.</param>
    /// <exception cref="RequestException">The text is empty, blank, or has no letter, digit or tag.</exception>
    public static string Normalize(string text, PunctuationRules? rules)
    {
        if (string.IsNullOrEmpty(text))
        {
            throw new RequestException("The text is empty. Send a text with at least one letter or digit.", "text");
        }

        var normalized = rules is null ? SpelledOutEnglish.Clean(text) : Apply(text, rules);
        if (!IsSpeakable(normalized))
        {
            var quoted = text.Length <= QuotedLength ? text : text[..QuotedLength] + "…";
            throw new RequestException(
                $"The text '{quoted}' has nothing to speak: no letter, no digit and no tag such as [laugh]. "
                    + "Send a text with at least one of them.",
                "text"
            );
        }

        return normalized;
    }

    /// <summary>True where a text has a letter or a digit of any script; a tag such as [laugh] has letters.</summary>
    public static bool IsSpeakable(string text) => text.EnumerateRunes().Any(r => Rune.IsLetter(r) || Rune.IsNumber(r));

    /// <summary>The rules alone, whatever the text.</summary>
    public static string Apply(string text, PunctuationRules rules)
    {
        text = PythonText.CollapseSpaces(PythonText.UpperFirst(text));
        foreach (var (old, @new) in rules.Replacements)
        {
            text = text.Replace(old, @new, StringComparison.Ordinal);
        }

        text = text.TrimEnd(' ');
        return text.Length > 0 && rules.SentenceEnders.Contains(text[^1]) ? text : text + ".";
    }
}
