using System.Text;
using Chatterbox.Text.Unicode;

namespace Chatterbox.Text.SpelledOut;

/// <summary>English text with its abbreviations, times, telephone numbers and numbers in words, as Flash was trained to see it.</summary>
/// <remarks>Ports en_us_cleaner of chatterbox_flash text_norm/cleaners.py, oddities included: the model was trained with them.</remarks>
internal static class SpelledOutEnglish
{
    /// <summary>Spells a text out.</summary>
    public static string Clean(string text)
    {
        text = CollapseSpaces(UnicodeTables.Compose(text));
        text = Abbreviations.Expand(text);
        text = Times.Expand(text);
        text = PhoneNumbers.Expand(text);
        return Numbers.Expand(text);
    }

    /// <summary>Each run of white space becomes one space, at the ends too.</summary>
    private static string CollapseSpaces(string text)
    {
        var collapsed = new StringBuilder(text.Length);
        foreach (var c in text)
        {
            var isSpace = PythonText.IsSpace(c);
            if (!isSpace || collapsed.Length == 0 || collapsed[^1] != ' ')
            {
                collapsed.Append(isSpace ? ' ' : c);
            }
        }

        return collapsed.ToString();
    }
}
