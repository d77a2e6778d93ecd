using Chatterbox.Audio;

namespace Chatterbox.Engine;

/// <summary>One request to the engine.</summary>
public abstract record EngineRequest
{
    private protected EngineRequest() { }

    /// <summary>The voice; null for the model's own.</summary>
    public Voice? Voice { get; init; }

    /// <summary>What the log calls the request.</summary>
    public string Name { get; init; } = "unnamed";

    /// <summary>Name of the client: requests of different clients alternate, those of one client wait for each other.</summary>
    public string Client { get; init; } = "";

    /// <summary>Whether no one listens yet: it takes turns that no other request needs.</summary>
    public bool IsBackground { get; init; }

    /// <summary>How many units of progress and of failure it has.</summary>
    internal abstract int PieceCount { get; }

    /// <summary>The work of a piece, in characters of text.</summary>
    internal abstract int CharactersOf(int piece);

    /// <summary>The same request, with a seed where it had none.</summary>
    internal abstract EngineRequest WithSeed();
}

/// <summary>A text to be spoken.</summary>
public sealed record SpeechRequest : EngineRequest
{
    /// <summary>The text, in pieces that are generated one by one (sentences, usually). Each is a unit of progress and of failure and,
    /// without chunks, of fairness.</summary>
    public required IReadOnlyList<string> Pieces { get; init; }

    /// <summary>How speech tokens are chosen. Piece i uses seed + i, so that a piece does not depend on the others.</summary>
    public SamplingOptions Sampling { get; init; } = new();

    /// <summary>Language code for models that speak several; null lets the model decide.</summary>
    public string? Language { get; init; }

    /// <summary>How pieces are cut into chunks that are ready while the rest is being generated; null for whole pieces. A piece
    /// that went wrong is generated again only if it is whole: of one in chunks, the rest is cut off.</summary>
    public ChunkOptions? Chunks { get; init; }

    internal override int PieceCount => Pieces.Count;

    internal override int CharactersOf(int piece) => Pieces[piece].Length;

    internal override EngineRequest WithSeed() =>
        this with
        {
            Sampling = Sampling with { Seed = Sampling.Seed ?? Random.Shared.NextInt64() },
        };

    /// <summary>A piece's sampling, with its own seed.</summary>
    internal SamplingOptions SamplingOf(int piece) => Sampling with { Seed = unchecked(Sampling.Seed!.Value + piece) };
}

/// <summary>A recording to convert to another voice, stretch by stretch: each is a unit of fairness, all are one piece.</summary>
public sealed record ConversionRequest : EngineRequest
{
    private const int CharactersPerSecond = 15;

    /// <summary>The recording to convert.</summary>
    public required AudioClip Recording { get; init; }

    /// <summary>The same seed gives the same speech; null draws one.</summary>
    public long? Seed { get; init; }

    internal override int PieceCount => 1;

    internal override int CharactersOf(int piece) => (int)(Recording.Duration.TotalSeconds * CharactersPerSecond);

    internal override EngineRequest WithSeed() => this with { Seed = Seed ?? Random.Shared.NextInt64() };
}

/// <summary>Something that happened to a request; in the order of its pieces.</summary>
public abstract record SpeechEvent;

/// <summary>A piece's audio, or the next part of it.</summary>
/// <param name="Piece">Index into <see cref="SpeechRequest.Pieces"/>; 0 for a recording.</param>
/// <param name="Samples">Mono samples in [−1, 1] at 24 kHz, following the chunk before without a gap.</param>
/// <param name="EndsPiece">True if the piece has no more chunks.</param>
/// <param name="TextTokens">Text tokens of the piece; 0 but on its last chunk.</param>
/// <param name="SpeechTokens">Speech tokens of the piece; 0 but on its last chunk.</param>
public sealed record AudioChunk(int Piece, ReadOnlyMemory<float> Samples, bool EndsPiece, int TextTokens, int SpeechTokens) : SpeechEvent
{
    /// <summary>What was done to speech that went wrong; null if nothing.</summary>
    public string? Repair { get; init; }

    /// <inheritdoc cref="SpeechResult.UnknownCharacters"/>
    public IReadOnlyList<string> UnknownCharacters { get; init; } = [];
}

/// <summary>A piece could not be spoken, or not to its end where some chunks of it have come; the pieces after it still are.</summary>
/// <param name="Piece">Index into <see cref="SpeechRequest.Pieces"/>; 0 for a recording.</param>
/// <param name="Error">Why.</param>
public sealed record PieceFailed(int Piece, ChatterboxException Error) : SpeechEvent;
