using Chatterbox.Audio;
using Chatterbox.Ops.Cuda;
using static TorchSharp.torch.nn.functional;

namespace Chatterbox.Voices;

/// <summary>Sizes of the voice encoder. Source: chatterbox models/voice_encoder/config.py and voice_encoder.py.</summary>
/// <param name="HiddenSize">Of each LSTM layer.</param>
/// <param name="Layers">LSTM layers.</param>
/// <param name="EmbeddingSize">Numbers that describe a speaker.</param>
/// <param name="PartialFrames">Mel frames that are heard at once.</param>
/// <param name="PartialsPerSecond">How often such a partial starts.</param>
/// <param name="MinCoverage">Part of the last partial that must be speech, the rest being filled up with zeros.</param>
internal sealed record SpeakerEncoderConfig(
    int HiddenSize = 256,
    int Layers = 3,
    int EmbeddingSize = 256,
    int PartialFrames = 160,
    double PartialsPerSecond = 1.3,
    double MinCoverage = 0.8
)
{
    /// <summary>The spectrogram that is heard.</summary>
    public MelConfig Mel { get; init; } = MelConfig.SpeakerEncoder;

    /// <summary>Mel frames from the start of one partial to the next.</summary>
    public int FrameStep => (int)Math.Round(Mel.SampleRate / PartialsPerSecond / Mel.Hop);

    /// <summary>How many partials a recording is cut into: at least one, and a last incomplete one only where it is well covered.</summary>
    public int PartialsIn(long frames)
    {
        var (whole, rest) = Math.DivRem(Math.Max(frames - PartialFrames + FrameStep, 0), FrameStep);
        var coverage = (double)(rest + PartialFrames - FrameStep) / PartialFrames;
        return (int)whole + (whole == 0 || coverage >= MinCoverage ? 1 : 0);
    }
}

/// <summary>The voice encoder: an LSTM that hears overlapping partials of a recording and gives the mean of what it thinks of
/// each.</summary>
/// <remarks>Ports VoiceEncoder of chatterbox models/voice_encoder/voice_encoder.py on the path of embeds_from_wavs; trimming
/// of silence is left to the caller. Weights: the whole of ve.safetensors.</remarks>
internal sealed class SpeakerEncoder
{
    private const int PartialsAtOnce = 32;
    private const int Bucket = 8; // partials: graphs are for whole multiples of so many

    private readonly SpeakerEncoderConfig _config;
    private readonly ScalarType _dtype;
    private readonly PowerMel _mel;
    private readonly Lstm _lstm;
    private readonly Linear _projection;
    private readonly Tensor? _partials; // of graphs, [most partials, partialFrames, bands]
    private readonly TorchGraphs<int>? _graphs;

    public SpeakerEncoder(SpeakerEncoderConfig config, WeightScope weights)
    {
        _config = config;
        _dtype = weights.DType;
        _mel = new(config.Mel, weights);
        _lstm = new(weights["lstm"], config.Mel.Bands, config.HiddenSize, config.Layers);
        _projection = new(weights["proj"], config.HiddenSize, config.EmbeddingSize);
        weights.Skip("similarity_weight", "similarity_bias"); // of the training loss
        if (TorchGraph.UnsupportedReason(weights.Device) is null)
        {
            _partials = weights.Own(zeros([PartialsAtOnce, config.PartialFrames, config.Mel.Bands], _dtype, weights.Device));
            _graphs = weights.Own(
                new TorchGraphs<int>(_partials.device, PartialsAtOnce / Bucket, count => Run(_partials.narrow(0, 0, count)))
            );
        }
    }

    /// <param name="samples">Speech without silence at its ends, [samples] at 16 kHz.</param>
    /// <param name="beside">Other work on the GPU that does not need the embedding.</param>
    /// <returns>[embedding], float32, of unit length; NaN where the network finds nothing in any partial.</returns>
    public Tensor Forward(Tensor samples, Action? beside = null)
    {
        using var scope = NewDisposeScope();
        var mel = _mel.Forward(samples).transpose(0, 1); // [frames, bands]
        var embeddings = Partials(mel)
            .to(_dtype)
            .split(PartialsAtOnce)
            .Select((partials, i) => EmbedPartials(partials, i == 0 ? beside : null))
            .ToArray();
        return Normalize(cat(embeddings, 0).to(ScalarType.Float32).mean([0])).MoveToOuterDisposeScope();
    }

    /// <param name="mel">[frames, bands].</param>
    /// <returns>[partials, partialFrames, bands].</returns>
    private Tensor Partials(Tensor mel)
    {
        using var scope = NewDisposeScope();
        var count = _config.PartialsIn(mel.shape[0]);
        var frames = _config.PartialFrames + (_config.FrameStep * (count - 1));
        var filled = pad(mel, (0, 0, 0, Math.Max(0, frames - mel.shape[0])))[..frames];
        return filled.unfold(0, _config.PartialFrames, _config.FrameStep).transpose(1, 2).MoveToOuterDisposeScope();
    }

    /// <param name="partials">[partials, partialFrames, bands].</param>
    /// <param name="beside">Other work on the GPU.</param>
    /// <returns>[partials, embedding], each of unit length.</returns>
    private Tensor EmbedPartials(Tensor partials, Action? beside)
    {
        if (_graphs is null)
        {
            beside?.Invoke();
            return Run(partials);
        }

        using var scope = NewDisposeScope();
        var count = (int)partials.shape[0];
        var embeddings = _graphs.Run((count + Bucket - 1) / Bucket * Bucket, () => _partials!.narrow(0, 0, count).copy_(partials), beside);
        return embeddings.narrow(0, 0, count).MoveToOuterDisposeScope();
    }

    private Tensor Run(Tensor partials)
    {
        using var scope = NewDisposeScope();
        var (_, hidden) = _lstm.Forward(partials); // [layers, partials, hidden]
        return Normalize(relu(_projection.Forward(hidden[-1]))).MoveToOuterDisposeScope();
    }

    private static Tensor Normalize(Tensor x) => x / x.norm(-1, keepdim: true);
}
