using Chatterbox.Audio;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Chatterbox.Voices;

/// <summary>How S3Gen hears a recording.</summary>
internal sealed record ReferenceConfig
{
    /// <summary>Beginning of the recording that is continued, in seconds.</summary>
    public int PromptSeconds { get; init; } = 10;

    /// <summary>Sizes of the speech tokenizer.</summary>
    public SpeechTokenizerConfig SpeechTokenizer { get; init; } = new();

    /// <summary>Sizes of CAM++.</summary>
    public CamPlusConfig CamPlus { get; init; } = new();

    /// <summary>The spectrogram that is continued.</summary>
    public MelConfig Mel { get; init; } = MelConfig.S3Gen;
}

/// <summary>A recording to what S3Gen continues: speech tokens, mel and x-vector of its beginning.</summary>
/// <remarks>Ports embed_ref of chatterbox models/s3gen/s3gen.py. Weights: the parts tokenizer and speaker_encoder of S3Gen's
/// file.</remarks>
internal sealed class ReferenceEncoder(ReferenceConfig config, WeightScope weights, TorchOps ops)
{
    private readonly CamPlus _camPlus = new(config.CamPlus, weights["speaker_encoder"]);
    private readonly KaldiFbank _fbank = new(config.CamPlus.Bands, weights);
    private readonly MagnitudeMel _mel = new(config.Mel, weights);
    private readonly SincResampler _to16Again = new(config.Mel.SampleRate, config.SpeechTokenizer.Mel.SampleRate, weights);

    /// <summary>The speech tokenizer, which T3's prompt and voice conversion need too.</summary>
    public SpeechTokenizer SpeechTokenizer { get; } = new(config.SpeechTokenizer, weights["tokenizer"], ops);

    /// <summary>Rate at which a recording is heard here, Hz.</summary>
    public int SampleRate => config.Mel.SampleRate;

    /// <summary>Rate at which the speech tokenizer hears one, Hz.</summary>
    public int SpeechRate => config.SpeechTokenizer.Mel.SampleRate;

    /// <summary>The device of the weights.</summary>
    public Device Device { get; } = weights.Device;

    /// <summary>Hears a recording.</summary>
    /// <param name="samples">The recording at <see cref="SampleRate"/>, of which the beginning counts, [samples].</param>
    /// <exception cref="VoiceException">There is no voice in it.</exception>
    public S3GenPrompt Forward(Tensor samples)
    {
        using var scope = NewDisposeScope();
        var beginning24 = First(samples, config.PromptSeconds * SampleRate);
        var beginning16 = _to16Again.Forward(beginning24);
        var mel = _mel.Forward(beginning24).transpose(0, 1); // [frames, bands]
        Tensor? heard = null;
        var xVector = _camPlus.Forward(_fbank.Forward(beginning16), beside: () => heard = SpeechTokenizer.Forward(beginning16));
        var tokens = Tokens(heard!);
        var whole = (int)Math.Min(tokens.Length, mel.shape[0] / 2); // two mel frames a token
        return new S3GenPrompt(tokens[..whole], Numbers(mel, "mel spectrogram"), Numbers(xVector, "x-vector network"));
    }

    /// <summary>The beginning of a recording, or all of one that is shorter.</summary>
    internal static Tensor First(Tensor samples, int count) => samples.narrow(0, 0, Math.Min(samples.shape[0], count));

    /// <summary>Speech tokens as numbers.</summary>
    internal static int[] Tokens(Tensor tokens) => tokens.to(ScalarType.Int32).cpu().data<int>().ToArray();

    /// <summary>What a network says as numbers.</summary>
    /// <exception cref="VoiceException">Some are none.</exception>
    internal static float[] Numbers(Tensor values, string network)
    {
        var numbers = values.cpu().contiguous().data<float>().ToArray();
        return TensorPrimitives.IsFiniteAll<float>(numbers)
            ? numbers
            : throw new VoiceException($"The {network} finds no voice in the recording. Use a recording of clear speech.");
    }
}
