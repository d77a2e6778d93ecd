namespace Chatterbox.S3Gen;

/// <summary>Sizes of S3Gen and the way its flow is integrated. Defaults are the standard model's.</summary>
/// <remarks>From chatterbox models/s3gen/s3gen.py (S3Token2Mel) and flow.py (CausalMaskedDiffWithXvec).</remarks>
internal sealed record S3GenConfig
{
    /// <summary>The model of the English and multilingual variants: ten guided steps.</summary>
    public static S3GenConfig Standard { get; } = new();

    /// <summary>The model of Turbo and Nano: two steps of mean flow, distilled from guided ones.</summary>
    public static S3GenConfig MeanFlow { get; } = new() { Flow = FlowConfig.MeanFlow };

    /// <summary>Number of speech tokens; ids are below it.</summary>
    public int SpeechTokens { get; init; } = 6561;

    /// <summary>Bands of the mel spectrogram.</summary>
    public int MelBands { get; init; } = 80;

    /// <summary>Size of CAM++'s speaker embedding.</summary>
    public int XVectorSize { get; init; } = 192;

    /// <summary>Sizes of the encoder.</summary>
    public ConformerConfig Encoder { get; init; } = new();

    /// <summary>Sizes of the network that the flow integrates.</summary>
    public EstimatorConfig Estimator { get; init; } = new();

    /// <summary>How the flow is integrated.</summary>
    public FlowConfig Flow { get; init; } = new();
}

/// <summary>Sizes of the upsampling conformer.</summary>
/// <remarks>From chatterbox models/s3gen/transformer/upsample_encoder.py as s3gen.py builds it.</remarks>
/// <param name="InputSize">Size of a token's embedding.</param>
/// <param name="Size">Size of the hidden states.</param>
/// <param name="Heads">Attention heads; they share <paramref name="Size"/>.</param>
/// <param name="MlpSize">Hidden size of the feed-forward layers.</param>
/// <param name="Blocks">Blocks before upsampling.</param>
/// <param name="UpBlocks">Blocks after upsampling.</param>
/// <param name="Upsampling">Mel frames a token.</param>
/// <param name="Lookahead">Tokens of the future that a token sees before the first block.</param>
/// <param name="PositionTable">Longest sequence whose positions are kept in a table; longer ones are computed as they come.</param>
internal sealed record ConformerConfig(
    int InputSize = 512,
    int Size = 512,
    int Heads = 8,
    int MlpSize = 2048,
    int Blocks = 6,
    int UpBlocks = 4,
    int Upsampling = 2,
    int Lookahead = 3,
    int PositionTable = 5000
)
{
    /// <summary>Size of one head.</summary>
    public int HeadSize => Size / Heads;
}

/// <summary>Sizes of the flow's U-Net.</summary>
/// <remarks>From chatterbox models/s3gen/decoder.py (ConditionalDecoder) as s3gen.py builds it.</remarks>
/// <param name="Channels">Size of the hidden states.</param>
/// <param name="MiddleStages">Stages between the one on the way down and the one on the way up.</param>
/// <param name="BlocksPerStage">Transformer blocks in each stage.</param>
/// <param name="Heads">Attention heads.</param>
/// <param name="HeadSize">Size of one head; all of them together need not be <paramref name="Channels"/>.</param>
internal sealed record EstimatorConfig(int Channels = 256, int MiddleStages = 12, int BlocksPerStage = 4, int Heads = 8, int HeadSize = 64)
{
    /// <summary>Size of the time embedding.</summary>
    public int TimeSize => 4 * Channels;

    /// <summary>Hidden size of the transformer blocks' feed-forward layers.</summary>
    public int MlpSize => 4 * Channels;
}

/// <summary>How times are spread over the flow, from 0 (noise) to 1 (speech).</summary>
internal enum FlowSchedule
{
    /// <summary>1 − cos(πu/2): small steps first.</summary>
    Cosine,

    /// <summary>Equal steps.</summary>
    Linear,
}

/// <summary>How the flow is integrated.</summary>
/// <remarks>From chatterbox models/s3gen/configs.py (CFM_PARAMS) and the defaults of s3gen.py.</remarks>
/// <param name="Steps">Euler steps.</param>
/// <param name="Schedule">Where the steps lie.</param>
/// <param name="CfgRate">Strength of classifier-free guidance; 0 does without, at half the cost.</param>
/// <param name="IsMeanFlow">The network was trained to give the mean velocity of a whole step: it is told the step's end as
/// well as its start, and starts from noise drawn as in its distillation.</param>
internal sealed record FlowConfig(
    int Steps = 10,
    FlowSchedule Schedule = FlowSchedule.Cosine,
    double CfgRate = 0.7,
    bool IsMeanFlow = false
)
{
    /// <summary>Two linear steps of mean flow, without guidance.</summary>
    public static FlowConfig MeanFlow { get; } = new(Steps: 2, FlowSchedule.Linear, CfgRate: 0, IsMeanFlow: true);
}
