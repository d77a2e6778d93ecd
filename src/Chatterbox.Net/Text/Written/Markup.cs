using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace Chatterbox.Text.Written;

/// <summary>Leaves out marks of Markdown, code blocks and emoji.</summary>
internal sealed partial class Markup
{
    /// <summary>The marks that end the code block in which the text stands; null outside of one.</summary>
    public string? Fence { get; set; }

    /// <summary>What is left of the next part of a text.</summary>
    public string Skip(string part)
    {
        var kept = new List<string>();
        foreach (var line in part.Split('\n'))
        {
            var rest = line;
            if (Fence is not null && line.TrimStart().StartsWith(Fence, StringComparison.Ordinal))
            {
                Fence = null;
            }
            else if (Fence is null && FenceOf(line) is var (at, fence))
            {
                Fence = fence;
                rest = line[..at];
                if (line.IndexOf(fence, at + fence.Length, StringComparison.Ordinal) is > 0 and var end)
                {
                    (Fence, rest) = (null, rest + line[(end + fence.Length)..]); // a block in one line
                }

                if (!string.IsNullOrWhiteSpace(rest))
                {
                    kept.Add(Line(rest));
                }
            }
            else if (Fence is null)
            {
                kept.Add(Line(rest));
            }
        }

        return string.Join('\n', kept).Trim();
    }

    private static (int At, string Fence)? FenceOf(string line)
    {
        var at = line.IndexOf("```", StringComparison.Ordinal);
        return at >= 0 ? (at, "```")
            : line.TrimStart().StartsWith("~~~", StringComparison.Ordinal) ? (0, "~~~")
            : null;
    }

    private static string Line(string line)
    {
        if (Rule().IsMatch(line))
        {
            return "";
        }

        line = LineStart().Replace(line, "");
        line = Image().Replace(line, "");
        line = Link().Replace(line, "$1");
        line = Element().Replace(line, "");
        line = Marks().Replace(line, "");
        line = line.TrimStart().StartsWith('|') ? Cells().Replace(line.Trim().Trim('|'), ", ").Trim() : line;
        return WithoutEmoji(line);
    }

    private static string WithoutEmoji(string line)
    {
        if (!Emoji().IsMatch(line))
        {
            return line;
        }

        var kept = new StringBuilder(line.Length);
        var elements = StringInfo.GetTextElementEnumerator(line);
        while (elements.MoveNext())
        {
            var element = elements.GetTextElement();
            if (!Emoji().IsMatch(element))
            {
                kept.Append(element);
            }
        }

        return Spaces().Replace(kept.ToString(), " ");
    }

    [GeneratedRegex(@"^\s{0,20}(?:(?:[-*_]\s?){3,80}|[|:\s-]{3,200})\s*$")]
    private static partial Regex Rule();

    [GeneratedRegex(@"^\s{0,20}(?:#{1,6}\s+|(?:>\s?){1,8}|[-*+•]\s+(?:\[[ xX]\]\s+)?)")]
    private static partial Regex LineStart();

    [GeneratedRegex(@"!\[[^\]\[]{0,300}\]\([^)(\s]{0,1000}\)")]
    private static partial Regex Image();

    [GeneratedRegex(@"\[([^\]\[]{1,300})\]\([^)(\s]{0,1000}\)")]
    private static partial Regex Link();

    [GeneratedRegex(@"</?[A-Za-z][A-Za-z0-9]{0,20}(?:\s[^<>]{0,300})?/?>")]
    private static partial Regex Element();

    // Marks that stand at a word's edge: snake_case and 2*3 stay.
    [GeneratedRegex(@"`+|\*\*|__|~~|(?<![\p{L}\p{N}_*])[*_](?=[\p{L}\p{N}""'“(])|(?<=[\p{L}\p{N}.,!?;:""'”)])[*_](?![\p{L}\p{N}_*])")]
    private static partial Regex Marks();

    [GeneratedRegex(@"\s*\|\s*")]
    private static partial Regex Cells();

    [GeneratedRegex(
        @"[\u2600-\u27BF\u2B00-\u2BFF\u2300-\u23FF\uFE0F\u200D\u20E3]|\uD83C[\uDC00-\uDFFF]|\uD83D[\uDC00-\uDFFF]|\uD83E[\uDC00-\uDFFF]"
    )]
    private static partial Regex Emoji();

    [GeneratedRegex("[ ]{2,}")]
    private static partial Regex Spaces();
}
