using System.Collections.Concurrent;
using Chatterbox.Ops.Cuda;

namespace Chatterbox.S3Gen;

/// <summary>Speech tokens and a voice to a mel spectrogram: the mel of the voice's prompt is continued by what the tokens say.</summary>
/// <remarks>Ports S3Token2Mel of chatterbox models/s3gen/s3gen.py and CausalMaskedDiffWithXvec of flow.py. Left out are its
/// streaming mode (<c>finalize=False</c>, which does not work there) and batches of different lengths.</remarks>
internal sealed class S3GenModel
{
    private readonly S3GenConfig _config;
    private readonly ScalarType _dtype;
    private readonly Device _device;
    private readonly Embedding _embedding;
    private readonly Linear _speakerProjection;
    private readonly Linear _melProjection;
    private readonly ConcurrentDictionary<nint, EncoderGraphs> _encoderGraphs = new(); // by the stream that they run on
    private readonly WeightScope _weights;

    /// <param name="config">Sizes.</param>
    /// <param name="flowWeights">Scope of everything before the vocoder.</param>
    /// <param name="ops">Operations to use.</param>
    /// <param name="precision">How exactly they compute.</param>
    public S3GenModel(S3GenConfig config, WeightScope flowWeights, TorchOps ops, Precision precision = Precision.Full)
    {
        (_config, _dtype, _device) = (config, flowWeights.DType, flowWeights.Device);
        _embedding = new(flowWeights["input_embedding"], config.SpeechTokens, config.Encoder.InputSize);
        _speakerProjection = new(flowWeights["spk_embed_affine_layer"], config.XVectorSize, config.MelBands);
        _melProjection = new(flowWeights["encoder_proj"], config.Encoder.Size, config.MelBands);
        NoEncoderGraphsReason = precision == Precision.Full ? "full precision is wanted" : TorchGraph.UnsupportedReason(_device);
        Encoder = new(config.Encoder, flowWeights["encoder"], ops, NoEncoderGraphsReason is null ? ScalarType.Float16 : _dtype);
        Flow = new(config, flowWeights["decoder"], ops, precision);
        _weights = flowWeights;
    }

    /// <summary>The token encoder.</summary>
    public ConformerEncoder Encoder { get; }

    /// <summary>Why the encoder's operations are in full precision and launched one by one; null where their operands are in
    /// fp16, and one graph launches them.</summary>
    public string? NoEncoderGraphsReason { get; }

    /// <summary>The flow from noise to mel.</summary>
    public FlowMatching Flow { get; }

    /// <summary>Makes the mel spectrogram of some speech.</summary>
    /// <param name="speechTokens">What is said, 25 tokens a second.</param>
    /// <param name="voice">Who says it.</param>
    /// <param name="noise">The request's randomness.</param>
    /// <param name="progress">Receives the share of work done, up to 1.</param>
    /// <param name="cancellationToken">Looked at before each step of the flow.</param>
    /// <returns>Mel of the new speech only, [1, bands, frames], 50 frames a second. There are two frames a token, less the frames
    /// that the prompt's mel has beyond its tokens: at most one for a voice made by this library.</returns>
    /// <exception cref="RequestException">There are no tokens, or one is not of this model.</exception>
    /// <exception cref="VoiceException">The voice does not fit this model.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="cancellationToken"/> was cancelled.</exception>
    public Tensor Generate(
        IReadOnlyList<int> speechTokens,
        S3GenPrompt voice,
        NoiseSource noise,
        IProgress<double>? progress = null,
        CancellationToken cancellationToken = default
    )
    {
        using var scope = NewDisposeScope();
        cancellationToken.ThrowIfCancellationRequested();
        return End(Flow.Integrate(Begin(speechTokens, voice, noise), progress, cancellationToken), voice).MoveToOuterDisposeScope();
    }

    /// <summary>Prepares the mel spectrogram of some speech, up to the flow.</summary>
    /// <inheritdoc cref="Generate"/>
    /// <returns>What the flow is to do; <see cref="End"/> takes its mel.</returns>
    public FlowPass Begin(IReadOnlyList<int> speechTokens, S3GenPrompt voice, NoiseSource noise)
    {
        Check(speechTokens, voice);
        using var scope = NewDisposeScope();
        var frames = (long)(voice.SpeechTokens.Count + speechTokens.Count) * _config.Encoder.Upsampling;
        var prompt = PadPrompt(voice.Mel, frames); // so much that it would wait for a GPU's work: first
        var mu = Project(Encode([.. voice.SpeechTokens, .. speechTokens])); // [1, frames, bands]
        var conditions = new FlowConditions(mu, ProjectSpeaker(voice.XVector), prompt); // while a GPU encodes
        var start = Flow.Draw(noise, frames, newFrames: (long)speechTokens.Count * _config.Encoder.Upsampling);
        return new FlowPass(start, conditions).MoveToOuterDisposeScope();
    }

    /// <summary>Cuts the flow's mel to the new speech.</summary>
    /// <param name="mel">[1, frames, bands].</param>
    /// <param name="voice">The speaker.</param>
    /// <returns>As <see cref="Generate"/>.</returns>
    public Tensor End(Tensor mel, S3GenPrompt voice)
    {
        using var scope = NewDisposeScope();
        var promptFrames = voice.Mel.Count / _config.MelBands;
        return mel.narrow(1, promptFrames, mel.size(1) - promptFrames).transpose(1, 2).contiguous().MoveToOuterDisposeScope();
    }

    /// <summary>The mel spectrogram of some speech, made in passes while its tokens are still coming.</summary>
    /// <param name="voice">Who says it.</param>
    /// <param name="noise">The randomness of this speech alone; stays the caller's.</param>
    /// <param name="leftContext">Tokens of the past that a pass sees beside the prompt.</param>
    /// <param name="firstPrompt">Tokens of the prompt, its last ones, that the first pass sees, unless it is the only one.</param>
    public S3GenStream OpenStream(S3GenPrompt voice, NoiseSource noise, int leftContext, int firstPrompt = int.MaxValue) =>
        new(_config, this, voice, noise, leftContext, firstPrompt);

    /// <summary>The encoder's hidden states.</summary>
    /// <param name="speechTokens">The prompt's tokens and those to be spoken.</param>
    /// <param name="complete">False where more tokens are to come, so that the last ones are only looked ahead to.</param>
    /// <returns>[1, frames, hidden size].</returns>
    public Tensor Encode(IReadOnlyList<int> speechTokens, bool complete = true)
    {
        if (NoEncoderGraphsReason is null)
        {
            return _encoderGraphs.GetOrAdd(CudaStream.OfTorch.Handle, _ => NewGraphs()).Forward(speechTokens, complete);
        }

        using var scope = NewDisposeScope();
        var ids = tensor(speechTokens.Select(id => (long)id).ToArray(), device: _device).unsqueeze(0);
        return Encoder.Forward(_embedding.Forward(ids), complete).MoveToOuterDisposeScope();
    }

    /// <summary>Mu, the encoder's guess at the mel.</summary>
    /// <param name="hidden">[rows, frames, hidden size].</param>
    /// <returns>[rows, frames, bands].</returns>
    public Tensor Project(Tensor hidden) => _melProjection.Forward(hidden);

    /// <summary>The speaker as the flow sees them.</summary>
    /// <param name="xVector">CAM++'s embedding; only its direction counts.</param>
    /// <returns>[1, bands].</returns>
    public Tensor ProjectSpeaker(IReadOnlyList<float> xVector)
    {
        using var scope = NewDisposeScope();
        var unit = nn.functional.normalize(Place(xVector, 1, _config.XVectorSize));
        return _speakerProjection.Forward(unit).MoveToOuterDisposeScope();
    }

    /// <summary>The prompt's mel, followed by zeros up to <paramref name="frames"/>.</summary>
    /// <param name="mel">Frames × bands, row by row.</param>
    /// <param name="frames">Length wanted.</param>
    /// <returns>[1, frames, bands].</returns>
    public Tensor PadPrompt(IReadOnlyList<float> mel, long frames)
    {
        using var scope = NewDisposeScope();
        var prompt = Place(mel, 1, mel.Count / _config.MelBands, _config.MelBands);
        return nn.functional.pad(prompt, (0, 0, 0, frames - prompt.shape[1])).MoveToOuterDisposeScope();
    }

    /// <summary>Refuses what cannot be spoken.</summary>
    /// <exception cref="RequestException">There are no tokens, or one is not of this model.</exception>
    /// <exception cref="VoiceException">The voice does not fit this model.</exception>
    public void Check(IReadOnlyList<int> speechTokens, S3GenPrompt voice)
    {
        Check(speechTokens);
        Check(voice, mostExtraFrames: (speechTokens.Count * _config.Encoder.Upsampling) - 1);
    }

    /// <inheritdoc cref="Check(IReadOnlyList{int}, S3GenPrompt)"/>
    public void Check(S3GenPrompt voice) => Check(voice, mostExtraFrames: int.MaxValue);

    /// <summary>Frees what is kept for a stream of torch's operations, which is about to go.</summary>
    public void Forget(CudaStream stream)
    {
        if (_encoderGraphs.TryRemove(stream.Handle, out var graphs))
        {
            _weights.Release(graphs);
        }
    }

    private EncoderGraphs NewGraphs() =>
        _weights.Own(new EncoderGraphs(_config.Encoder, _device, (ids, live) => Encoder.Forward(_embedding.Forward(ids), live: live)));

    private Tensor Place(IReadOnlyList<float> values, params long[] shape) =>
        HostTransfers.Place(values as float[] ?? [.. values], _device, shape).to(_dtype);

    private void Check(IReadOnlyList<int> speechTokens)
    {
        if (speechTokens.Count == 0)
        {
            throw new RequestException(
                "There are no speech tokens to make sound of: at least one is needed. Ask for more text to be spoken."
            );
        }

        if (FirstUnknown(speechTokens) is { } id)
        {
            throw new RequestException(
                $"Speech token {id} is not one of S3Gen's: ids go from 0 to {_config.SpeechTokens - 1}. Drop start, stop and other "
                    + $"special tokens first."
            );
        }
    }

    private void Check(S3GenPrompt voice, int mostExtraFrames)
    {
        var melFrames = voice.Mel.Count / _config.MelBands;
        var tokenFrames = voice.SpeechTokens.Count * _config.Encoder.Upsampling;
        var fault =
            FirstUnknown(voice.SpeechTokens) is { } id ? $"prompt has speech token {id}; ids go from 0 to {_config.SpeechTokens - 1}"
            : voice.XVector.Count != _config.XVectorSize
                ? $"speaker embedding has {voice.XVector.Count} numbers, expected {_config.XVectorSize}"
            : voice.Mel.Count % _config.MelBands != 0
                ? $"mel has {voice.Mel.Count} numbers, which are no whole frames of {_config.MelBands} bands"
            : melFrames < tokenFrames || melFrames - tokenFrames > mostExtraFrames
                ? $"mel has {melFrames} frames for {voice.SpeechTokens.Count} speech tokens; expected {tokenFrames} or one more"
            : null;
        if (fault is not null)
        {
            throw new VoiceException($"The voice's {fault}. Make the voice again from its recording.");
        }
    }

    private int? FirstUnknown(IReadOnlyList<int> speechTokens)
    {
        foreach (var id in speechTokens)
        {
            if (id < 0 || id >= _config.SpeechTokens)
            {
                return id;
            }
        }

        return null;
    }
}
