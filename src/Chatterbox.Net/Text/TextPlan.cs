using System.Globalization;
using System.Text.RegularExpressions;

namespace Chatterbox.Text;

/// <summary>A text of any length as it is spoken: pieces that the model speaks well, and the silence after each.</summary>
/// <param name="Pieces">The pieces, in order.</param>
/// <param name="PausesSeconds">Silence before the first piece, then after each; one more than pieces.</param>
/// <example><code>
/// var plan = TextPlan.Of(text);
/// var speech = new JoinedSpeech(plan);
/// var job = engine.Submit(new SpeechRequest { Pieces = plan.Pieces });
/// await foreach (var block in speech.Blocks(job.Events)) { … }
/// </code></example>
public sealed partial record TextPlan(IReadOnlyList<string> Pieces, IReadOnlyList<double> PausesSeconds)
{
    /// <summary>Most characters of the first piece: the shorter it is, the earlier the first audio.</summary>
    private const int FirstPieceLength = 120;

    private const double LongestPauseSeconds = 30;
    private const double MostPauseSeconds = 300;
    private const double SentencePauseSeconds = 0.25;
    private const double ClausePauseSeconds = 0.1;

    /// <summary>The pieces as they were written, one for each of <see cref="Pieces"/>: the same unless a <see cref="SpokenForm"/> changed
    /// them.</summary>
    public IReadOnlyList<string> Written { get; init; } = Pieces;

    /// <summary>The plan of speech that is converted from a recording: one piece, no text.</summary>
    public static TextPlan Wordless { get; } = new([""], [0, 0]);

    /// <summary>Splits a text at its pause marks, sentence ends, and clauses.</summary>
    /// <param name="text">The text; <c>[pause:1.5s]</c> is a pause.</param>
    /// <param name="parameter">Its name in errors.</param>
    /// <param name="pieceLength">Most characters of a piece.</param>
    /// <param name="form">Turns each piece into what is spoken; null leaves them as they are written.</param>
    /// <exception cref="RequestException">A pause is too long, or the text has no words.</exception>
    public static TextPlan Of(
        string text,
        string parameter = "text",
        int pieceLength = SentenceSplitter.DefaultLength,
        SpokenForm? form = null
    ) =>
        Speakable(
            Split(
                text,
                parameter,
                form,
                (part, isFirst) => SplitText(part, isFirst ? Math.Min(FirstPieceLength, pieceLength) : pieceLength, pieceLength)
            ),
            parameter
        );

    /// <summary>Splits a text so that no piece has words of two sentences.</summary>
    /// <inheritdoc cref="Of"/>
    public static TextPlan OfSentences(string text, string parameter = "text", SpokenForm? form = null) =>
        Speakable(Split(text, parameter, form, (part, _) => Sentences(part)), parameter);

    /// <summary>Splits a sentence at its pause marks and where it is too long for the model; it may have no pieces.</summary>
    /// <inheritdoc cref="Of"/>
    public static TextPlan OfSentence(string text, string parameter = "text", SpokenForm? form = null) =>
        Split(text, parameter, form, (part, _) => SplitText(part, SentenceSplitter.DefaultLength, SentenceSplitter.DefaultLength));

    /// <summary>The same plan as the continuation of other speech, with the silence that belongs between them.</summary>
    /// <param name="words">The text that was spoken before.</param>
    public TextPlan Behind(string words) =>
        PausesSeconds[0] > 0 ? this : this with { PausesSeconds = [PauseBehind(words), .. PausesSeconds.Skip(1)] };

    private static double PauseBehind(string words) => SentenceEnd().IsMatch(words) ? SentencePauseSeconds : ClausePauseSeconds;

    private static TextPlan Speakable(TextPlan plan, string parameter) =>
        plan.Pieces.Count > 0
            ? plan
            : throw new RequestException(
                $"There is nothing to speak in '{parameter}': it has no letter and no digit. Send some words.",
                parameter
            );

    private static TextPlan Split(string text, string parameter, SpokenForm? form, Func<string, bool, IEnumerable<string>> split)
    {
        var pieces = new List<(string Written, string Spoken)>();
        List<double> pauses = [0]; // always one more than pieces
        var from = 0;
        foreach (Match mark in PauseMark().Matches(text))
        {
            AddPieces(split(text[from..mark.Index], pieces.Count == 0), form, pieces, pauses);
            from = mark.Index + mark.Length;
            pauses[^1] += double.Parse(mark.Groups[1].Value, CultureInfo.InvariantCulture);
            if (pauses[^1] > LongestPauseSeconds)
            {
                throw new RequestException(
                    string.Create(
                        CultureInfo.InvariantCulture,
                        $"A pause of {pauses[^1]:0.###} s is too long: there can be {LongestPauseSeconds:0} s between two words."
                    ),
                    parameter
                );
            }
        }

        AddPieces(split(text[from..], pieces.Count == 0), form, pieces, pauses);
        return pauses.Sum() <= MostPauseSeconds
            ? new TextPlan([.. pieces.Select(piece => piece.Spoken)], pauses) { Written = [.. pieces.Select(piece => piece.Written)] }
            : throw new RequestException(
                $"The pauses are {pauses.Sum():0} s together: there can be {MostPauseSeconds:0} s in a text.",
                parameter
            );
    }

    private static void AddPieces(
        IEnumerable<string> split,
        SpokenForm? form,
        List<(string Written, string Spoken)> pieces,
        List<double> pauses
    )
    {
        foreach (
            var piece in split
                .SelectMany(written => form?.Parts(written) ?? [(written, written)])
                .Where(piece => TextNormalizer.IsSpeakable(piece.Spoken))
        )
        {
            if (pieces.Count > 0 && pauses[^1] == 0)
            {
                pauses[^1] = PauseBehind(pieces[^1].Spoken);
            }

            pieces.Add(piece);
            pauses.Add(0);
        }
    }

    private static IEnumerable<string> SplitText(string text, int firstPieceLength, int pieceLength)
    {
        if (SentenceSplitter.Split(text, firstPieceLength) is not [var first, _, ..])
        {
            return SentenceSplitter.Split(text, pieceLength);
        }

        var rest = text[(text.IndexOf(first, StringComparison.Ordinal) + first.Length)..];
        return SentenceSplitter.Split(rest, pieceLength).Prepend(first);
    }

    private static IEnumerable<string> Sentences(string text)
    {
        for (var rest = text.TrimStart(); rest.Length > 0; )
        {
            var length = SentenceSplitter.FirstSpeakable(rest) is > 0 and var end ? end : rest.Length;
            yield return rest[..length].TrimEnd();
            rest = rest[length..].TrimStart();
        }
    }

    [GeneratedRegex(@"\[pause:\s*([0-9]{1,4}(?:\.[0-9]{1,3})?)\s*s?\]", RegexOptions.IgnoreCase)]
    private static partial Regex PauseMark();

    [GeneratedRegex("""[.!?…。！？][\p{P}]*$""")]
    private static partial Regex SentenceEnd();
}
