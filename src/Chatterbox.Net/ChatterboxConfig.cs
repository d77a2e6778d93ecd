using System.Text.Json;
using System.Text.Json.Serialization;
using Chatterbox.HiFT;
using Chatterbox.S3Gen;
using Chatterbox.T3;
using Chatterbox.Voices;
using Chatterbox.Watermark;

namespace Chatterbox;

/// <summary>One variant of the family as data: its networks' sizes and the names of its files.</summary>
internal sealed record ChatterboxConfig
{
    /// <summary>Name of a file that states the sizes of networks other than the published ones.</summary>
    public const string FileName = "config.json";

    private static readonly JsonSerializerOptions Json = new()
    {
        WriteIndented = true,
        IgnoreReadOnlyProperties = true,
        IncludeFields = true,
        Converters = { new JsonStringEnumConverter() },
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        RespectNullableAnnotations = true,
    };

    /// <summary>The published English model.</summary>
    public static ChatterboxConfig English { get; } = new() { Name = "english", T3 = T3Config.English };

    /// <summary>English in a hundredth of the size: every part is there, and none has learned anything.</summary>
    public static ChatterboxConfig Tiny { get; } = English with
    {
        Name = "tiny",
        T3 = T3Config.English with
        {
            Backbone = new LlamaConfig(Layers: 2, HiddenSize: 128, Heads: 2, MlpSize: 256),
            Perceiver = new PerceiverConfig(Queries: 8, Heads: 2),
        },
        S3Gen = new S3GenConfig
        {
            Encoder = new ConformerConfig(InputSize: 64, Size: 64, Heads: 2, MlpSize: 128, Blocks: 2, UpBlocks: 1),
            Estimator = new EstimatorConfig(Channels: 32, MiddleStages: 1, BlocksPerStage: 1, Heads: 2, HeadSize: 16),
        },
        HiFT = new HiFTConfig { Channels = 32, F0Channels = 32 },
        Watermark = new PerthConfig { HiddenSize = 32 },
        Voices = VoiceConfig.Llama with
        {
            SpeakerEncoder = new SpeakerEncoderConfig(HiddenSize: 64, Layers: 1),
            SpeechTokenizer = new SpeechTokenizerConfig(HiddenSize: 64, Heads: 2, Layers: 1),
            CamPlus = new CamPlusConfig(HeadChannels: 8, InitChannels: 32, Growth: 8, BottleneckChannels: 32) { Blocks = [(2, 1), (2, 2), (2, 2)] },
        },
    };

    /// <summary>Name of the variant.</summary>
    public required string Name { get; init; }

    /// <summary>Text tokens to speech tokens.</summary>
    public required T3Config T3 { get; init; }

    /// <summary>Speech tokens to mel.</summary>
    public S3GenConfig S3Gen { get; init; } = S3GenConfig.Standard;

    /// <summary>Mel to samples.</summary>
    public HiFTConfig HiFT { get; init; } = new();

    /// <summary>The mark in the samples.</summary>
    public PerthConfig Watermark { get; init; } = new();

    /// <summary>Recording to voice.</summary>
    public VoiceConfig Voices { get; init; } = VoiceConfig.Llama;

    /// <summary>Names of the files.</summary>
    public CheckpointFiles Files { get; init; } = new();

    /// <summary>Writes the sizes beside weights that are not of the published sizes.</summary>
    public void Save(string path) => File.WriteAllText(path, JsonSerializer.Serialize(this, Json) + "\n");

    /// <summary>Reads sizes.</summary>
    /// <exception cref="CheckpointException">The file cannot be read or is not such a file.</exception>
    public static ChatterboxConfig Load(string path)
    {
        try
        {
            return JsonSerializer.Deserialize<ChatterboxConfig>(File.ReadAllText(path), Json)
                ?? throw new JsonException("it holds null");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException or NotSupportedException)
        {
            throw new CheckpointException($"{path} is not a configuration of this version: {e.Message} Delete it for a published model, or write the checkpoint again.", e);
        }
    }
}

/// <summary>Names of a checkpoint's files.</summary>
/// <param name="T3">Weights of T3.</param>
/// <param name="S3Gen">Weights of S3Gen, HiFT, the S3 tokenizer and CAM++.</param>
/// <param name="SpeakerEncoder">Weights of the voice encoder.</param>
/// <param name="Tokenizer">The text tokenizer.</param>
internal sealed record CheckpointFiles(
    string T3 = "t3_cfg.safetensors",
    string S3Gen = "s3gen.safetensors",
    string SpeakerEncoder = "ve.safetensors",
    string Tokenizer = "tokenizer.json")
{
    /// <summary>Weights of the watermark, by either name.</summary>
    public IReadOnlyList<string> Watermark { get; init; } = ["perth_net.safetensors", "perth_net_250000.pth.tar"];

    /// <summary>The voice that comes with the model, by either name; a model may have none.</summary>
    public IReadOnlyList<string> Voice { get; init; } = ["voice.safetensors", "conds.pt"];
}
