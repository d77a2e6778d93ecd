using System.Globalization;
using Chatterbox.Audio;
using Chatterbox.Ops.Cuda;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Chatterbox.Voices;

/// <summary>Makes voices from recordings: the side flow, one line a stage.</summary>
/// <remarks>Ports prepare_conditionals of chatterbox tts.py and tts_turbo.py, less the emotion setting. Recordings that are no
/// speech, of which the reference makes noise without a word, are refused.</remarks>
/// <param name="config">Lengths and limits.</param>
/// <param name="speakerEncoder">What T3 knows a speaker by.</param>
/// <param name="reference">What S3Gen knows one by.</param>
internal sealed class VoiceBuilder(VoiceConfig config, SpeakerEncoder speakerEncoder, ReferenceEncoder reference)
{
    private const float Silence = 1e-3f; // −60 dB of full scale: recordings are never that quiet, muted microphones are

    /// <summary>Makes a voice.</summary>
    /// <param name="recording">Speech of one person, at any rate.</param>
    /// <exception cref="VoiceException">The recording is silent, too short, or holds numbers that are no samples.</exception>
    public Voice Build(AudioClip recording)
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        Inspect(recording);
        var samples24 = Level(
            Resampler.Resample(HostTransfers.Place(recording.Samples.Span, reference.Device), recording.SampleRate, reference.SampleRate)
        );
        var samples16 = Resampler.Resample(samples24, reference.SampleRate, reference.SpeechRate);
        return new Voice(PromptT3(samples16), reference.Forward(samples24));
    }

    /// <summary>The speaker as T3 hears them.</summary>
    /// <param name="samples16">The whole recording at 16 kHz, [samples].</param>
    internal T3Prompt PromptT3(Tensor samples16)
    {
        using var scope = NewDisposeScope();
        var beginning = ReferenceEncoder.First(samples16, config.T3PromptSeconds * reference.SpeechRate);
        Tensor? tokens = null;
        var embedding = speakerEncoder.Forward(
            Speech(samples16),
            beside: () => tokens = reference.SpeechTokenizer.Forward(beginning, config.MaxT3PromptTokens).DetachFromDisposeScope()
        );
        using var heard = tokens!;
        return new T3Prompt(ReferenceEncoder.Numbers(embedding, "voice encoder"), ReferenceEncoder.Tokens(heard));
    }

    private void Inspect(AudioClip recording)
    {
        var seconds = (double)recording.Samples.Length / recording.SampleRate;
        if (seconds <= config.MinSeconds)
        {
            throw new VoiceException(
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"The recording lasts {seconds:0.###} s; this model needs more than {config.MinSeconds:0.###} s of speech to imitate "
                        + $"a voice. Use a longer recording; ten seconds are best."
                )
            );
        }

        var samples = recording.Samples.Span;
        var (lowest, highest) = (TensorPrimitives.Min(samples), TensorPrimitives.Max(samples)); // NaN if a sample is
        if (!float.IsFinite(lowest) || !float.IsFinite(highest))
        {
            var bad = samples[samples.IndexOfAnyExceptInRange(float.MinValue, float.MaxValue)];
            throw new VoiceException(
                $"The recording holds a sample that is {bad.ToString(CultureInfo.InvariantCulture)}, not a number between −1 and 1. "
                    + $"Export it again, as 16-bit PCM for instance."
            );
        }

        if (highest - lowest < 2 * Silence)
        {
            throw new VoiceException(
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"The recording is silent: its samples reach {(highest - lowest) / 2:0.######} of full scale, {Silence} is the least "
                        + $"that can be speech. Check the microphone, or use another recording."
                )
            );
        }
    }

    /// <summary>Brings the recording to the loudness that the model was trained with, if to any.</summary>
    private Tensor Level(Tensor samples24) =>
        config.TargetLoudness is { } target
            ? HostTransfers.Place(Loudness.Normalize(HostTransfers.Read(samples24), reference.SampleRate, target), reference.Device)
            : samples24;

    /// <summary>The recording without the silence at its ends.</summary>
    private Tensor Speech(Tensor samples16)
    {
        var (start, end) = SilenceTrimmer.Bounds(HostTransfers.Read(samples16), config.SilenceDecibels);
        var seconds = (double)(end - start) / reference.SpeechRate;
        return seconds >= config.MinSpeechSeconds
            ? samples16.narrow(0, start, end - start)
            : throw new VoiceException(
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"Only {seconds:0.###} s of the recording are within {config.SilenceDecibels:0.#} dB of its loudest moment; "
                        + $"{config.MinSpeechSeconds:0.###} s of speech are needed. Cut away knocks and clicks, or use another recording."
                )
            );
    }
}
