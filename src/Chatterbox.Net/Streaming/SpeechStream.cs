using System.Runtime.ExceptionServices;
using Chatterbox.Engine;

namespace Chatterbox.Streaming;

/// <summary>One text, chunk by chunk, for a caller who has the model to themselves.</summary>
/// <param name="model">The model.</param>
/// <param name="utterance">The text; goes with the stream.</param>
internal sealed class SpeechStream(ISpeechModel model, IUtterance utterance) : IChunkedSpeech
{
    /// <inheritdoc/>
    public int TextTokens => utterance.TextTokens;

    /// <inheritdoc/>
    public IReadOnlyList<string> UnknownCharacters => utterance.UnknownCharacters;

    /// <inheritdoc/>
    public IReadOnlyList<int> SpeechTokens => utterance.SpeechTokens;

    /// <inheritdoc/>
    public bool ReachedLimit => utterance.ReachedLimit;

    /// <inheritdoc/>
    public IReadOnlyList<SynthesisStage> Recovered => utterance.Recovered;

    /// <inheritdoc/>
    public bool IsOver { get; private set; }

    /// <inheritdoc/>
    public ReadOnlyMemory<float> NextChunk(CancellationToken cancellationToken = default)
    {
        if (IsOver)
        {
            throw new InvalidOperationException("The speech is over: check IsOver before asking for another chunk.");
        }

        return ModelFailedException.Translate(() => Next(cancellationToken));
    }

    /// <inheritdoc/>
    public void Dispose() => utterance.Dispose();

    private ReadOnlyMemory<float> Next(CancellationToken cancellationToken)
    {
        while (!utterance.IsDue)
        {
            cancellationToken.ThrowIfCancellationRequested();
            model.Advance([utterance]);
        }

        utterance.TakeChunk();
        var samples = ReadOnlyMemory<float>.Empty;
        model.VoiceChunks([new(utterance, Take, error => ExceptionDispatchInfo.Throw(error), cancellationToken)]);
        return samples;

        void Take(VoicedChunk chunk) => (samples, IsOver) = (chunk.Samples, chunk.IsLast);
    }
}
