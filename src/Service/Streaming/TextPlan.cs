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
    private const double MostPauseSeconds = 300;
    private const double SentencePauseSeconds = 0.25;
    private const double ClausePauseSeconds = 0.1;

    /// <summary>The plan of speech that comes from a recording.</summary>
    public static TextPlan Wordless { get; } = new([""], [0, 0]);

    /// <summary>Splits a text at its pause marks, sentence ends, and clauses.</summary>
    /// <param name="text">The text; <c>[pause:1.5s]</c> is a pause.</param>
    /// <param name="parameter">Its name in the request.</param>
    /// <exception cref="RequestException">A pause is too long, or there is nothing to say.</exception>
    public static TextPlan Of(string text, string parameter) => Split(text, parameter, FirstPieceLength) is { Pieces.Count: > 0 } plan ? plan
        : throw new RequestException($"There is nothing to say in '{parameter}': it has no letter and no digit. Send some words.", parameter);

    /// <summary>Splits a sentence that is heard as a whole, at its pause marks and where it is too long for the model; it may have no pieces.</summary>
    /// <inheritdoc cref="Of"/>
    public static TextPlan OfSentence(string text, string parameter) => Split(text, parameter, SentenceSplitter.DefaultLength);

    /// <summary>The same plan behind other words, with the silence that belongs between them.</summary>
    public TextPlan Behind(string words) => PausesSeconds[0] > 0 ? this : this with { PausesSeconds = [PauseBehind(words), .. PausesSeconds.Skip(1)] };

    private static double PauseBehind(string words) => SentenceEnd().IsMatch(words) ? SentencePauseSeconds : ClausePauseSeconds;

    private static TextPlan Split(string text, string parameter, int firstPieceLength)
    {
        var pieces = new List<string>();
        List<double> pauses = [0]; // always one more than pieces
        var from = 0;
        foreach (Match mark in PauseMark().Matches(text))
        {
            AddPieces(text[from..mark.Index], firstPieceLength, pieces, pauses);
            from = mark.Index + mark.Length;
            pauses[^1] += double.Parse(mark.Groups[1].Value, CultureInfo.InvariantCulture);
            if (pauses[^1] > LongestPauseSeconds)
            {
                throw new RequestException(
                    string.Create(CultureInfo.InvariantCulture, $"A pause of {pauses[^1]:0.###} s is too long: there can be {LongestPauseSeconds:0} s between two words."), parameter);
            }
        }

        AddPieces(text[from..], firstPieceLength, pieces, pauses);
        return pauses.Sum() <= MostPauseSeconds ? new TextPlan(pieces, pauses)
            : throw new RequestException($"The pauses are {pauses.Sum():0} s together: there can be {MostPauseSeconds:0} s in a text.", parameter);
    }

    private static void AddPieces(string text, int firstPieceLength, List<string> pieces, List<double> pauses)
    {
        foreach (var piece in SplitText(text, pieces.Count == 0 ? firstPieceLength : SentenceSplitter.DefaultLength).Where(TextNormalizer.IsSpeakable))
        {
            if (pieces.Count > 0 && pauses[^1] == 0)
            {
                pauses[^1] = PauseBehind(pieces[^1]);
            }

            pieces.Add(piece);
            pauses.Add(0);
        }
    }

    private static IEnumerable<string> SplitText(string text, int firstPieceLength)
    {
        if (SentenceSplitter.Split(text, firstPieceLength) is not [var first, _, ..])
        {
            return SentenceSplitter.Split(text);
        }

        var rest = text[(text.IndexOf(first, StringComparison.Ordinal) + first.Length)..];
        return SentenceSplitter.Split(rest).Prepend(first);
    }

    [GeneratedRegex(@"\[pause:\s*(\d{1,4}(?:\.\d{1,3})?)\s*s?\]", RegexOptions.IgnoreCase)]
    private static partial Regex PauseMark();

    [GeneratedRegex("""[.!?…。！？][\p{P}]*$""")]
    private static partial Regex SentenceEnd();
}
