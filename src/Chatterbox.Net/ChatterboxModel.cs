using Chatterbox.Audio;
using Chatterbox.Engine;
using Chatterbox.HiFT;
using Chatterbox.S3Gen;
using Chatterbox.T3;
using Chatterbox.Text;
using Chatterbox.Voices;
using Chatterbox.Watermark;

namespace Chatterbox;

/// <summary>One Chatterbox model on one device: a text and a voice in, watermarked speech out.</summary>
/// <remarks>Used by one thread at a time; several models live side by side. For many callers put a
/// <see cref="SpeechEngine"/> in front. Ports ChatterboxTTS of chatterbox tts.py.</remarks>
public sealed class ChatterboxModel : ISpeechModel
{
    // How the time of a synthesis is spread over its stages, roughly, for progress alone.
    private const double T3Share = 0.6, S3GenShare = 0.3;
    private const double TokensPerTextToken = 3;

    private readonly List<WeightStore> _weights;
    private readonly ChatterboxConfig _config;
    private readonly TextTokenizer _tokenizer;
    private readonly T3Model _t3;
    private readonly S3GenModel _s3gen;
    private readonly HiFTGenerator _hift;
    private readonly PerthWatermarker _watermarker;
    private readonly VoiceBuilder _voices;

    private ChatterboxModel(Checkpoint checkpoint, Device device, ScalarType t3DType)
    {
        _config = checkpoint.Config;
        Device = device.ToString();
        BuiltInVoice = checkpoint.ReadVoice();
        _tokenizer = TextTokenizer.LoadEnglish(checkpoint.TokenizerPath);
        var ops = TorchOps.Plain;
        var t3 = checkpoint.OpenT3(device, t3DType);
        var s3gen = checkpoint.OpenS3Gen(device);
        var speakerEncoder = checkpoint.OpenSpeakerEncoder(device);
        var watermark = checkpoint.OpenWatermark(device);
        _weights = [t3, s3gen, speakerEncoder, watermark];

        // T3 is two thirds of the weights: it is copied beside the others.
        var t3Built = Task.Run(() => Build([t3], () => new T3Model(_config.T3, t3.Root, ops)));
        var othersBuilt = Task.Run(() => Build([s3gen, speakerEncoder, watermark], () => (
            new S3GenModel(_config.S3Gen, s3gen.Root["flow"], ops),
            new HiFTGenerator(_config.HiFT, s3gen.Root["mel2wav"], ops),
            new VoiceBuilder(_config.Voices, speakerEncoder.Root, s3gen.Root, ops),
            new PerthWatermarker(_config.Watermark, watermark.Root))));
        try
        {
            Task.WaitAll(t3Built, othersBuilt);
        }
        catch (AggregateException e)
        {
            Dispose();
            throw new CheckpointException(string.Join("\n", e.InnerExceptions.Select(inner => inner.Message)), e);
        }

        _t3 = t3Built.Result;
        (_s3gen, _hift, _voices, _watermarker) = othersBuilt.Result;
    }

    /// <summary>Name of the variant: english, or tiny.</summary>
    public string Name => _config.Name;

    /// <summary>Where the model is: cpu, or cuda:0.</summary>
    public string Device { get; }

    /// <inheritdoc/>
    public Voice? BuiltInVoice { get; }

    /// <summary>Loads a model.</summary>
    /// <param name="folder">Folder with the model's files, as published or as written by convert-weights.</param>
    /// <param name="options">Device and precision; null for the defaults.</param>
    /// <exception cref="CheckpointException">Files are missing, damaged, or of another model; names each fault.</exception>
    /// <exception cref="UnavailableException">The device is not there.</exception>
    public static ChatterboxModel Load(string folder, ModelOptions? options = null)
    {
        options ??= new ModelOptions();
        var checkpoint = Checkpoint.Open(folder, options.WatermarkFile);
        using var mode = inference_mode();
        return new ChatterboxModel(checkpoint, Devices.Find(options.Device), options.T3DType);
    }

    /// <inheritdoc/>
    public SpeechResult Synthesize(
        string text, Voice voice, SamplingOptions? sampling = null, string? language = null, IProgress<SynthesisProgress>? progress = null, CancellationToken cancel = default)
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        sampling ??= new SamplingOptions();
        using var noise = new NoiseSource(sampling.Seed ?? Random.Shared.NextInt64());        // drawn from in the reference's order
        var textTokens = _tokenizer.Encode(TextNormalizer.Normalize(text, PunctuationRules.English));
        var spoken = _t3.Generate(textTokens, voice.T3, sampling, noise, InT3(progress, textTokens.Length), cancel);
        var speechTokens = _config.T3.SpeechCodesOf(spoken.SpeechTokens);
        if (speechTokens.Length == 0)
        {
            throw new RequestException("The model ended this text without a sound. Try another seed, or a longer text.", nameof(text));
        }

        var mel = _s3gen.Generate(speechTokens, voice.S3Gen, noise, InS3Gen(progress, speechTokens.Length), cancel);   // [1, 80, frames]
        progress?.Report(new(SynthesisStage.HiFT, T3Share + S3GenShare, speechTokens.Length));
        var waveform = _hift.FadeIn(_hift.Generate(mel, noise));                              // [1, samples]
        var samples = waveform.cpu().data<float>().ToArray();
        progress?.Report(new(SynthesisStage.Watermark, 0.98, speechTokens.Length));
        var marked = _watermarker.Mark(samples, SpeechResult.SampleRate);
        progress?.Report(new(SynthesisStage.Done, 1, speechTokens.Length));
        return new SpeechResult(marked, textTokens.Length, speechTokens.Length, spoken.ReachedLimit);
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
        _weights.ForEach(store => store.Dispose());
        _weights.Clear();
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

    private static Relay<double>? InS3Gen(IProgress<SynthesisProgress>? progress, int tokens) => progress is null ? null
        : new(done => progress.Report(new(SynthesisStage.S3Gen, T3Share + (S3GenShare * done), tokens)));

    /// <summary>Passes a stage's own progress on, at once and in order (<see cref="Progress{T}"/> promises neither).</summary>
    private sealed class Relay<T>(Action<T> report) : IProgress<T>
    {
        public void Report(T value) => report(value);
    }
}
