using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Chatterbox.Text.Languages;

/// <summary>Finds the words of Chinese text: the seam for a segmenter of the caller's choice.</summary>
public interface IChineseSegmenter
{
    /// <summary>The words of a text in order, without the white space between them.</summary>
    /// <param name="text">Lower-cased and in NFKD.</param>
    IEnumerable<string> Cut(string text);
}

/// <summary>Chinese, each character by the keys that type it in Cangjie: 你 is o, n, f.</summary>
/// <remarks>
/// Ports ChineseCangjieConverter of chatterbox models/tokenizers/tokenizer.py. A segmenter stands where pkuseg did; without
/// one no spaces come between words, as in the reference without pkuseg. The reference looks for its table on the network
/// only and speaks on without it; here the table is a file of the checkpoint.
/// </remarks>
internal sealed class CangjieSpelling
{
    private readonly Dictionary<string, string> _keys;
    private readonly IChineseSegmenter? _segmenter;

    private CangjieSpelling(Dictionary<string, string> keys, IChineseSegmenter? segmenter)
    {
        _keys = keys;
        _segmenter = segmenter;
    }

    /// <summary>Reads the table.</summary>
    /// <param name="path">Cangjie5_TC.json as the checkpoint has it, or Cangjie5_TC.txt, which it was made from.</param>
    /// <param name="segmenter">Puts spaces between words.</param>
    /// <exception cref="CheckpointException">The file is missing or is neither.</exception>
    public static CangjieSpelling Load(string path, IChineseSegmenter? segmenter = null)
    {
        try
        {
            var text = File.ReadAllText(path);
            return new CangjieSpelling(Keys(text.StartsWith('[') ? JsonRows(text) : TextRows(text)), segmenter);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException or FormatException)
        {
            var reason = e is FileNotFoundException or DirectoryNotFoundException ? "it is missing" : e.Message.TrimEnd('.');
            throw new CheckpointException(
                $"{path}: cannot be used as the Cangjie table of Chinese: {reason}. "
                    + "Download Cangjie5_TC.json again from the model's own repository.",
                e
            );
        }
    }

    /// <summary>The error of Chinese text where there is no table.</summary>
    /// <param name="tokenizerPath">File beside which it was looked for.</param>
    public static CheckpointException Missing(string tokenizerPath) =>
        new(
            $"Chinese needs Cangjie5_TC.json beside {Path.GetFileName(tokenizerPath)}, in "
                + $"{Path.GetDirectoryName(Path.GetFullPath(tokenizerPath))}. "
                + "Download it from the model's own repository."
        );

    /// <summary>Spells decomposed text: each letter without case (Lo) that the table has becomes its keys' tokens.</summary>
    public string Spell(string text)
    {
        var spelled = new StringBuilder(text.Length * 4);
        foreach (var rune in (_segmenter is null ? text : string.Join(' ', _segmenter.Cut(text))).EnumerateRunes())
        {
            var glyph = rune.ToString();
            if (Rune.GetUnicodeCategory(rune) == UnicodeCategory.OtherLetter && _keys.TryGetValue(glyph, out var keys))
            {
                spelled.AppendJoin(null, keys.Select(key => $"[cj_{key}]")).Append("[cj_.]");
            }
            else
            {
                spelled.Append(glyph);
            }
        }

        return spelled.ToString();
    }

    /// <summary>Keys by glyph: of a glyph with several codes the last row counts; of glyphs with one code, all but the first carry a
    /// number.</summary>
    private static Dictionary<string, string> Keys(IEnumerable<string> rows)
    {
        var keys = new Dictionary<string, string>();
        var glyphsOfCode = new Dictionary<string, int>();
        foreach (var row in rows)
        {
            if (row.Split('\t') is not [{ Length: > 0 } glyph, { Length: > 0 } code, ..])
            {
                throw new FormatException($"row '{row}' is not a character, a tab and its code");
            }

            var number = glyphsOfCode.GetValueOrDefault(code);
            glyphsOfCode[code] = number + 1;
            keys[glyph] = number == 0 ? code : code + number.ToString(CultureInfo.InvariantCulture);
        }

        return keys.Count > 0 ? keys : throw new FormatException("it has no rows");
    }

    private static IEnumerable<string> JsonRows(string text) => JsonSerializer.Deserialize<string[]>(text)!;

    /// <summary>The rows behind the second rule of dashes; what is before it explains the table.</summary>
    private static IEnumerable<string> TextRows(string text)
    {
        var lines = text.ReplaceLineEndings("\n").Split('\n', StringSplitOptions.RemoveEmptyEntries);
        return lines[(Array.FindLastIndex(lines, line => line.All(c => c == '-')) + 1)..];
    }
}
