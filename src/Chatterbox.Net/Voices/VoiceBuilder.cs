using System.Globalization;
using Chatterbox.Audio;

namespace Chatterbox.Voices;

/// <summary>Makes voices from recordings: the side flow, one line a stage.</summary>
/// <remarks>Ports prepare_conditionals of chatterbox tts.py and tts_turbo.py and embed_ref of models/s3gen/s3gen.py, less the
/// emotion setting. Recordings that are no speech, of which the reference makes noise without a word, are refused.</remarks>
internal sealed class VoiceBuilder
{
    private const float Silence = 1e-3f;   // −60 dB of full scale: recordings are never that quiet, muted microphones are

    private readonly VoiceConfig _config;
    private readonly Device _device;
    private readonly SpeakerEncoder _speakerEncoder;
    private readonly CamPlus _camPlus;
    private readonly KaldiFbank _fbank;
    private readonly MagnitudeMel _mel;
    private readonly SincResampler _to16Again;

    /// <param name="config">Sizes and limits.</param>
    /// <param name="speakerEncoder">The whole of ve.safetensors.</param>
    /// <param name="s3gen">The whole of s3gen.safetensors, of which the tokenizer and the speaker encoder are read.</param>
    /// <param name="ops">Operations of the device.</param>
    public VoiceBuilder(VoiceConfig config, WeightScope speakerEncoder, WeightScope s3gen, TorchOps ops)
    {
        _config = config;
        _device = s3gen.Device;
        _speakerEncoder = new(config.SpeakerEncoder, speakerEncoder);
        SpeechTokenizer = new(config.SpeechTokenizer, s3gen["tokenizer"], ops);
        _camPlus = new(config.CamPlus, s3gen["speaker_encoder"]);
        _fbank = new(config.CamPlus.Bands, s3gen);
        _mel = new(config.Mel, s3gen);
        _to16Again = new(S3GenRate, SpeechRate, s3gen);
    }

    /// <summary>The speech tokenizer, which voice conversion needs too.</summary>
    public SpeechTokenizer SpeechTokenizer { get; }

    private int S3GenRate => _config.Mel.SampleRate;

    private int SpeechRate => _config.SpeechTokenizer.Mel.SampleRate;

    /// <summary>Makes a voice.</summary>
    /// <param name="recording">Speech of one person, at any rate.</param>
    /// <exception cref="VoiceException">The recording is silent, too short, or holds numbers that are no samples.</exception>
    public Voice Build(AudioClip recording)
    {
        using var mode = inference_mode();
        Inspect(recording);
        var samples24 = Level(Resampler.Resample(recording.Samples, recording.SampleRate, S3GenRate, _device));
        var samples16 = Resampler.Resample(samples24, S3GenRate, SpeechRate, _device);
        return new Voice(PromptT3(samples16), PromptS3Gen(samples24));
    }

    /// <summary>The speaker as T3 hears them.</summary>
    /// <param name="samples16">The whole recording at 16 kHz.</param>
    internal T3Prompt PromptT3(float[] samples16)
    {
        using var scope = NewDisposeScope();
        var embedding = _speakerEncoder.Forward(OnDevice(Speech(samples16)));
        var beginning = First(samples16, _config.T3PromptSeconds * SpeechRate);
        var tokens = SpeechTokenizer.Forward(OnDevice(beginning), _config.MaxT3PromptTokens);
        return new T3Prompt(Numbers(embedding, "voice encoder"), Tokens(tokens));
    }

    /// <summary>The speaker as S3Gen hears them.</summary>
    /// <param name="samples24">The recording at 24 kHz, of which the beginning is heard.</param>
    internal S3GenPrompt PromptS3Gen(float[] samples24)
    {
        using var scope = NewDisposeScope();
        var beginning24 = OnDevice(First(samples24, _config.S3GenPromptSeconds * S3GenRate));
        var beginning16 = _to16Again.Forward(beginning24);
        var mel = _mel.Forward(beginning24).transpose(0, 1);                          // [frames, bands]
        var xVector = _camPlus.Forward(_fbank.Forward(beginning16));
        var tokens = Tokens(SpeechTokenizer.Forward(beginning16));
        var whole = (int)Math.Min(tokens.Length, mel.shape[0] / 2);                   // two mel frames a token
        return new S3GenPrompt(tokens[..whole], Numbers(mel, "mel spectrogram"), Numbers(xVector, "x-vector network"));
    }

    private void Inspect(AudioClip recording)
    {
        var seconds = (double)recording.Samples.Length / recording.SampleRate;
        if (seconds <= _config.MinSeconds)
        {
            throw new VoiceException(string.Create(CultureInfo.InvariantCulture,
                $"The recording lasts {seconds:0.###} s; this model needs more than {_config.MinSeconds:0.###} s of speech to imitate a voice. Use a longer recording; ten seconds are best."));
        }

        var (lowest, highest) = (float.PositiveInfinity, float.NegativeInfinity);
        foreach (var sample in recording.Samples)
        {
            if (!float.IsFinite(sample))
            {
                throw new VoiceException($"The recording holds a sample that is {sample.ToString(CultureInfo.InvariantCulture)}, not a number between −1 and 1. Export it again, as 16-bit PCM for instance.");
            }

            (lowest, highest) = (Math.Min(lowest, sample), Math.Max(highest, sample));
        }

        if (highest - lowest < 2 * Silence)
        {
            throw new VoiceException(string.Create(CultureInfo.InvariantCulture,
                $"The recording is silent: its samples reach {(highest - lowest) / 2:0.######} of full scale, {Silence} is the least that can be speech. Check the microphone, or use another recording."));
        }
    }

    /// <summary>Brings the recording to the loudness that the model was trained with, if to any.</summary>
    private float[] Level(float[] samples24) =>
        _config.TargetLoudness is { } target ? Loudness.Normalize(samples24, S3GenRate, target) : samples24;

    /// <summary>The recording without the silence at its ends.</summary>
    private float[] Speech(float[] samples16)
    {
        var (start, end) = SilenceTrimmer.Bounds(samples16, _config.SilenceDecibels);
        var seconds = (double)(end - start) / SpeechRate;
        return seconds >= _config.MinSpeechSeconds
            ? samples16[start..end]
            : throw new VoiceException(string.Create(CultureInfo.InvariantCulture,
                $"Only {seconds:0.###} s of the recording are within {_config.SilenceDecibels:0.#} dB of its loudest moment; {_config.MinSpeechSeconds:0.###} s of speech are needed. Cut away knocks and clicks, or use another recording."));
    }

    private static float[] First(float[] samples, int count) => samples[..Math.Min(samples.Length, count)];

    private Tensor OnDevice(float[] samples) => tensor(samples, device: _device);

    private static int[] Tokens(Tensor tokens) => tokens.to(ScalarType.Int32).cpu().data<int>().ToArray();

    private static float[] Numbers(Tensor values, string network)
    {
        var numbers = values.cpu().contiguous().data<float>().ToArray();
        return Array.TrueForAll(numbers, float.IsFinite)
            ? numbers
            : throw new VoiceException($"The {network} finds no voice in the recording. Use a recording of clear speech.");
    }
}
