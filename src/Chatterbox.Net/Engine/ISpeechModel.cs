using Chatterbox.Audio;

namespace Chatterbox.Engine;

/// <summary>What the engine needs of a model: utterances that are opened, advanced together by steps, and voiced chunk by chunk.</summary>
/// <remarks>One thread opens, steps and disposes utterances. <see cref="VoiceChunks"/>, conversions, voices and watermark checks run on
/// that thread too or, where <see cref="VoicesDuringSteps"/>, on one other.</remarks>
public interface ISpeechModel : IDisposable
{
    /// <summary>The voice that comes with the model, or null where it has none.</summary>
    Voice? BuiltInVoice { get; }

    /// <summary>What the check of the device's arithmetic found as the model was loaded.</summary>
    SelfCheck SelfCheck => SelfCheck.TurnedOff;

    /// <summary>How the model's stages are computed.</summary>
    RuntimeReport Runtime => RuntimeReport.Empty;

    /// <summary>Most utterances that may be open at once.</summary>
    int MaxUtterances => 8;

    /// <summary>Utterances that are best stepped together: 1 where a step costs as much for each of many as for one alone.</summary>
    int StepWidth => 1;

    /// <summary>Chunks that are best voiced together.</summary>
    int VoiceWidth => 1;

    /// <summary>Whether chunks are voiced on a thread of their own while steps continue: where a GPU does both.</summary>
    bool VoicesDuringSteps => false;

    /// <summary>T3's memory for keys and values; of no blocks where each utterance has memory of its own.</summary>
    CacheUse Cache => default;

    /// <summary>Called once on the worker's thread before the first request: measures and allocates what would disturb requests
    /// later.</summary>
    void Prepare() { }

    /// <summary>Called after work has failed for an unknown reason: throws if the device cannot compute any more.</summary>
    /// <exception cref="UnavailableException">It cannot, as a GPU after a kernel has failed.</exception>
    void CheckDevice() { }

    /// <summary>Opens an utterance: one piece of text, checked and ready for its first step.</summary>
    /// <param name="text">The text.</param>
    /// <param name="voice">The speaker.</param>
    /// <param name="sampling">How speech tokens are chosen.</param>
    /// <param name="chunks">How the speech is cut; null makes all of it one chunk.</param>
    /// <param name="language">Code of the text's language; null for the model's default.</param>
    /// <exception cref="RequestException">The text or a setting cannot be used.</exception>
    /// <exception cref="VoiceException">The voice does not fit the model.</exception>
    /// <exception cref="UnavailableException">There is no room for it while others are open.</exception>
    IUtterance Begin(string text, Voice voice, SamplingOptions sampling, ChunkOptions? chunks = null, string? language = null);

    /// <summary>Advances utterances by a step, at most a speech token each; those whose speech has ended stay as they are. An utterance
    /// that
    /// fails alone fails as its next chunk is voiced.</summary>
    void Advance(IReadOnlyList<IUtterance> utterances);

    /// <summary>Voices chunks that are due, each of another utterance; reports each as soon as it is ready.</summary>
    void VoiceChunks(IReadOnlyList<DueChunk> due);

    /// <summary>Makes a voice from a recording.</summary>
    /// <exception cref="VoiceException">The recording is too short, too long or silent.</exception>
    Voice CreateVoice(AudioClip recording);

    /// <summary>Begins to convert a recording to another voice: its words and their timing stay.</summary>
    /// <param name="source">Speech, of any length.</param>
    /// <param name="target">The new speaker; of the voice, only what S3Gen knows counts.</param>
    /// <param name="seed">The same seed gives the same speech; null draws one.</param>
    /// <exception cref="VoiceException">The recording is too short, or holds numbers that are no samples.</exception>
    IVoiceConversion BeginConversion(AudioClip source, Voice target, long? seed = null);

    /// <summary>How sure the detector is that samples carry the watermark, 0 to 1; null where there is nothing to judge, as in
    /// silence.</summary>
    double? DetectWatermark(AudioClip recording);
}

/// <summary>One piece of text on its way to audio. It belongs to the model that opened it; disposing it gives up what is left.</summary>
public interface IUtterance : IDisposable
{
    /// <summary>Text tokens of the piece, without start and stop.</summary>
    int TextTokens { get; }

    /// <summary>As <see cref="SpeechResult.SpeechTokens"/>, so far.</summary>
    IReadOnlyList<int> SpeechTokens { get; }

    /// <summary>As <see cref="SpeechResult.ReachedLimit"/>, once no more speech tokens follow.</summary>
    bool ReachedLimit { get; }

    /// <inheritdoc cref="SpeechResult.UnknownCharacters"/>
    IReadOnlyList<string> UnknownCharacters { get; }

    /// <inheritdoc cref="SpeechResult.Recovered"/>
    IReadOnlyList<SynthesisStage> Recovered => [];

    /// <summary>Whether more speech tokens follow.</summary>
    bool NeedsSteps { get; }

    /// <summary>Whether the speech tokens of the next chunk are known, so that it can be voiced.</summary>
    bool IsDue { get; }

    /// <summary>How long the next chunk takes, unless the speech ends before; null where that is not known.</summary>
    TimeSpan? NextTakes => null;

    /// <summary>Sets the speech tokens of the next chunk aside for <see cref="ISpeechModel.VoiceChunks"/>. Steps do not change
    /// them.</summary>
    void TakeChunk();
}

/// <summary>A chunk to be voiced, and where its audio goes.</summary>
/// <param name="utterance">What it is a chunk of; taken by <see cref="IUtterance.TakeChunk"/>.</param>
/// <param name="done">Receives the audio.</param>
/// <param name="failed">Receives the error instead.</param>
/// <param name="cancellationToken">Gives it up.</param>
public sealed class DueChunk(IUtterance utterance, Action<VoicedChunk> done, Action<Exception> failed, CancellationToken cancellationToken)
{
    /// <summary>What it is a chunk of.</summary>
    public IUtterance Utterance => utterance;

    /// <summary>Checked before each step of the flow.</summary>
    public CancellationToken Cancel => cancellationToken;

    /// <summary>Whether its audio or its error has been reported.</summary>
    public bool IsOver { get; private set; }

    /// <summary>Voices it by itself and reports the audio, or the error.</summary>
    /// <param name="voice">Makes the audio.</param>
    public void Voice(Func<CancellationToken, VoicedChunk> voice)
    {
        VoicedChunk chunk;
        try
        {
            cancellationToken.ThrowIfCancellationRequested();
            chunk = voice(cancellationToken);
        }
        catch (Exception e)
        {
            Fail(e);
            return;
        }

        done(chunk);
        IsOver = true;
    }

    /// <summary>Reports an error, unless the chunk is over.</summary>
    public void Fail(Exception error)
    {
        if (!IsOver)
        {
            IsOver = true;
            failed(error);
        }
    }
}

/// <summary>The audio of a chunk.</summary>
/// <param name="Samples">Watermarked mono samples in [−1, 1], <see cref="SpeechResult.SampleRate"/> a second, following those of the chunk
/// before without a gap.</param>
/// <param name="IsLast">Whether the piece ends with it.</param>
public sealed record VoicedChunk(ReadOnlyMemory<float> Samples, bool IsLast);

/// <summary>A recording that is being converted to another voice. It belongs to the model that began it, and is used by one thread at a
/// time.</summary>
public interface IVoiceConversion : IDisposable
{
    /// <summary>Speech tokens of the recording, 25 a second.</summary>
    IReadOnlyList<int> SpeechTokens { get; }

    /// <inheritdoc cref="SpeechResult.Recovered"/>
    IReadOnlyList<SynthesisStage> Recovered => [];

    /// <summary>Whether all of it has been converted.</summary>
    bool IsOver { get; }

    /// <summary>Converts the next stretch, half a minute or less.</summary>
    /// <param name="progress">Receives the part of the whole that is done.</param>
    /// <param name="cancellationToken">Checked before each step of the flow.</param>
    /// <returns>Watermarked samples that follow those returned before.</returns>
    /// <exception cref="VoiceException">The voice is not of this model.</exception>
    /// <exception cref="InvalidOutputException">A stage's output is not finite.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    ReadOnlyMemory<float> ConvertNext(IProgress<SynthesisProgress>? progress = null, CancellationToken cancellationToken = default);
}
