using Chatterbox.Engine;

namespace Chatterbox.Tests.Engine;

/// <summary>A piece whose speech tokens are known from the beginning, or after some steps; its chunks are a test's.</summary>
/// <param name="next">Makes the next chunk.</param>
internal sealed class FakeUtterance(Func<CancellationToken, VoicedChunk> next) : IUtterance
{
    private bool _isOver;

    public int TextTokens { get; init; }

    public Func<IReadOnlyList<int>> Tokens { get; init; } = () => [];

    public Func<bool> HasReachedLimit { get; init; } = () => false;

    public Func<IReadOnlyList<SynthesisStage>> RecoveredStages { get; init; } = () => [];

    public Action OnClose { get; init; } = () => { };

    public IReadOnlyList<int> SpeechTokens => Tokens();

    public bool ReachedLimit => HasReachedLimit();

    public IReadOnlyList<string> UnknownCharacters => [];

    public IReadOnlyList<SynthesisStage> Recovered => RecoveredStages();

    /// <summary>Steps that are needed before its chunks are due.</summary>
    public int Steps { get; set; }

    public bool NeedsSteps => Steps > 0;

    public bool IsDue => !_isOver && !NeedsSteps;

    /// <summary>A piece that is one chunk.</summary>
    public static FakeUtterance Whole(Func<CancellationToken, SpeechResult> speak)
    {
        SpeechResult? speech = null;
        return new(cancellationToken => new((speech = speak(cancellationToken)).Samples, IsLast: true))
        {
            TextTokens = 5,
            Tokens = () => speech!.SpeechTokens,
            HasReachedLimit = () => speech!.ReachedLimit,
            RecoveredStages = () => speech!.Recovered,
        };
    }

    public static void Voice(IReadOnlyList<DueChunk> due)
    {
        foreach (var chunk in due)
        {
            chunk.Voice(((FakeUtterance)chunk.Utterance).Next);
        }
    }

    public void TakeChunk() { }

    public void Dispose() => OnClose();

    private VoicedChunk Next(CancellationToken cancellationToken)
    {
        var chunk = next(cancellationToken);
        _isOver = chunk.IsLast;
        return chunk;
    }
}
