using System.Globalization;
using System.Text.RegularExpressions;
using Chatterbox.Text;

namespace Chatterbox.Service.Streaming;

/// <summary>A text as it is spoken: pieces that the model speaks well, and the silence after each.</summary>
/// <param name="Pieces">The pieces, in order.</param>
/// <param name="PausesSeconds">Silence before the first piece, then after each.</param>
internal sealed partial record TextPlan(IReadOnlyList<string> Pieces, IReadOnlyList<double> PausesSeconds)
{
    /// <summary>Most characters of the first piece: the shorter it is, the sooner something is heard.</summary>
    private const int FirstPieceLength = 120;

    private const double LongestPauseSeconds = 30;
    private const double SentencePauseSeconds = 0.25;
    private const double ClausePauseSeconds = 0.1;

    /// <summary>The plan of speech that comes from a recording.</summary>
    public static TextPlan Wordless { get; } = new([""], [0, 0]);

    /// <summary>Splits a text at its pause marks, sentence ends, and clauses.</summary>
    /// <param name="text">The text; <c>[pause:1.5s]</c> is a pause.</param>
    /// <param name="parameter">Its name in the request.</param>
    /// <exception cref="RequestException">A pause is too long, or there is nothing to say.</exception>
    public static TextPlan Of(string text, string parameter)
    {
        var pieces = new List<string>();
        List<double> pauses = [0]; // always one more than pieces
        var from = 0;
        foreach (Match mark in PauseMark().Matches(text))
        {
            AddPieces(text[from..mark.Index], pieces, pauses);
            from = mark.Index + mark.Length;
            pauses[^1] += double.Parse(mark.Groups[1].Value, CultureInfo.InvariantCulture);
            if (pauses[^1] > LongestPauseSeconds)
            {
                throw new RequestException(
                    string.Create(CultureInfo.InvariantCulture, $"A pause of {pauses[^1]:0.###} s is too long: there can be {LongestPauseSeconds:0} s between two words."), parameter);
            }
        }

        AddPieces(text[from..], pieces, pauses);
        return pieces.Count > 0 ? new TextPlan(pieces, pauses)
            : throw new RequestException($"There is nothing to say in '{parameter}': it has no letter and no digit. Send some words.", parameter);
    }

    private static void AddPieces(string text, List<string> pieces, List<double> pauses)
    {
        foreach (var piece in Split(text, isFirst: pieces.Count == 0).Where(TextNormalizer.IsSpeakable))
        {
            if (pieces.Count > 0 && pauses[^1] == 0)
            {
                pauses[^1] = SentenceEnd().IsMatch(pieces[^1]) ? SentencePauseSeconds : ClausePauseSeconds;
            }

            pieces.Add(piece);
            pauses.Add(0);
        }
    }

    private static IEnumerable<string> Split(string text, bool isFirst)
    {
        var whole = SentenceSplitter.Split(text);
        if (!isFirst || whole.Count == 0 || SentenceSplitter.Split(text, FirstPieceLength) is not [var first, _, ..])
        {
            return whole;
        }

        var rest = text[(text.IndexOf(first, StringComparison.Ordinal) + first.Length)..];
        return SentenceSplitter.Split(rest).Prepend(first);
    }

    [GeneratedRegex(@"\[pause:\s*(\d{1,4}(?:\.\d{1,3})?)\s*s?\]", RegexOptions.IgnoreCase)]
    private static partial Regex PauseMark();

    [GeneratedRegex("""[.!?…。！？][\p{P}]*$""")]
    private static partial Regex SentenceEnd();
}
