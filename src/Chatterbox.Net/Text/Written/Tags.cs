using System.Text;
using System.Text.RegularExpressions;

namespace Chatterbox.Text.Written;

/// <summary>Tags of sounds and moods, such as [clear throat]: never changed.</summary>
internal static partial class Tags
{
    /// <summary>Changes what is between the tags of a text.</summary>
    public static string Between(string text, Func<string, string> change)
    {
        var (changed, from) = (new StringBuilder(text.Length), 0);
        foreach (var tag in Tag().EnumerateMatches(text))
        {
            changed.Append(change(text[from..tag.Index])).Append(text, tag.Index, tag.Length);
            from = tag.Index + tag.Length;
        }

        return changed.Append(change(text[from..])).ToString();
    }

    [GeneratedRegex(@"\[[A-Za-z][A-Za-z _]{0,29}\]")]
    private static partial Regex Tag();
}
