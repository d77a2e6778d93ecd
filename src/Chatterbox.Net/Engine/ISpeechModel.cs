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

    /// <summary>Makes a voice from a recording.</summary>
    /// <exception cref="VoiceException">The recording is too short, too long or silent.</exception>
    Voice CreateVoice(AudioClip recording);

    /// <summary>Says a recording again in another voice.</summary>
    /// <exception cref="VoiceException">The recording cannot be used, or the voice is not of this model.</exception>
    /// <exception cref="OperationCanceledException">Cancelled; observed before each flow step.</exception>
    SpeechResult ConvertVoice(AudioClip source, Voice target, long? seed = null, IProgress<SynthesisProgress>? progress = null, CancellationToken cancel = default);

    /// <summary>How sure the detector is that samples carry the watermark, 0 to 1; null where there is nothing to judge, as in silence.</summary>
    double? DetectWatermark(AudioClip recording);
}
