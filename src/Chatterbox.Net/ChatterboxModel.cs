using System.Runtime.ExceptionServices;
using Chatterbox.Audio;
using Chatterbox.Engine;
using Chatterbox.T3;
using Chatterbox.Text;
using Chatterbox.Voices;
using Chatterbox.Watermark;

namespace Chatterbox;

/// <summary>One Chatterbox model on one device: a text and a voice in, watermarked speech out.</summary>
/// <remarks>Used by one thread at a time; several models live side by side. For many callers put a
/// <see cref="SpeechEngine"/> in front. Ports ChatterboxTTS, ChatterboxMultilingualTTS, ChatterboxTurboTTS and ChatterboxVC
/// of chatterbox tts.py, mtl_tts.py, tts_turbo.py and vc.py: what they differ in is <see cref="ChatterboxConfig"/>'s.</remarks>
public sealed class ChatterboxModel : ISpeechModel
{
    // How the time of a synthesis is spread over its stages, roughly, for progress alone.
    private const double T3Share = 0.6, S3GenEnd = 0.9;
    private const double TokensPerTextToken = 3;

    private readonly List<WeightStore> _weights;
    private readonly ChatterboxConfig _config;
    private readonly TextFrontEnd _text;
    private readonly T3Model _t3;
    private readonly Vocalist _vocalist;
    private readonly VoiceConverter _converter;
    private readonly PerthWatermarker _watermarker;
    private readonly VoiceBuilder _voices;

    private ChatterboxModel(Checkpoint checkpoint, Device device, ModelOptions options)
    {
        _config = checkpoint.Config;
        Device = device.ToString();
        BuiltInVoice = checkpoint.ReadVoice();
        _text = TextFrontEnd.Load(_config.Text, checkpoint.TokenizerPath, checkpoint.CangjiePath, options.ChineseSegmenter, options.JapaneseReader);
        var ops = TorchOps.Plain;
        var precision = options.Precision ?? (device.type == DeviceType.CUDA ? Precision.Fast : Precision.Full);
        var t3 = checkpoint.OpenT3(device, precision == Precision.Fast ? ScalarType.BFloat16 : ScalarType.Float32);
        var s3gen = checkpoint.OpenS3Gen(device);
        var speakerEncoder = checkpoint.OpenSpeakerEncoder(device);
        var watermark = checkpoint.OpenWatermark(device);
        _weights = [t3, s3gen, speakerEncoder, watermark];

        // T3 is two thirds of the weights: it is copied beside the others.
        var t3Built = Task.Run(() => Build([t3], () => new T3Model(_config.T3, t3.Root, ops)));
        var othersBuilt = Task.Run(() => Build([s3gen, speakerEncoder, watermark], () => (
            new Vocalist(_config, s3gen.Root, ops, precision),
            new VoiceBuilder(_config.Voices, speakerEncoder.Root, s3gen.Root, ops),
            new PerthWatermarker(_config.Watermark, watermark.Root))));
        try
        {
            Task.WaitAll(t3Built, othersBuilt);
        }
        catch (AggregateException e)
        {
            Dispose();
            if (e.InnerExceptions.FirstOrDefault(inner => inner is not CheckpointException) is { } other)
            {
                ExceptionDispatchInfo.Throw(other);     // no fault of the files
            }

            throw new CheckpointException(string.Join("\n", e.InnerExceptions.Select(inner => inner.Message)), e);
        }

        _t3 = t3Built.Result;
        (_vocalist, _voices, _watermarker) = othersBuilt.Result;
        _converter = new VoiceConverter(_vocalist, _voices.SpeechTokenizer, device);
    }

    /// <summary>Name of the variant, such as english, turbo, or tiny.</summary>
    public string Name => _config.Name;

    /// <summary>Codes of the languages that the model speaks.</summary>
    public IReadOnlyList<string> Languages => _config.Text.Languages;

    /// <summary>Where the model is: cpu, or cuda:0.</summary>
    public string Device { get; }

    /// <inheritdoc/>
    public Voice? BuiltInVoice { get; }

    /// <summary>Says what a folder holds, from its files' names alone.</summary>
    /// <param name="folder">Folder with a model's files.</param>
    /// <param name="variant">As <see cref="ModelOptions.Variant"/>.</param>
    /// <exception cref="CheckpointException">There is no such folder, or no such variant.</exception>
    public static ModelDescription Describe(string folder, string? variant = null)
    {
        var config = Checkpoint.VariantOf(folder, variant);
        return new ModelDescription(config.Name, config.Text.Languages, config.LacksSettings);
    }

    /// <summary>Loads a model.</summary>
    /// <param name="folder">Folder with the model's files, as published or as written by convert-weights.</param>
    /// <param name="options">Device and precision; null for the defaults.</param>
    /// <exception cref="CheckpointException">Files are missing, damaged, or of another model; names each fault.</exception>
    /// <exception cref="UnavailableException">The device is not there.</exception>
    public static ChatterboxModel Load(string folder, ModelOptions? options = null)
    {
        options ??= new ModelOptions();
        var checkpoint = Checkpoint.Open(folder, options.Variant, options.WatermarkFile);
        using var mode = inference_mode();
        return new ChatterboxModel(checkpoint, Devices.Find(options.Device), options);
    }

    /// <inheritdoc/>
    public SpeechResult Synthesize(
        string text, Voice voice, SamplingOptions? sampling = null, string? language = null, IProgress<SynthesisProgress>? progress = null, CancellationToken cancel = default)
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        sampling ??= new SamplingOptions();
        using var noise = new NoiseSource(sampling.Seed ?? Random.Shared.NextInt64());        // drawn from in the reference's order
        var encoded = _text.Encode(text, language);
        var spoken = _t3.Generate(encoded.Tokens, voice.T3, sampling, noise, InT3(progress, encoded.Tokens.Length), cancel);
        var speechTokens = _config.T3.SpeechCodesOf(spoken.SpeechTokens);
        if (speechTokens.Length == 0)
        {
            throw new RequestException("The model ended this text without a sound. Try another seed, or a longer text.", nameof(text));
        }

        var samples = _vocalist.SpeakText(speechTokens, voice.S3Gen, noise, Behind(T3Share, progress, speechTokens.Length), cancel);
        var marked = Mark(samples, progress, speechTokens.Length);
        return new SpeechResult(marked, encoded.Tokens.Length, speechTokens.Length, spoken.ReachedLimit) { UnknownCharacters = encoded.UnknownCharacters };
    }

    /// <summary>Says a recording again in another voice: its words and their timing stay.</summary>
    /// <param name="source">Speech, of any length.</param>
    /// <param name="target">Who is to have said it; of the voice, only what S3Gen knows counts.</param>
    /// <param name="seed">The same seed gives the same speech; null draws one.</param>
    /// <param name="progress">Told how far it is.</param>
    /// <param name="cancel">Looked at before each step of the flow.</param>
    /// <returns>Watermarked speech that is as long as the recording, to 40 ms.</returns>
    /// <exception cref="VoiceException">The recording is too short or holds numbers that are no samples; or the voice does not fit the model.</exception>
    public SpeechResult ConvertVoice(AudioClip source, Voice target, long? seed = null, IProgress<SynthesisProgress>? progress = null, CancellationToken cancel = default)
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var noise = new NoiseSource(seed ?? Random.Shared.NextInt64());
        var converted = _converter.Convert(source, target.S3Gen, noise, Behind(0, progress, (int)(source.Duration.TotalSeconds * SpeechResult.TokensPerSecond)), cancel);
        return new SpeechResult(Mark(converted.Samples, progress, converted.SpeechTokens), TextTokens: 0, converted.SpeechTokens, ReachedLimit: false);
    }

    /// <inheritdoc/>
    public Voice CreateVoice(AudioClip recording)
    {
        using var mode = inference_mode();
        return _voices.Build(recording);
    }

    /// <inheritdoc/>
    public double? DetectWatermark(AudioClip recording)
    {
        using var mode = inference_mode();
        return _watermarker.Detect(recording.Samples, recording.SampleRate);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _t3?.Dispose();
        _weights.ForEach(store => store.Dispose());
        _weights.Clear();
    }

    private float[] Mark(float[] samples, IProgress<SynthesisProgress>? progress, int tokens)
    {
        progress?.Report(new(SynthesisStage.Watermark, 0.98, tokens));
        var marked = _watermarker.Mark(samples, SpeechResult.SampleRate);
        progress?.Report(new(SynthesisStage.Done, 1, tokens));
        return marked;
    }

    private static T Build<T>(IReadOnlyList<WeightStore> stores, Func<T> build)
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();    // tables are computed on the way
        var networks = build();
        var faults = stores.Select(store => store.Faults()).OfType<string>().ToList();
        return faults.Count == 0 ? networks : throw new CheckpointException(string.Join("\n", faults));
    }

    private static Relay<int>? InT3(IProgress<SynthesisProgress>? progress, int textTokens) => progress is null ? null
        : new(n => progress.Report(new(SynthesisStage.T3, T3Share * (1 - Math.Exp(-n / (TokensPerTextToken * textTokens))), n)));

    private static Relay<double>? Behind(double share, IProgress<SynthesisProgress>? progress, int tokens) => progress is null ? null
        : new(done => progress.Report(new(
            done < 1 ? SynthesisStage.S3Gen : SynthesisStage.HiFT, share + ((S3GenEnd - share) * done), tokens)));
}
