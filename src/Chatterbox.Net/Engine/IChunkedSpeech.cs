namespace Chatterbox.Engine;

/// <summary>A piece of text being spoken chunk by chunk. It is used by the thread of its model; disposing it gives up what is
/// left.</summary>
public interface IChunkedSpeech : IDisposable
{
    /// <summary>True once the last chunk has been made.</summary>
    bool IsOver { get; }

    /// <summary>Text tokens that are spoken, without start and stop.</summary>
    int TextTokens { get; }

    /// <summary>As <see cref="SpeechResult.SpeechTokens"/>, so far; those of the last ones are no sound yet.</summary>
    IReadOnlyList<int> SpeechTokens { get; }

    /// <summary>As <see cref="SpeechResult.ReachedLimit"/>, once the last chunk has been made.</summary>
    bool ReachedLimit { get; }

    /// <inheritdoc cref="SpeechResult.UnknownCharacters"/>
    IReadOnlyList<string> UnknownCharacters { get; }

    /// <inheritdoc cref="SpeechResult.Recovered"/>
    IReadOnlyList<SynthesisStage> Recovered => [];

    /// <summary>Makes the next chunk.</summary>
    /// <param name="cancellationToken">Gives the chunk up before the next speech token or flow step. After that the stream can only be
    /// disposed.</param>
    /// <returns>Watermarked mono samples in [−1, 1], <see cref="SpeechResult.SampleRate"/> a second, following those of the
    /// chunk before without a gap.</returns>
    /// <exception cref="InvalidOperationException">The last chunk has been made.</exception>
    /// <exception cref="RequestException">The model ended the text without a sound.</exception>
    /// <exception cref="VoiceException">The voice does not fit the model.</exception>
    /// <exception cref="InvalidOutputException">A stage's output is not finite, with plain operations neither.</exception>
    ReadOnlyMemory<float> NextChunk(CancellationToken cancellationToken = default);
}
