using Chatterbox.Text;

namespace Chatterbox.Service.OpenAi;

/// <summary>How a dialect takes the text of a request.</summary>
/// <param name="Parameter">Its name in the request.</param>
/// <param name="MostCharacters">Most characters of it.</param>
internal sealed record TextLimits(string Parameter, int MostCharacters)
{
    /// <summary>Those of OpenAI's speech route.</summary>
    public static TextLimits OpenAi { get; } = new("input", 4096);

    /// <summary>Most characters of a piece.</summary>
    public int PieceLength { get; init; } = SentenceSplitter.DefaultLength;

    /// <summary>Whether each sentence is a piece of its own, so that its time is known.</summary>
    public bool BySentence { get; init; }

    /// <summary>The text as it is spoken.</summary>
    public TextPlan Plan(string text, SpokenForm form) =>
        BySentence ? TextPlan.OfSentences(text, Parameter, form) : TextPlan.Of(text, Parameter, PieceLength, form);
}
