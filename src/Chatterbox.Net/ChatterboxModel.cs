using System.Runtime.ExceptionServices;
using Chatterbox.Audio;
using Chatterbox.Engine;
using Chatterbox.Ops.Cuda;
using Chatterbox.Streaming;
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

    private const int WarmUpTokens = 3 * SpeechResult.TokensPerSecond;
    private const string WarmUpText = "Good morning. I will speak in a moment; these words are for nobody, they only have the length that most sentences have.";

    private readonly List<IDisposable> _parts = [];
    private readonly ChatterboxConfig _config;
    private readonly TextFrontEnd _text;
    private readonly T3Model _t3;
    private readonly Vocalist _vocalist;
    private readonly S3GenNetworks _s3gen;
    private readonly SpeakerEncoder _speakerEncoder;
    private readonly PerthWatermarker _watermarker;
    private readonly Rehearsal _rehearsal;
    private readonly bool _isOnGpu;
    private ChunkPace? _pace;

    private ChatterboxModel(Checkpoint checkpoint, Device device, ModelOptions options)
    {
        _config = checkpoint.Config;
        Device = device.ToString();
        BuiltInVoice = checkpoint.ReadVoice();
        var (own, shared) = (new SharedParts(), options.SharedParts ?? new SharedParts());
        var precision = options.PrecisionOn(device);
        Task<T> Load<T>(SharedParts parts, string file, ScalarType dtype, object[] sizes, Func<WeightScope, T> build)
            where T : class => Task.Run(() => Keep(parts.Networks(file, device, dtype, sizes, build)));

        // Beside each other: T3, which is one model's alone, is two thirds of the weights.
        var ops = TorchOps.Of(device);
        var t3 = Load(own, checkpoint.T3Path, T3Type(precision), [_config.T3], root => new T3Model(_config.T3, root, ops));
        var s3gen = Load(
            shared, checkpoint.S3GenPath, ScalarType.Float32, [.. S3GenNetworks.SizesOf(_config), precision], root => new S3GenNetworks(_config, root, ops, precision));
        var speakerEncoder = Load(
            shared, checkpoint.SpeakerEncoderPath, ScalarType.Float32, [_config.Voices.SpeakerEncoder], root => new SpeakerEncoder(_config.Voices.SpeakerEncoder, root));
        var watermark = Load(shared, checkpoint.WatermarkPath, ScalarType.Float32, [_config.Watermark, precision], root => new PerthWatermarker(_config.Watermark, root, precision));
        var text = Task.Run(() => Keep(shared.Made(checkpoint.TextPaths, _config.Text, (options.ChineseSegmenter, options.JapaneseReader), () =>
            TextFrontEnd.Load(_config.Text, checkpoint.TokenizerPath, checkpoint.CangjiePath, options.ChineseSegmenter, options.JapaneseReader))));
        try
        {
            Task.WaitAll(t3, s3gen, speakerEncoder, watermark, text);
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

        _text = text.Result;
        _t3 = t3.Result;
        _vocalist = new Vocalist(_config, s3gen.Result.S3Gen, s3gen.Result.HiFT);
        (_s3gen, _speakerEncoder) = (s3gen.Result, speakerEncoder.Result);
        _watermarker = watermark.Result;
        _rehearsal = new(_config, _t3, _vocalist, _watermarker);
        _isOnGpu = device.type != DeviceType.CPU;
        if (_isOnGpu)
        {
            NativeHeap.Trim();      // of what went through the host's memory on its way
        }
    }

    /// <summary>Name of the variant, such as english, turbo, or tiny.</summary>
    public string Name => _config.Name;

    /// <summary>Codes of the languages that the model speaks.</summary>
    public IReadOnlyList<string> Languages => _config.Text.Languages;

    /// <summary>Where the model is: cpu, or cuda:0.</summary>
    public string Device { get; }

    /// <inheritdoc/>
    public Voice? BuiltInVoice { get; }

    /// <summary>How fast the model is; measured when it is first asked for, and the same from then on.</summary>
    internal ChunkPace Pace => _pace ??= _rehearsal.MeasurePace();

    /// <summary>Says what a folder holds, from its files' names alone.</summary>
    /// <param name="folder">Folder with a model's files.</param>
    /// <param name="variant">As <see cref="ModelOptions.Variant"/>.</param>
    /// <exception cref="CheckpointException">There is no such folder, or no such variant.</exception>
    public static ModelDescription Describe(string folder, string? variant = null)
    {
        var config = Checkpoint.VariantOf(folder, variant);
        return new ModelDescription(config.Name, config.Text.Languages, config.LacksSettings);
    }

    /// <summary>Says how much memory a model's weights take, from its files' headers, and which of them are the same as another's.</summary>
    /// <param name="folder">Folder with the model's files.</param>
    /// <param name="options">As for <see cref="Load"/>.</param>
    /// <exception cref="CheckpointException">Files are missing or damaged.</exception>
    public static IReadOnlyList<WeightMemory> MeasureWeights(string folder, ModelOptions options)
    {
        var checkpoint = Checkpoint.Open(folder, options.Variant, options.WatermarkFile);
        var parts = options.SharedParts ?? new SharedParts();
        static long Measure(string path, ScalarType dtype)
        {
            using var file = Checkpoint.OpenFile(path);
            return file.Tensors.Values.Sum(tensor => tensor.Count) * TorchStorage.SizeOf(dtype);
        }

        return
        [
            new(Guid.NewGuid().ToString(), Measure(checkpoint.T3Path, T3Type(options.PrecisionOn(Devices.Find(options.Device))))),
            .. new[] { checkpoint.S3GenPath, checkpoint.SpeakerEncoderPath, checkpoint.WatermarkPath }
                .Select(path => new WeightMemory(parts.ContentOf(path), Measure(path, ScalarType.Float32))),
        ];
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

    /// <summary>Makes ready what would otherwise be made for the first requests: measures how fast the model is, by which streams
    /// cut speech into chunks, and on a GPU loads kernels, records graphs and takes memory by speaking for some seconds.</summary>
    /// <remarks>Without it the first stream measures. Best done while nobody else uses the device.</remarks>
    public void WarmUp()
    {
        if (_isOnGpu)
        {
            _rehearsal.SpeakAllLengths();
        }

        _ = Pace;
        if (_isOnGpu)
        {
            using var stream = OpenStream(WarmUpText, _rehearsal.Voice, new() { Seed = 1, MaxSpeechTokens = WarmUpTokens });
            while (!stream.IsOver)
            {
                stream.NextChunk();
            }
        }
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
        var samples = _vocalist.SpeakText(speechTokens, voice.S3Gen, noise, BehindT3(progress, speechTokens.Length), cancel);
        progress?.Report(new(SynthesisStage.Watermark, 0.98, speechTokens.Length));
        var marked = HostCopies.Read(_watermarker.Mark(samples, SpeechResult.SampleRate));
        progress?.Report(new(SynthesisStage.Done, 1, speechTokens.Length));
        return new SpeechResult(marked, encoded.Tokens.Length, speechTokens, spoken.ReachedLimit) { UnknownCharacters = encoded.UnknownCharacters };
    }

    /// <summary>Begins to speak a text chunk by chunk, the first chunk as soon as it is made.</summary>
    /// <param name="text">What is said.</param>
    /// <param name="voice">Who says it.</param>
    /// <param name="sampling">How; null for the defaults.</param>
    /// <param name="chunks">How chunks are cut; null for the defaults.</param>
    /// <param name="language">Code of the text's language; null for the variant's default.</param>
    /// <returns>The stream. Speech tokens are those of <see cref="Synthesize"/>; sound is the same but for details, and the
    /// same sample for sample where the first chunk is all of it.</returns>
    /// <exception cref="RequestException">The text or a setting cannot be used.</exception>
    /// <exception cref="VoiceException">The voice is not of the sizes that the model was made for.</exception>
    public IChunkedSpeech OpenStream(string text, Voice voice, SamplingOptions? sampling = null, ChunkOptions? chunks = null, string? language = null) =>
        OpenStream(text, voice, sampling ?? new(), chunks ?? new(), language, overlaps: _isOnGpu);    // the CPU's cores are busy with one thing as it is

    /// <summary>The same, and <paramref name="overlaps"/> says whether T3 goes on, on a thread of its own, while a chunk is made.</summary>
    internal IChunkedSpeech OpenStream(string text, Voice voice, SamplingOptions sampling, ChunkOptions chunks, string? language, bool overlaps)
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        chunks.Check();
        var encoded = _text.Encode(text, language);
        var seed = sampling.Seed ?? Random.Shared.NextInt64();
        var noise = new NoiseSource(seed);
        TokenStream? tokens = null;
        ChunkAssembler? assembler = null;
        try
        {
            tokens = new TokenStream(_t3, encoded.Tokens, voice.T3, sampling, noise, chunks.EndsWhenStuck);
            assembler = new ChunkAssembler(_config, _vocalist, _watermarker, voice.S3Gen, seed, chunks);
            var passes = new Passes(assembler.Lag, voice.S3Gen.SpeechTokens.Count, chunks.FirstPrompt, chunks.LeftContext);
            var plan = chunks.FirstTokens is { } first
                ? ChunkPlan.Doubling(first, chunks.MostTokens, passes)
                : ChunkPlan.Following(chunks.MostTokens, Pace, passes);
            return new SpeechStream(tokens, assembler, Whole, plan, _pace, overlaps, noise)
            {
                TextTokens = encoded.Tokens.Length,
                UnknownCharacters = encoded.UnknownCharacters,
            };
        }
        catch
        {
            tokens?.Dispose();
            assembler?.Dispose();
            noise.Dispose();
            throw;
        }

        float[] Whole(IReadOnlyList<int> speechTokens, CancellationToken cancel)
        {
            using var all = NewDisposeScope();
            var samples = _vocalist.SpeakText(speechTokens, voice.S3Gen, noise, progress: null, cancel);
            return HostCopies.Read(_watermarker.Mark(samples, SpeechResult.SampleRate));
        }
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
        using var conversion = BeginConversion(source, target, seed);
        var samples = new List<float>();
        while (!conversion.IsOver)
        {
            samples.AddRange(conversion.ConvertNext(progress, cancel));
        }

        return new SpeechResult([.. samples], TextTokens: 0, conversion.SpeechTokens, ReachedLimit: false);
    }

    /// <inheritdoc/>
    public IVoiceConversion BeginConversion(AudioClip source, Voice target, long? seed = null) =>
        new VoiceConversion(_vocalist, _s3gen.Reference.SpeechTokenizer, _watermarker, source, target, seed);

    /// <inheritdoc/>
    public Voice CreateVoice(AudioClip recording)
    {
        using var mode = inference_mode();
        return new VoiceBuilder(_config.Voices, _speakerEncoder, _s3gen.Reference).Build(recording);
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
        _parts.ForEach(part => part.Dispose());
        _parts.Clear();
        NativeHeap.Trim();
    }

    private T Keep<T>(Lease<T> part)
    {
        lock (_parts)
        {
            _parts.Add(part);
        }

        return part.Value;
    }

    private static ScalarType T3Type(Precision precision) => precision == Precision.Fast ? ScalarType.BFloat16 : ScalarType.Float32;

    private static Relay<int>? InT3(IProgress<SynthesisProgress>? progress, int textTokens) => progress is null ? null
        : new(n => progress.Report(new(SynthesisStage.T3, T3Share * (1 - Math.Exp(-n / (TokensPerTextToken * textTokens))), n)));

    private static Relay<double>? BehindT3(IProgress<SynthesisProgress>? progress, int tokens) => progress is null ? null
        : new(done => progress.Report(new(
            done < 1 ? SynthesisStage.S3Gen : SynthesisStage.HiFT, T3Share + ((S3GenEnd - T3Share) * done), tokens)));
}
