namespace Chatterbox.Engine;

/// <summary>The speech of a text of any length.</summary>
/// <param name="Samples">Watermarked mono samples in [−1, 1], <see cref="SpeechResult.SampleRate"/> a second.</param>
/// <param name="TextTokens">Text tokens that were spoken.</param>
/// <param name="SpeechTokens">Speech tokens that were generated.</param>
public sealed record SpokenText(ReadOnlyMemory<float> Samples, int TextTokens, int SpeechTokens)
{
    /// <summary>The pieces that the text was split into, sentences usually, as they were written.</summary>
    public IReadOnlyList<string> Pieces { get; init; } = [];

    /// <summary>The time of each piece.</summary>
    public IReadOnlyList<PieceTime> Times { get; init; } = [];

    /// <summary>What was done to pieces that went wrong; usually none.</summary>
    public IReadOnlyList<string> Repairs { get; init; } = [];

    /// <inheritdoc cref="SpeechResult.UnknownCharacters"/>
    public IReadOnlyList<string> UnknownCharacters { get; init; } = [];

    /// <summary>Length of the speech.</summary>
    public TimeSpan Duration => TimeSpan.FromSeconds(Samples.Length / (double)SpeechResult.SampleRate);
}
