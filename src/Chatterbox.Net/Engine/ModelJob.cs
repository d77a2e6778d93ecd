namespace Chatterbox.Engine;

/// <summary>Work for a model that is not speech, such as making a voice. It is a request of one piece, so it waits, takes its turn
/// and ends as every other request.</summary>
internal sealed record ModelJob : EngineRequest
{
    /// <summary>Does the work, on the model's thread.</summary>
    public required Func<ISpeechModel, object?> Run { get; init; }

    internal override int PieceCount => 1;

    internal override int CharactersOf(int piece) => 0;

    internal override EngineRequest WithSeed() => this;
}

/// <summary>A <see cref="ModelJob"/> has been done.</summary>
/// <param name="Result">What it returned.</param>
internal sealed record ModelJobDone(object? Result) : SpeechEvent;
