using System.Runtime.ExceptionServices;
using Chatterbox.Audio;
using Chatterbox.Engine;
using Chatterbox.Models;
using Chatterbox.Ops.Cpu;
using Chatterbox.Ops.Cuda;
using Chatterbox.Streaming;
using Chatterbox.T3;
using Chatterbox.T3.Fused;
using Chatterbox.Text;
using Chatterbox.Voices;
using Chatterbox.Watermark;
using Microsoft.Extensions.Logging.Abstractions;

namespace Chatterbox;

/// <summary>One Chatterbox model on one device: a text and a voice in, watermarked speech out.</summary>
/// <remarks>Used by one thread at a time; several models live side by side. For many callers put a
/// <see cref="SpeechEngine"/> in front. Ports ChatterboxTTS, ChatterboxMultilingualTTS, ChatterboxTurboTTS and ChatterboxVC
/// of chatterbox tts.py, mtl_tts.py, tts_turbo.py and vc.py, and ChatterboxFlashTTS of chatterbox_flash tts.py: what they differ in is
/// <see cref="ChatterboxConfig"/>'s.</remarks>
public sealed class ChatterboxModel : ISpeechModel
{
    // How the time of a synthesis is spread over its stages, roughly, for progress alone.
    private const double T3Share = 0.6,
        S3GenEnd = 0.9;
    private const double TokensPerTextToken = 3;

    private const int MaxSequences = 1024; // more than a caller opens streams

    // open at once where more would only wait longer, as each costs as much as the first; a CPU's step may be for more
    private const int MostOneByOne = 8;

    private const int MostLanes = 4; // more leave nothing of a GPU unused
    private const int VoicedTogether = 16; // chunks, of as many listeners; of more the first would wait for long

    private const int WarmUpTokens = 3 * SpeechResult.TokensPerSecond;
    private const string WarmUpText =
        "Good morning. I will speak in a moment; these words are for nobody, they only have the length that most sentences have.";

    private readonly List<IDisposable> _parts = [];
    private readonly ChatterboxConfig _config;
    private readonly TextFrontEnd _text;
    private readonly IT3Decoder _decoder;
    private readonly SpeechDecoder _speechDecoder;
    private readonly S3GenNetworks _s3gen;
    private readonly SpeakerEncoder _speakerEncoder;
    private readonly PerthWatermarker _watermarker;
    private readonly VoiceLanes _lanes;
    private readonly VoiceBatch _voices;
    private readonly ModelWarmUp _warmUp;
    private readonly Device _device;
    private readonly bool _isOnGpu;
    private ModelSpeed? _pace;

    private ChatterboxModel(Checkpoint checkpoint, Device device, ModelOptions options, CheckedDevice arithmetic)
    {
        _config = checkpoint.Config;
        (_device, Device) = (device, device.ToString());
        BuiltInVoice = checkpoint.ReadVoice();
        var (own, shared) = (new SharedParts(), options.SharedParts ?? new SharedParts());
        (SelfCheck, var ops, var precision) = arithmetic;
        Task<T> Load<T>(SharedParts parts, string file, ScalarType dtype, object[] sizes, Func<WeightScope, T> build)
            where T : class => Task.Run(() => Keep(parts.Networks(file, device, dtype, ops, sizes, build)));

        // Beside each other: T3, which is one model's alone, is two thirds of the weights.
        var t3 = Load(
            own,
            checkpoint.T3Path,
            T3Type(precision, device),
            [_config.T3, precision],
            root => new T3Model(_config.T3, root, ops, cpuFormat: CpuFormat(precision, device, _config))
        );
        var s3gen = Load(
            shared,
            checkpoint.S3GenPath,
            ScalarType.Float32,
            [.. S3GenNetworks.SizesOf(_config), precision],
            root => new S3GenNetworks(_config, root, ops, precision)
        );
        var speakerEncoder = Load(
            shared,
            checkpoint.SpeakerEncoderPath,
            ScalarType.Float32,
            [_config.Voices.SpeakerEncoder],
            root => new SpeakerEncoder(_config.Voices.SpeakerEncoder, root)
        );
        var watermark = Load(
            shared,
            checkpoint.WatermarkPath,
            ScalarType.Float32,
            [_config.Watermark, precision],
            root => new PerthWatermarker(_config.Watermark, root, precision)
        );
        var text = Task.Run(() =>
            Keep(
                shared.Made(
                    checkpoint.TextPaths,
                    _config.Text,
                    (options.ChineseSegmenter, options.JapaneseReader),
                    () =>
                        TextFrontEnd.Load(
                            _config.Text,
                            checkpoint.TokenizerPath,
                            checkpoint.CangjiePath,
                            options.ChineseSegmenter,
                            options.JapaneseReader
                        )
                )
            )
        );
        try
        {
            Task.WaitAll(t3, s3gen, speakerEncoder, watermark, text);
        }
        catch (AggregateException e)
        {
            Dispose();
            if (e.InnerExceptions.FirstOrDefault(inner => inner is not CheckpointException) is { } other)
            {
                ExceptionDispatchInfo.Throw(other); // no fault of the files
            }

            throw new CheckpointException(string.Join("\n", e.InnerExceptions.Select(inner => inner.Message)), e);
        }

        _text = text.Result;
        _decoder = t3.Result.CreateDecoder(MaxSequences);
        _speechDecoder = new SpeechDecoder(_config, s3gen.Result);
        (_s3gen, _speakerEncoder) = (s3gen.Result, speakerEncoder.Result);
        _watermarker = watermark.Result;
        _lanes = new(device, _speechDecoder.S3Gen, device.type == DeviceType.CPU ? 1 : MostLanes);
        _voices = new(_speechDecoder, _watermarker, device.type == DeviceType.CPU ? 1 : VoicedTogether, _lanes);
        _warmUp = new(_config, _decoder, _speechDecoder, _watermarker);
        Runtime = RuntimeReport.Of(_config, device, t3.Result, _s3gen, _watermarker);
        _isOnGpu = device.type != DeviceType.CPU;
        NativeHeap.Trim(); // of what went through the host's memory on its way to a GPU, or was read to be kept in fewer bits
    }

    /// <summary>Name of the variant, such as english, turbo, or tiny.</summary>
    public string Name => _config.Name;

    /// <summary>Codes of the languages that the model speaks.</summary>
    public IReadOnlyList<string> Languages => _config.Text.Languages;

    /// <summary>Where the model is: cpu, or cuda:0.</summary>
    public string Device { get; }

    /// <inheritdoc/>
    public SelfCheck SelfCheck { get; private set; }

    /// <inheritdoc/>
    public RuntimeReport Runtime { get; }

    /// <inheritdoc/>
    public Voice? BuiltInVoice { get; }

    /// <inheritdoc/>
    public int MaxUtterances =>
        _isOnGpu && _decoder.Width > 1 ? _decoder.Capacity : Math.Min(Math.Max(MostOneByOne, _decoder.Width), _decoder.Capacity);

    /// <inheritdoc/>
    public int StepWidth => _decoder.Width;

    /// <inheritdoc/>
    public int VoiceWidth => _voices.Width;

    /// <inheritdoc/>
    public CacheUse Cache => _decoder.Cache;

    /// <inheritdoc/>
    public bool VoicesDuringSteps => _isOnGpu; // one stage alone keeps all cores of a CPU busy

    /// <summary>How fast the model is; measured when it is first asked for, and the same from then on.</summary>
    internal ModelSpeed Pace => _pace ??= _warmUp.MeasurePace();

    /// <summary>Describes the model of a folder, from the names of its files alone.</summary>
    /// <param name="folder">Folder with a model's files.</param>
    /// <param name="variant">As <see cref="ModelOptions.Variant"/>.</param>
    /// <exception cref="CheckpointException">There is no such folder, or no such variant.</exception>
    public static ModelDescription Describe(string folder, string? variant = null)
    {
        var config = Checkpoint.VariantOf(folder, variant);
        return new ModelDescription(config.Name, config.Text.Languages, config.LacksSettings)
        {
            Tags = config.Text.Tags,
            SpellsOut = config.Text.Punctuation is null,
        };
    }

    /// <summary>Measures the memory of a model's weights, from the headers of its files, and identifies files that equal another
    /// model's.</summary>
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

        // A CPU has no narrower weights for a T3 whose speech comes in blocks.
        var isNarrow =
            options.EffectivePrecision == Precision.Fast
            && !(checkpoint.Config.T3.InBlocks && (options.Device ?? ModelOptions.BestDevice()) == "cpu");
        return
        [
            new(Guid.NewGuid().ToString(), Measure(checkpoint.T3Path, isNarrow ? ScalarType.BFloat16 : ScalarType.Float32)),
            .. new[] { checkpoint.S3GenPath, checkpoint.SpeakerEncoderPath, checkpoint.WatermarkPath }.Select(path => new WeightMemory(
                parts.ContentOf(path),
                Measure(path, ScalarType.Float32)
            )),
        ];
    }

    /// <summary>Finds a model by its name or folder and loads it; a published model that is not in the Hugging Face cache is downloaded
    /// first.</summary>
    /// <param name="model">One of <see cref="ModelLocator.Names"/>, such as english, turbo or nano; or a folder.</param>
    /// <param name="options">Device and precision; null for the defaults.</param>
    /// <param name="progress">Receives the completed part of a download, 0 to 1.</param>
    /// <param name="cancellationToken">Cancels a download, whose completed part is kept for the next time.</param>
    /// <exception cref="CheckpointException">There is no such model, or its files are missing, damaged or of another model.</exception>
    /// <exception cref="UnavailableException">The model cannot be downloaded now, or the device is not there.</exception>
    /// <exception cref="SelfCheckException">The device gives wrong numbers.</exception>
    /// <example><code>
    /// using var model = await ChatterboxModel.LoadAsync("nano", progress: new Progress&lt;double&gt;(part => Console.Error.WriteLine($"{part:P0}")));
    /// </code></example>
    public static async Task<ChatterboxModel> LoadAsync(
        string model,
        ModelOptions? options = null,
        IProgress<double>? progress = null,
        CancellationToken cancellationToken = default
    )
    {
        options ??= new ModelOptions();
        using var hub = new ModelHub(ModelHubOptions.FromEnvironment());
        var locator = new ModelLocator(hub, ModelLocator.DefaultCacheFolder, NullLogger<ModelLocator>.Instance)
        {
            Preferred = ModelLocator.PreferredOn(options.Device ?? ModelOptions.BestDevice()),
        };
        var located = await locator.LocateAsync(model, progress, cancellationToken).ConfigureAwait(false);
        if (located.IsStandIn)
        {
            throw new UnavailableException(
                $"The published model is not in the cache and cannot be downloaded without a network. Try again with a network, or name "
                    + $"'{ModelLocator.Tiny}', which generates noise."
            );
        }

        options = options with
        {
            Variant = options.Variant ?? located.Variant,
            WatermarkFile = options.WatermarkFile ?? located.WatermarkFile,
        };
        return await Task.Run(() => Load(located.Folder, options), cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Loads the model of a folder.</summary>
    /// <param name="folder">Folder with the model's files, as published or as written by convert-weights.</param>
    /// <param name="options">Device and precision; null for the defaults.</param>
    /// <exception cref="CheckpointException">Files are missing, damaged, or of another model; names each fault.</exception>
    /// <exception cref="UnavailableException">The device is not there.</exception>
    /// <exception cref="SelfCheckException">The device gives wrong numbers.</exception>
    /// <exception cref="ModelFailedException">The device failed, or has too little memory.</exception>
    public static ChatterboxModel Load(string folder, ModelOptions? options = null) =>
        ModelFailedException.Translate(() =>
        {
            options ??= new ModelOptions();
            var checkpoint = Checkpoint.Open(folder, options.Variant, options.WatermarkFile);
            using var mode = inference_mode();
            var device = Devices.Find(options.Device);
            return device.type == DeviceType.CPU && options.SelfCheck
                ? LoadWhileChecking(checkpoint, device, options)
                : new ChatterboxModel(checkpoint, device, options, options.Check(device));
        });

    /// <summary>Reads the weights while the processor's arithmetic is checked; where that finds a fault, they are read again for what is
    /// used instead.</summary>
    private static ChatterboxModel LoadWhileChecking(Checkpoint checkpoint, Device device, ModelOptions options)
    {
        var usual = options.Unchecked(device);
        var loading = Task.Run(() =>
        {
            using var mode = inference_mode();
            return new ChatterboxModel(checkpoint, device, options, usual);
        });
        CheckedDevice arithmetic;
        try
        {
            arithmetic = DeviceCheck.Run(device, usual.Ops, usual.Precision);
        }
        catch
        {
            loading.ContinueWith(loaded => loaded.Result.Dispose(), TaskContinuationOptions.OnlyOnRanToCompletion);
            throw;
        }

        var model = loading.GetAwaiter().GetResult();
        if (arithmetic.Ops == usual.Ops && arithmetic.Precision == usual.Precision)
        {
            model.SelfCheck = arithmetic.Result;
            return model;
        }

        model.Dispose();
        return new ChatterboxModel(checkpoint, device, options, arithmetic);
    }

    /// <summary>Makes ready what would otherwise be made for the first requests: measures how fast the model is, by which streams
    /// cut speech into chunks, and on a GPU loads kernels, records graphs and takes memory by speaking for some seconds.</summary>
    /// <remarks>Without it the first stream measures. Best called while nothing else uses the device.</remarks>
    /// <exception cref="ModelFailedException">The device failed, or has too little memory.</exception>
    public void WarmUp()
    {
        if (_isOnGpu)
        {
            _warmUp.SpeakAllLengths();
        }

        _ = Pace;
        if (_isOnGpu)
        {
            using var stream = OpenStream(WarmUpText, _warmUp.Voice, new() { Seed = 1, MaxSpeechTokens = WarmUpTokens });
            while (!stream.IsOver)
            {
                stream.NextChunk();
            }
        }
    }

    /// <summary>Speaks one piece of text.</summary>
    /// <param name="text">What is said.</param>
    /// <param name="voice">Who says it.</param>
    /// <param name="sampling">How; null for the defaults.</param>
    /// <param name="language">Code of the text's language; null for the variant's default.</param>
    /// <param name="progress">Receives how far it is.</param>
    /// <param name="cancellationToken">Checked before each speech token and each step of the flow.</param>
    /// <exception cref="RequestException">The text or a setting cannot be used.</exception>
    /// <exception cref="VoiceException">The voice is not of the sizes that the model was made for.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    /// <exception cref="ModelFailedException">The device failed, or has too little memory.</exception>
    public SpeechResult Synthesize(
        string text,
        Voice voice,
        SamplingOptions? sampling = null,
        string? language = null,
        IProgress<SynthesisProgress>? progress = null,
        CancellationToken cancellationToken = default
    ) => ModelFailedException.Translate(() => Speak(text, voice, sampling ?? new(), language, progress, cancellationToken));

    /// <summary>Opens a stream that generates a text's speech chunk by chunk.</summary>
    /// <param name="text">The text.</param>
    /// <param name="voice">The voice.</param>
    /// <param name="sampling">How; null for the defaults.</param>
    /// <param name="chunks">How chunks are cut; null for the defaults.</param>
    /// <param name="language">Code of the text's language; null for the variant's default.</param>
    /// <returns>The stream. Speech tokens are those of <see cref="Synthesize"/>; sound is the same but for details, and the
    /// same sample for sample where the first chunk is all of it.</returns>
    /// <exception cref="RequestException">The text or a setting cannot be used.</exception>
    /// <exception cref="VoiceException">The voice is not of the sizes that the model was made for.</exception>
    public IChunkedSpeech OpenStream(
        string text,
        Voice voice,
        SamplingOptions? sampling = null,
        ChunkOptions? chunks = null,
        string? language = null
    ) => new SpeechStream(this, Begin(text, voice, sampling ?? new(), chunks ?? new(), language));

    /// <inheritdoc/>
    public void Prepare()
    {
        if (VoicesDuringSteps)
        {
            _ = Pace; // measuring needs all of the model
        }
    }

    /// <inheritdoc/>
    public void CheckDevice()
    {
        if (_device.type != DeviceType.CUDA)
        {
            return;
        }

        try
        {
            using var context = CudaContext.Use(_device.index);
            CudaStream.OfTorch.Synchronize();
        }
        catch (CudaException e)
        {
            throw new UnavailableException(
                $"{Device} has failed, and only a new process can use it: restart the program. If it fails again, run the service's "
                    + $"'doctor' command.",
                e
            );
        }
    }

    /// <inheritdoc/>
    public IUtterance Begin(string text, Voice voice, SamplingOptions sampling, ChunkOptions? chunks = null, string? language = null)
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        chunks?.Check();
        var encoded = _text.Encode(text, language);
        var seed = sampling.Seed ?? Random.Shared.NextInt64();
        var state = new VoicingState(_lanes, voice.S3Gen, seed);
        try
        {
            if (chunks is not null)
            {
                state.MakeChunks(() => new(_config, _speechDecoder, _watermarker, voice.S3Gen, seed, chunks));
            }

            var plan = PlanOf(chunks, state);
            var sequence = _decoder.Start(encoded.Tokens, voice.T3, sampling, state.Noise);
            return new Utterance(_config.T3, sequence, state, plan, _pace, chunks?.EndsWhenStuck ?? false)
            {
                TextTokens = encoded.Tokens.Length,
                UnknownCharacters = encoded.UnknownCharacters,
            };
        }
        catch
        {
            state.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Advance(IReadOnlyList<IUtterance> utterances)
    {
        var stepped = utterances.Cast<Utterance>().Where(utterance => utterance.NeedsSteps).ToArray();
        _decoder.Step([.. stepped.Select(utterance => utterance.Sequence)]);
        Array.ForEach(stepped, utterance => utterance.Receive());
    }

    /// <inheritdoc/>
    public void VoiceChunks(IReadOnlyList<DueChunk> due) => _voices.Run(due);

    /// <summary>Converts a recording to another voice: its words and their timing stay.</summary>
    /// <param name="source">Speech, of any length.</param>
    /// <param name="target">The target voice, of which only S3Gen's part is used.</param>
    /// <param name="seed">The same seed gives the same speech; null draws one.</param>
    /// <param name="progress">Receives the progress.</param>
    /// <param name="cancellationToken">Checked before each step of the flow.</param>
    /// <returns>Watermarked speech that is as long as the recording, to 40 ms.</returns>
    /// <exception cref="VoiceException">The recording is too short or holds numbers that are no samples; or the voice does not fit the
    /// model.</exception>
    /// <exception cref="InvalidOutputException">A stage's output is not finite, with plain operations neither.</exception>
    public SpeechResult ConvertVoice(
        AudioClip source,
        Voice target,
        long? seed = null,
        IProgress<SynthesisProgress>? progress = null,
        CancellationToken cancellationToken = default
    )
    {
        using var conversion = BeginConversion(source, target, seed);
        var samples = new List<float>();
        while (!conversion.IsOver)
        {
            samples.AddRange(conversion.ConvertNext(progress, cancellationToken).Span);
        }

        return new SpeechResult(samples.ToArray(), TextTokens: 0, conversion.SpeechTokens, ReachedLimit: false)
        {
            Recovered = conversion.Recovered,
        };
    }

    /// <inheritdoc/>
    public IVoiceConversion BeginConversion(AudioClip source, Voice target, long? seed = null) =>
        new VoiceConversion(_speechDecoder, _s3gen.Reference.SpeechTokenizer, _watermarker, source, target, seed);

    /// <inheritdoc/>
    public Voice CreateVoice(AudioClip recording) =>
        ModelFailedException.Translate(() =>
        {
            using var mode = inference_mode();
            return new VoiceBuilder(_config.Voices, _speakerEncoder, _s3gen.Reference).Build(recording);
        });

    /// <inheritdoc/>
    public double? DetectWatermark(AudioClip recording) =>
        ModelFailedException.Translate(() =>
        {
            using var mode = inference_mode();
            return _watermarker.Detect(recording.Samples.Span, recording.SampleRate);
        });

    /// <inheritdoc/>
    public void Dispose()
    {
        _decoder?.Dispose(); // null where loading failed
        _lanes?.Dispose();
        _parts.ForEach(part => part.Dispose());
        _parts.Clear();
        NativeHeap.Trim();
    }

    private SpeechResult Speak(
        string text,
        Voice voice,
        SamplingOptions sampling,
        string? language,
        IProgress<SynthesisProgress>? progress,
        CancellationToken cancellationToken
    )
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var noise = new NoiseSource(sampling.Seed ?? Random.Shared.NextInt64()); // drawn from in the reference's order
        var encoded = _text.Encode(text, language);
        var spoken = _decoder.Generate(encoded.Tokens, voice.T3, sampling, noise, InT3(progress, encoded.Tokens.Length), cancellationToken);
        var speechTokens = _config.T3.SpeechCodesOf(spoken.SpeechTokens);
        var (samples, recovered) = _voices.VoiceWhole(
            speechTokens,
            voice.S3Gen,
            noise,
            BehindT3(progress, speechTokens.Length),
            Marking,
            cancellationToken
        );
        progress?.Report(new(SynthesisStage.Done, 1, speechTokens.Length));
        return new SpeechResult(samples, encoded.Tokens.Length, speechTokens, spoken.ReachedLimit)
        {
            UnknownCharacters = encoded.UnknownCharacters,
            Recovered = [.. new[] { spoken.Recovered ? SynthesisStage.T3 : (SynthesisStage?)null, recovered }.OfType<SynthesisStage>()],
        };

        void Marking() => progress?.Report(new(SynthesisStage.Watermark, 0.98, speechTokens.Length));
    }

    /// <summary>How an utterance is cut; null where all of it is one chunk.</summary>
    private ChunkPlan? PlanOf(ChunkOptions? chunks, VoicingState state)
    {
        if (chunks is null)
        {
            return null;
        }

        var passes = new PassLength(state.Assembler!.Lag, state.Voice.SpeechTokens.Count, chunks.FirstPrompt, chunks.LeftContext);
        return chunks.FirstTokens is { } first
            ? ChunkPlan.Doubling(first, chunks.MostTokens, passes)
            : ChunkPlan.Following(chunks.MostTokens, Pace, passes, VoicesDuringSteps ? Pace.InCompany() : Pace);
    }

    private T Keep<T>(Lease<T> part)
    {
        lock (_parts)
        {
            _parts.Add(part);
        }

        return part.Value;
    }

    private static ScalarType T3Type(Precision precision, Device device) =>
        precision == Precision.Fast && device.type != DeviceType.CPU ? ScalarType.BFloat16 : ScalarType.Float32;

    private static WeightFormat? CpuFormat(Precision precision, Device device, ChatterboxConfig config) =>
        precision == Precision.Fast && device.type == DeviceType.CPU ? CpuBackbone.FastestFormat(config.T3.Backbone) : null;

    private static ImmediateProgress<int>? InT3(IProgress<SynthesisProgress>? progress, int textTokens) =>
        progress is null
            ? null
            : new(n => progress.Report(new(SynthesisStage.T3, T3Share * (1 - Math.Exp(-n / (TokensPerTextToken * textTokens))), n)));

    private static ImmediateProgress<double>? BehindT3(IProgress<SynthesisProgress>? progress, int tokens) =>
        progress is null
            ? null
            : new(done =>
                progress.Report(new(done < 1 ? SynthesisStage.S3Gen : SynthesisStage.HiFT, T3Share + ((S3GenEnd - T3Share) * done), tokens))
            );
}
