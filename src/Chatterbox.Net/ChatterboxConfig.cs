using System.Text.Json;
using System.Text.Json.Serialization;
using Chatterbox.HiFT;
using Chatterbox.S3Gen;
using Chatterbox.T3;
using Chatterbox.Text;
using Chatterbox.Text.Languages;
using Chatterbox.Voices;
using Chatterbox.Watermark;

namespace Chatterbox;

/// <summary>One variant of the family as data: its networks' sizes and the names of its files.</summary>
internal sealed record ChatterboxConfig
{
    /// <summary>Name of a file that states the sizes of networks other than the published ones.</summary>
    public const string FileName = "config.json";

    private const int Silence = 4299; // a speech token that sounds of nothing

    /// <summary>How configs look as JSON.</summary>
    internal static readonly JsonSerializerOptions Json = new()
    {
        WriteIndented = true,
        IgnoreReadOnlyProperties = true,
        IncludeFields = true,
        Converters = { new JsonStringEnumConverter() },
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        RespectNullableAnnotations = true,
    };

    /// <summary>The published English model.</summary>
    public static ChatterboxConfig English { get; } =
        new()
        {
            Name = "english",
            T3 = T3Config.English,
            Text = new(TokenizerKind.English, PunctuationRules.English),
            Files = new() { T3 = CheckpointFiles.Weights("t3_cfg"), Tokenizer = ["tokenizer.json"] },
        };

    /// <summary>The published multilingual model, second version: the reference's default.</summary>
    public static ChatterboxConfig Multilingual { get; } =
        new()
        {
            Name = "multilingual",
            T3 = T3Config.Multilingual,
            Text = new(TokenizerKind.Multilingual, PunctuationRules.Multilingual) { Languages = [.. SupportedLanguages.Names.Keys] },
            CutTokens = 1,
            Files = new()
            {
                T3 = CheckpointFiles.Weights("t3_mtl23ls_v2"),
                Tokenizer = ["grapheme_mtl_merged_expanded_v1.json"],
                Cangjie = ["Cangjie5_TC.json", "Cangjie5_TC.txt"],
            },
        };

    /// <summary>The published multilingual model, third version.</summary>
    public static ChatterboxConfig MultilingualV3 { get; } = WithT3("multilingual-v3", "t3_mtl23ls_v3");

    /// <summary>The published Turbo model.</summary>
    public static ChatterboxConfig Turbo { get; } =
        new()
        {
            Name = "turbo",
            T3 = T3Config.Turbo,
            Text = new(TokenizerKind.Gpt2, PunctuationRules.Turbo)
            {
                Tags =
                [
                    "advertisement",
                    "angry",
                    "chuckle",
                    "clear throat",
                    "cough",
                    "crying",
                    "dramatic",
                    "fear",
                    "gasp",
                    "groan",
                    "happy",
                    "laugh",
                    "narration",
                    "sarcastic",
                    "shush",
                    "sigh",
                    "sniff",
                    "surprised",
                    "whispering",
                ],
            },
            TailTokens = [Silence, Silence, Silence],
            S3Gen = S3GenConfig.MeanFlow,
            Voices = VoiceConfig.Turbo,
            Files = new()
            {
                T3 = CheckpointFiles.Weights("t3_turbo_v1"),
                S3Gen = CheckpointFiles.Weights("s3gen_meanflow"),
                Tokenizer = ["vocab.json", "merges.txt", "added_tokens.json"],
            },
        };

    /// <summary>The published Nano model: Turbo with a smaller T3.</summary>
    public static ChatterboxConfig Nano { get; } =
        Turbo with
        {
            Name = "nano",
            T3 = T3Config.Nano,
            Files = Turbo.Files with { T3 = CheckpointFiles.Weights("t3_nano_v1") },
        };

    /// <summary>The published Flash model: English's sizes, speech in blocks, and a flow like Turbo's under English's file name.</summary>
    public static ChatterboxConfig Flash { get; } =
        English with
        {
            Name = "flash",
            T3 = T3Config.Flash,
            Text = new(TokenizerKind.English, Punctuation: null),
            S3Gen = S3GenConfig.MeanFlow,
            Files = English.Files with { T3 = CheckpointFiles.Weights("t3_flash") },
        };

    /// <summary>Every published model; a folder that holds several is taken for the first of them. The language pack's come
    /// without voice encoder, which is put beside them from the multilingual model.</summary>
    public static IReadOnlyList<ChatterboxConfig> Published { get; } =
    [
        English,
        Multilingual,
        MultilingualV3,
        Turbo,
        Nano,
        Flash,
        LanguagePack("es-mx", "t3_es_mx_latam"),
        LanguagePack("es-es", "t3_es_es"),
        LanguagePack("pt-br", "t3_pt_br"),
        LanguagePack("pt-pt", "t3_pt_pt"),
        LanguagePack("hi", "t3_hi"),
        LanguagePack("zh", "t3_zh_cmn"),
    ];

    /// <summary>Name of the variant.</summary>
    public required string Name { get; init; }

    /// <summary>Text to text tokens.</summary>
    public required TextConfig Text { get; init; }

    /// <summary>Text tokens to speech tokens.</summary>
    public required T3Config T3 { get; init; }

    /// <summary>Speech tokens that are spoken after those of the text.</summary>
    public IReadOnlyList<int> TailTokens { get; init; } = [];

    /// <summary>How many of the last speech tokens are cut off the sound; the first always stays. Of the multilingual model
    /// the one before the stop token, which is noise.</summary>
    public int CutTokens { get; init; }

    /// <summary>Speech tokens to mel.</summary>
    public S3GenConfig S3Gen { get; init; } = S3GenConfig.Standard;

    /// <summary>Mel to samples.</summary>
    public HiFTConfig HiFT { get; init; } = new();

    /// <summary>The mark in the samples.</summary>
    public PerthConfig Watermark { get; init; } = new();

    /// <summary>Recording to voice.</summary>
    public VoiceConfig Voices { get; init; } = VoiceConfig.Llama;

    /// <summary>Names of the files.</summary>
    public required CheckpointFiles Files { get; init; }

    /// <summary>Settings of <see cref="SamplingOptions"/> that the model does not have, by name.</summary>
    public IReadOnlyList<string> LacksSettings =>
        [
            .. T3.Emotion ? Array.Empty<string>() : [nameof(SamplingOptions.Exaggeration)],
            .. T3.Guidance ? Array.Empty<string>() : [nameof(SamplingOptions.CfgWeight)],
            .. T3.Sampling.Order.Contains(SamplingStep.MinP) ? Array.Empty<string>() : [nameof(SamplingOptions.MinP)],
            .. T3.Sampling.Order.Contains(SamplingStep.TopK) ? Array.Empty<string>() : [nameof(SamplingOptions.TopK)],
            .. T3.Sampling.Order.Contains(SamplingStep.TopP) ? Array.Empty<string>() : [nameof(SamplingOptions.TopP)],
            .. T3.Sampling.Order.Contains(SamplingStep.RepetitionPenalty)
                ? Array.Empty<string>()
                : [nameof(SamplingOptions.RepetitionPenalty)],
            .. T3.InBlocks ? Array.Empty<string>() : SettingsOfBlocks,
        ];

    private static IReadOnlyList<string> SettingsOfBlocks { get; } =
    [
        nameof(SamplingOptions.BlockSize),
        nameof(SamplingOptions.BlockSteps),
        nameof(SamplingOptions.TimeShift),
        nameof(SamplingOptions.ScheduleShift),
        nameof(SamplingOptions.PositionTemperature),
        nameof(SamplingOptions.FixedPrior),
    ];

    /// <summary>The same variant in a hundredth of its size: every part is there, and none has learned anything.</summary>
    /// <param name="name">Its name.</param>
    public ChatterboxConfig Shrink(string name) =>
        this with
        {
            Name = name,
            T3 = T3 with
            {
                Backbone = T3.Backbone.Shrink(),
                Perceiver = T3.Perceiver is null ? null : new PerceiverConfig(Queries: 8, Heads: 2),
            },
            S3Gen = S3Gen with
            {
                Encoder = new ConformerConfig(InputSize: 64, Size: 64, Heads: 2, MlpSize: 128, Blocks: 2, UpBlocks: 1),
                Estimator = new EstimatorConfig(Channels: 32, MiddleStages: 1, BlocksPerStage: 1, Heads: 2, HeadSize: 16),
            },
            HiFT = new HiFTConfig { Channels = 32, F0Channels = 32 },
            Watermark = new PerthConfig { HiddenSize = 32 },
            Voices = Voices with
            {
                SpeakerEncoder = new SpeakerEncoderConfig(HiddenSize: 64, Layers: 1),
                Reference = Voices.Reference with
                {
                    SpeechTokenizer = new SpeechTokenizerConfig(HiddenSize: 64, Heads: 2, Layers: 1),
                    CamPlus = new CamPlusConfig(HeadChannels: 8, InitChannels: 32, Growth: 8, BottleneckChannels: 32)
                    {
                        Blocks = [(2, 1), (2, 2), (2, 2)],
                    },
                },
            },
        };

    /// <summary>Writes the sizes beside weights that are not of the published sizes.</summary>
    public void Save(string path) => File.WriteAllText(path, JsonSerializer.Serialize(this, Json) + "\n");

    /// <summary>Reads sizes.</summary>
    /// <exception cref="CheckpointException">The file cannot be read or is not such a file.</exception>
    public static ChatterboxConfig Load(string path)
    {
        try
        {
            return JsonSerializer.Deserialize<ChatterboxConfig>(File.ReadAllText(path), Json) ?? throw new JsonException("it holds null");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException or NotSupportedException)
        {
            throw new CheckpointException(
                $"{path} is not a configuration of this version: {e.Message} Delete it for a published model, or write the "
                    + $"checkpoint again.",
                e
            );
        }
    }

    private static ChatterboxConfig WithT3(string name, string t3) =>
        Multilingual with
        {
            Name = name,
            Files = Multilingual.Files with { T3 = CheckpointFiles.Weights(t3) },
        };

    /// <summary>A multilingual model that was trained further on one language, and with the S3Gen it is published with.</summary>
    private static ChatterboxConfig LanguagePack(string locale, string t3)
    {
        var (pack, language) = (WithT3($"multilingual-{locale}", t3), locale.Split('-')[0]);
        return pack with
        {
            Text = pack.Text with { Languages = [language], DefaultLanguage = language },
            Files = pack.Files with { S3Gen = [.. CheckpointFiles.Weights("s3gen_v3"), .. CheckpointFiles.Weights("s3gen")] },
        };
    }
}

/// <summary>Names of a checkpoint's files. Of names in a row, the first that is there is used, unless it says otherwise.</summary>
internal sealed record CheckpointFiles
{
    /// <summary>Weights of T3.</summary>
    public required IReadOnlyList<string> T3 { get; init; }

    /// <summary>Weights of S3Gen, HiFT, the S3 tokenizer and CAM++.</summary>
    public IReadOnlyList<string> S3Gen { get; init; } = Weights("s3gen");

    /// <summary>Weights of the voice encoder.</summary>
    public IReadOnlyList<string> SpeakerEncoder { get; init; } = Weights("ve");

    /// <summary>Weights of the watermark.</summary>
    public IReadOnlyList<string> Watermark { get; init; } = ["perth_net.safetensors", "perth_net_250000.pth.tar"];

    /// <summary>The text tokenizer's files: all of them.</summary>
    public required IReadOnlyList<string> Tokenizer { get; init; }

    /// <summary>The table that Chinese is spelled by; without one, Chinese is refused.</summary>
    public IReadOnlyList<string> Cangjie { get; init; } = [];

    /// <summary>The voice that comes with the model; a model may have none.</summary>
    public IReadOnlyList<string> Voice { get; init; } = ["voice.safetensors", "conds.pt"];

    /// <summary>Both names that weights are published by.</summary>
    public static IReadOnlyList<string> Weights(string name) => [$"{name}.safetensors", $"{name}.pt"];
}
