using Chatterbox.Audio;

namespace Chatterbox.Engine;

/// <summary>What the engine needs of a model. It is used by one thread at a time, the one that made it.</summary>
public interface ISpeechModel : IDisposable
{
    /// <summary>The voice that comes with the model, or null where it has none.</summary>
    Voice? BuiltInVoice { get; }

    /// <summary>Speaks one piece of text.</summary>
    /// <exception cref="RequestException">The text or a setting cannot be used.</exception>
    /// <exception cref="OperationCanceledException">Cancelled; observed before each speech token and each flow step.</exception>
    SpeechResult Synthesize(string text, Voice voice, SamplingOptions sampling, string? language = null, IProgress<SynthesisProgress>? progress = null, CancellationToken cancel = default);

    /// <summary>Begins to speak one piece of text chunk by chunk. Several streams may be open at once; they take turns.</summary>
    /// <exception cref="RequestException">The text or a setting cannot be used.</exception>
    /// <remarks>A model that does not speak in chunks makes all of the piece one chunk.</remarks>
    IChunkedSpeech OpenStream(string text, Voice voice, SamplingOptions sampling, ChunkOptions chunks, string? language = null) =>
        new OneChunk(cancel => Synthesize(text, voice, sampling, language, progress: null, cancel));

    /// <summary>Makes a voice from a recording.</summary>
    /// <exception cref="VoiceException">The recording is too short, too long or silent.</exception>
    Voice CreateVoice(AudioClip recording);

    /// <summary>Begins to say a recording again in another voice: its words and their timing stay.</summary>
    /// <param name="source">Speech, of any length.</param>
    /// <param name="target">Who is to have said it; of the voice, only what S3Gen knows counts.</param>
    /// <param name="seed">The same seed gives the same speech; null draws one.</param>
    /// <exception cref="VoiceException">The recording is too short, or holds numbers that are no samples.</exception>
    IVoiceConversion BeginConversion(AudioClip source, Voice target, long? seed = null);

    /// <summary>How sure the detector is that samples carry the watermark, 0 to 1; null where there is nothing to judge, as in silence.</summary>
    double? DetectWatermark(AudioClip recording);
}

/// <summary>A recording on its way into another voice. It belongs to the model that began it, and is used by one thread at a time.</summary>
public interface IVoiceConversion : IDisposable
{
    /// <summary>Speech tokens that the recording was heard as, 25 a second.</summary>
    IReadOnlyList<int> SpeechTokens { get; }

    /// <summary>Whether all of it has been said.</summary>
    bool IsOver { get; }

    /// <summary>Says the next stretch, half a minute or less.</summary>
    /// <param name="progress">Told how far the whole is.</param>
    /// <param name="cancel">Looked at before each step of the flow.</param>
    /// <returns>Watermarked samples that follow those returned before.</returns>
    /// <exception cref="VoiceException">The voice is not of this model.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    float[] ConvertNext(IProgress<SynthesisProgress>? progress = null, CancellationToken cancel = default);
}
