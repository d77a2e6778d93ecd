namespace Chatterbox.Engine;

/// <summary>One request to the engine.</summary>
public sealed record SpeechRequest
{
    /// <summary>What to say, in pieces that are spoken one by one (sentences, usually). Each is a unit of progress, of failure and of fairness.</summary>
    public required IReadOnlyList<string> Pieces { get; init; }

    /// <summary>Who says it; null for the model's own voice.</summary>
    public Voice? Voice { get; init; }

    /// <summary>How speech tokens are chosen. Piece i uses seed + i, so that a piece does not depend on the others.</summary>
    public SamplingOptions Sampling { get; init; } = new();

    /// <summary>Language code for models that speak several; null lets the model decide.</summary>
    public string? Language { get; init; }

    /// <summary>What the log calls the request.</summary>
    public string Name { get; init; } = "unnamed";

    /// <summary>Who asks: requests of different clients take turns, those of one client wait for each other.</summary>
    public string Client { get; init; } = "";
}

/// <summary>Something that happened to a request; in the order of its pieces.</summary>
public abstract record SpeechEvent;

/// <summary>A piece's audio, or the next part of it.</summary>
/// <param name="Piece">Index into <see cref="SpeechRequest.Pieces"/>.</param>
/// <param name="Samples">Mono samples in [−1, 1] at 24 kHz, following the chunk before without a gap.</param>
/// <param name="EndsPiece">True if the piece has no more chunks.</param>
/// <param name="TextTokens">Text tokens of the piece; 0 but on its last chunk.</param>
/// <param name="SpeechTokens">Speech tokens of the piece; 0 but on its last chunk.</param>
public sealed record AudioChunk(int Piece, float[] Samples, bool EndsPiece, int TextTokens, int SpeechTokens) : SpeechEvent
{
    /// <summary>What was done to speech that went wrong; null if nothing.</summary>
    public string? Repair { get; init; }
}

/// <summary>A piece could not be spoken; the pieces after it still are.</summary>
/// <param name="Piece">Index into <see cref="SpeechRequest.Pieces"/>.</param>
/// <param name="Error">Why.</param>
public sealed record PieceFailed(int Piece, Exception Error) : SpeechEvent;
