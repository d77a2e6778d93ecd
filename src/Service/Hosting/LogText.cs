using System.Globalization;
using System.Text;

namespace Chatterbox.Service.Hosting;

/// <summary>Text of users and names of files, made fit for a line of the log.</summary>
internal static class LogText
{
    /// <summary>The text with control and format characters, line ends among them, as <c>\u001B</c>: none reaches a terminal, and none
    /// makes one entry look like two.</summary>
    public static string Escape(string text)
    {
        if (!text.Any(MustEscape))
        {
            return text;
        }

        var escaped = new StringBuilder();
        foreach (var c in text)
        {
            if (MustEscape(c))
            {
                escaped.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:X4}");
            }
            else
            {
                escaped.Append(c);
            }
        }

        return escaped.ToString();
    }

    private static bool MustEscape(char c) =>
        char.GetUnicodeCategory(c)
            is UnicodeCategory.Control
                or UnicodeCategory.Format
                or UnicodeCategory.LineSeparator
                or UnicodeCategory.ParagraphSeparator;
}
