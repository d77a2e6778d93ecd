using System.Text.Json.Serialization;

namespace Chatterbox.T3;

/// <summary>Sizes, token ids and sampling of one T3: what makes the variants differ.</summary>
/// <remarks>Ports T3Config of chatterbox models/t3/modules/t3_config.py, and what tts.py, mtl_tts.py and tts_turbo.py set
/// beside it. The training side files of Turbo and Nano state other sizes, which the reference never reads.</remarks>
internal sealed record T3Config
{
    /// <summary>The English model, <c>t3_cfg</c>.</summary>
    public static T3Config English { get; } =
        new()
        {
            Backbone = new LlamaConfig(),
            TextVocabulary = 704,
            StartTextToken = 255,
            StopTextToken = 0,
            SpeechVocabulary = 8194,
            LearnedPositions = true,
            StartTokens = 2,
            PromptTokens = 150,
            Perceiver = new(),
            Emotion = true,
            Guidance = true,
            Sampling = new(
                [SamplingStep.RepetitionPenalty, SamplingStep.Temperature, SamplingStep.MinP, SamplingStep.TopP],
                StartTokenIsPenalised: true,
                new(
                    Exaggeration: 0.5,
                    CfgWeight: 0.5,
                    Temperature: 0.8,
                    MinP: 0.05,
                    TopP: 1,
                    TopK: 0,
                    RepetitionPenalty: 1.2,
                    MaxSpeechTokens: 1000
                )
            ),
        };

    /// <summary>The multilingual model, <c>t3_mtl23ls_v2</c> and its successors of the same shape: English with more text tokens.</summary>
    public static T3Config Multilingual { get; } = English with { TextVocabulary = 2454 };

    /// <summary>The Turbo model, <c>t3_turbo_v1</c>.</summary>
    public static T3Config Turbo { get; } =
        new()
        {
            Backbone = new Gpt2Config(),
            TextVocabulary = 50276,
            MaxTextTokens = 1024, // where the reference's tokenizer cuts the text off
            SpeechVocabulary = 6563,
            SpeechHeadBias = true,
            PromptTokens = 375,
            Sampling = new(
                [SamplingStep.Temperature, SamplingStep.TopK, SamplingStep.TopP, SamplingStep.RepetitionPenalty],
                StartTokenIsPenalised: false,
                // 1001: the reference counts its 1000 tokens after the first.
                new(
                    Exaggeration: 0,
                    CfgWeight: 0,
                    Temperature: 0.8,
                    MinP: 0,
                    TopP: 0.95,
                    TopK: 1000,
                    RepetitionPenalty: 1.2,
                    MaxSpeechTokens: 1001
                )
            ),
        };

    /// <summary>The Nano model, <c>t3_nano_v1</c>: Turbo with a smaller backbone.</summary>
    public static T3Config Nano { get; } = Turbo with { Backbone = new Gpt2Config(Layers: 12, HiddenSize: 768, Heads: 12, MlpSize: 3072) };

    /// <summary>The Flash model, <c>t3_flash</c>: English trained to fill in blocks of masked speech tokens.</summary>
    /// <remarks>Ports the sizes and defaults of ChatterboxFlashT3 and ChatterboxFlashTTS, chatterbox_flash model.py and tts.py.</remarks>
    public static T3Config Flash { get; } =
        English with
        {
            StartTokens = 1,
            GuidanceKeepsVoice = false,
            Sampling = new(
                [SamplingStep.Temperature],
                StartTokenIsPenalised: false,
                new(
                    Exaggeration: 0.5,
                    CfgWeight: 1,
                    Temperature: 0.6,
                    MinP: 0,
                    TopP: 1,
                    TopK: 0,
                    RepetitionPenalty: 1,
                    MaxSpeechTokens: 4096
                )
                {
                    Blocks = new(Size: 16, Steps: 10, TimeShift: 0.1, ScheduleShift: 0.5, PositionTemperature: 5, FixedPrior: true),
                }
            ),
        };

    /// <summary>The transformer.</summary>
    public required BackboneConfig Backbone { get; init; }

    /// <summary>Number of text token ids.</summary>
    public required int TextVocabulary { get; init; }

    /// <summary>Id put in front of every text; null for none.</summary>
    public int? StartTextToken { get; init; }

    /// <summary>Id put behind every text; null for none.</summary>
    public int? StopTextToken { get; init; }

    /// <summary>Longest text, without start and stop.</summary>
    public int MaxTextTokens { get; init; } = 2048;

    /// <summary>Number of speech token ids, speech codes first.</summary>
    public required int SpeechVocabulary { get; init; }

    /// <summary>Number of ids that stand for sound: those below it go to S3Gen, the others never do.</summary>
    public int SpeechCodes { get; init; } = 6561;

    /// <summary>Id that speech begins with.</summary>
    public int StartSpeechToken { get; init; } = 6561;

    /// <summary>Id that ends speech.</summary>
    public int StopSpeechToken { get; init; } = 6562;

    /// <summary>Longest speech that the model has positions for.</summary>
    public int MaxSpeechTokens { get; init; } = 4096;

    /// <summary>How many start tokens the prefix ends with. The Llama models have two, both at position 0: the reference's
    /// generation repeats what its input embedding holds already, and listeners know the models that way.</summary>
    public int StartTokens { get; init; } = 1;

    /// <summary>True where text and speech each have a learned table of positions of their own.</summary>
    public bool LearnedPositions { get; init; }

    /// <summary>True where the speech head has a bias.</summary>
    public bool SpeechHeadBias { get; init; }

    /// <summary>Size of the voice encoder's embedding.</summary>
    public int SpeakerSize { get; init; } = 256;

    /// <summary>Most speech tokens of a voice's prompt.</summary>
    public required int PromptTokens { get; init; }

    /// <summary>Resamples the prompt to a fixed number of rows; null where the prompt goes in as it is.</summary>
    public PerceiverConfig? Perceiver { get; init; }

    /// <summary>True where the prefix has a row that says how lively to speak.</summary>
    public bool Emotion { get; init; }

    /// <summary>True where the model was trained for classifier-free guidance by the text.</summary>
    public bool Guidance { get; init; }

    /// <summary>True where guidance takes the text alone away from its second row, and leaves voice and positions.</summary>
    public bool GuidanceKeepsVoice { get; init; } = true;

    /// <summary>How speech tokens are chosen.</summary>
    public required SamplerConfig Sampling { get; init; }

    /// <summary>Rows of a batch that one sequence takes at most: where the text guides, a second one without the text.</summary>
    public int MaxRows => Guidance ? 2 : 1;

    /// <summary>True where speech tokens come in blocks, each filled in by several passes, and not one after the other.</summary>
    public bool InBlocks => Sampling.Defaults.Blocks is not null;

    /// <summary>Id that stands for a speech token yet to be chosen, where speech comes in blocks; it has an embedding and cannot be
    /// drawn.</summary>
    public int MaskToken => SpeechVocabulary;

    /// <summary>Rows of the table of speech embeddings.</summary>
    public int SpeechEmbeddings => SpeechVocabulary + (InBlocks ? 1 : 0);

    /// <summary>Rows of the learned table of text positions.</summary>
    public int TextPositions => MaxTextTokens + 2;

    /// <summary>Rows of the learned table of speech positions.</summary>
    public int SpeechPositions => MaxSpeechTokens + 4;

    /// <summary>Longest sequence the backbone can be given: the longest prefix, then the longest speech.</summary>
    public int MaxLength => 1 + (Perceiver?.Queries ?? PromptTokens) + (Emotion ? 1 : 0) + TextPositions + StartTokens + MaxSpeechTokens;

    /// <summary>What of raw speech tokens is sound: all before the stop token, without ids that are no speech code.</summary>
    /// <remarks>The reference's English and multilingual models also drop everything up to a start token spoken midway, which
    /// takes away speech; its multilingual model lets other ids through, which then break S3Gen.</remarks>
    public int[] SpeechCodesOf(IEnumerable<int> speechTokens) =>
        [.. speechTokens.TakeWhile(token => token != StopSpeechToken).Where(token => token < SpeechCodes)];
}

/// <summary>Sizes that every backbone has.</summary>
[JsonDerivedType(typeof(LlamaConfig), "llama")]
[JsonDerivedType(typeof(Gpt2Config), "gpt2")]
internal abstract record BackboneConfig(int Layers, int HiddenSize, int Heads, int MlpSize, double NormEps)
{
    /// <summary>Size of one attention head.</summary>
    public int HeadDim => HiddenSize / Heads;

    /// <summary>Loads the backbone.</summary>
    /// <param name="weights">Scope of the backbone, <c>tfmr</c>.</param>
    /// <param name="ops">Operations to use.</param>
    /// <param name="maxLength">Longest sequence it will be given.</param>
    public abstract IPlainBackbone Build(WeightScope weights, TorchOps ops, int maxLength);

    /// <summary>The same kind of backbone, as small as makes sense.</summary>
    public abstract BackboneConfig Shrink();
}

/// <summary>Sizes of the English and multilingual backbone.</summary>
/// <remarks>Source: chatterbox models/t3/llama_configs.py, Llama_520M.</remarks>
internal sealed record LlamaConfig(int Layers = 30, int HiddenSize = 1024, int Heads = 16, int MlpSize = 4096, double NormEps = 1e-5)
    : BackboneConfig(Layers, HiddenSize, Heads, MlpSize, NormEps)
{
    /// <summary>Base of the rotary frequencies.</summary>
    public double RopeTheta { get; init; } = 500_000;

    /// <summary>How the rotary frequencies are stretched.</summary>
    public RopeScaling RopeScaling { get; init; } = new();

    /// <inheritdoc/>
    public override IPlainBackbone Build(WeightScope weights, TorchOps ops, int maxLength) =>
        new LlamaBackbone(this, weights, ops, maxLength);

    /// <inheritdoc/>
    public override BackboneConfig Shrink() => this with { Layers = 2, HiddenSize = 128, Heads = 2, MlpSize = 256 };
}

/// <summary>Llama 3's stretching of rotary frequencies for long contexts.</summary>
/// <param name="Factor">Long waves become this many times longer.</param>
/// <param name="LowFrequencyFactor">Waves longer than the context divided by this are stretched in full.</param>
/// <param name="HighFrequencyFactor">Waves shorter than the context divided by this stay as they are.</param>
/// <param name="OriginalContext">The context the factors refer to, in positions.</param>
internal sealed record RopeScaling(
    double Factor = 8,
    double LowFrequencyFactor = 1,
    double HighFrequencyFactor = 4,
    int OriginalContext = 8192
);

/// <summary>Sizes of the Turbo and Nano backbone.</summary>
/// <remarks>Source: chatterbox models/t3/llama_configs.py, GPT2_medium (the defaults) and GPT2_small.</remarks>
internal sealed record Gpt2Config(int Layers = 24, int HiddenSize = 1024, int Heads = 16, int MlpSize = 4096, double NormEps = 1e-5)
    : BackboneConfig(Layers, HiddenSize, Heads, MlpSize, NormEps)
{
    /// <summary>Rows of the learned table of positions.</summary>
    public int Positions { get; init; } = 8196;

    /// <inheritdoc/>
    public override IPlainBackbone Build(WeightScope weights, TorchOps ops, int maxLength) =>
        maxLength <= Positions
            ? new Gpt2Backbone(this, weights, ops)
            : throw new ArgumentOutOfRangeException(
                nameof(maxLength),
                maxLength,
                $"The configuration needs sequences longer than the table of {Positions} positions."
            );

    /// <inheritdoc/>
    public override BackboneConfig Shrink() => this with { Layers = Layers / 12, HiddenSize = 64, Heads = 2, MlpSize = 128 };
}

/// <summary>Sizes of the Perceiver resampler.</summary>
/// <param name="Queries">Rows that the prompt is resampled to.</param>
/// <param name="Heads">Attention heads.</param>
internal sealed record PerceiverConfig(int Queries = 32, int Heads = 4);

/// <summary>How a variant chooses speech tokens.</summary>
/// <param name="Order">The steps in the variant's order; a setting whose step is missing is refused.</param>
/// <param name="StartTokenIsPenalised">True where the repetition penalty falls on the start token all along; false where only at the first
/// token.</param>
/// <param name="Defaults">What a request that leaves a setting open gets.</param>
internal sealed record SamplerConfig(IReadOnlyList<SamplingStep> Order, bool StartTokenIsPenalised, SamplingSettings Defaults);

/// <summary>One change of the logits before a token is drawn.</summary>
internal enum SamplingStep
{
    /// <summary>Makes tokens that were spoken already less likely.</summary>
    RepetitionPenalty,

    /// <summary>Divides the logits.</summary>
    Temperature,

    /// <summary>Drops tokens much less likely than the likeliest.</summary>
    MinP,

    /// <summary>Keeps a number of the likeliest.</summary>
    TopK,

    /// <summary>Keeps the likeliest up to a total probability.</summary>
    TopP,
}
