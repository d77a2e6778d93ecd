using System.Globalization;
using System.Text.RegularExpressions;

namespace Chatterbox.Service.Streaming;

/// <summary>A text as it is spoken: pieces that the model speaks well, and the silence after each.</summary>
/// <param name="Pieces">The pieces, in order.</param>
/// <param name="PausesSeconds">Silence before the first piece, then after each.</param>
internal sealed partial record TextPlan(IReadOnlyList<string> Pieces, IReadOnlyList<double> PausesSeconds)
{
    private const int LongestPiece = 280;
    private const double LongestPauseSeconds = 30;
    private const double SentencePauseSeconds = 0.25;
    private const double ClausePauseSeconds = 0.1;

    /// <summary>Splits a text at its pause marks, sentence ends, and clauses.</summary>
    /// <exception cref="RequestException">A pause is too long, or there is nothing to say.</exception>
    public static TextPlan Of(string text, string parameter)
    {
        var pieces = new List<string>();
        List<double> pauses = [0];
        var from = 0;
        foreach (Match mark in PauseMark().Matches(text))
        {
            AddPieces(text[from..mark.Index], pieces, pauses);
            from = mark.Index + mark.Length;
            var seconds = double.Parse(mark.Groups[1].Value, CultureInfo.InvariantCulture);
            pauses[^1] = pieces.Count == 0 || pauses[^1] > SentencePauseSeconds ? pauses[^1] + seconds : seconds;
            if (pauses[^1] > LongestPauseSeconds)
            {
                throw new RequestException($"A pause of {pauses[^1]:0.#} s is too long: at most {LongestPauseSeconds:0} s between two pieces of text.", parameter);
            }
        }

        AddPieces(text[from..], pieces, pauses);
        if (pieces.Count == 0)
        {
            throw new RequestException($"There is nothing to say in '{parameter}'. Send some words.", parameter);
        }

        return new TextPlan(pieces, pauses);
    }

    private static void AddPieces(string text, List<string> pieces, List<double> pauses)
    {
        foreach (var piece in Split(text))
        {
            if (pieces.Count > 0 && pauses[^1] == 0)
            {
                pauses[^1] = pieces[^1][^1] is '.' or '!' or '?' or '…' or '"' or '”' ? SentencePauseSeconds : ClausePauseSeconds;
            }

            pieces.Add(piece);
            pauses.Add(0);
        }
    }

    private static IEnumerable<string> Split(string text)
    {
        foreach (var sentence in SentenceEnd().Split(text).Select(s => s.Trim()).Where(s => s.Any(char.IsLetterOrDigit)))
        {
            var rest = sentence;
            while (rest.Length > LongestPiece)
            {
                var cut = rest.LastIndexOfAny([',', ';', ':'], LongestPiece - 1) is var clause and > LongestPiece / 3 ? clause + 1
                    : rest.LastIndexOf(' ', LongestPiece - 1) is var word and > 0 ? word : LongestPiece - (char.IsHighSurrogate(rest[LongestPiece - 1]) ? 1 : 0);
                yield return rest[..cut].Trim();
                rest = rest[cut..].Trim();
            }

            if (rest.Length > 0)
            {
                yield return rest;
            }
        }
    }

    [GeneratedRegex(@"\[pause:\s*(\d{1,4}(?:\.\d{1,3})?)\s*s?\]", RegexOptions.IgnoreCase)]
    private static partial Regex PauseMark();

    [GeneratedRegex(@"(?<=[.!?…])\s+|\n\s*")]
    private static partial Regex SentenceEnd();
}
