namespace Chatterbox.Audio;

/// <summary>Sizes of a mel spectrogram.</summary>
/// <param name="SampleRate">Of the signal, in Hz.</param>
/// <param name="FftSize">Samples of a frame.</param>
/// <param name="Hop">Samples between frames.</param>
/// <param name="Bands">Mel bands, from 0 Hz up.</param>
/// <param name="MaxFrequency">Upper edge of the highest band, in Hz.</param>
internal sealed record MelConfig(int SampleRate, int FftSize, int Hop, int Bands, int MaxFrequency)
{
    /// <summary>What the voice encoder hears. Source: chatterbox models/voice_encoder/config.py.</summary>
    public static MelConfig SpeakerEncoder { get; } = new(16000, 400, 160, 40, 8000);

    /// <summary>What the speech tokenizer hears. Source: chatterbox models/s3tokenizer/s3tokenizer.py.</summary>
    public static MelConfig SpeechTokenizer { get; } = new(16000, 400, 160, 128, 8000);

    /// <summary>What S3Gen makes. Source: chatterbox models/s3gen/utils/mel.py.</summary>
    public static MelConfig S3Gen { get; } = new(24000, 1920, 480, 80, 8000);
}

/// <summary>Power mel spectrogram, neither logarithmic nor normalised: the voice encoder's input.</summary>
/// <remarks>Ports melspectrogram of chatterbox models/voice_encoder/melspec.py as its config sets it: no pre-emphasis,
/// power 2, type "amp". librosa's float64 transform is done in float32.</remarks>
internal sealed class PowerMel(MelConfig config, WeightScope owner)
{
    private readonly Stft _stft = new(config.FftSize, config.Hop, config.FftSize / 2, owner);
    private readonly Tensor _filters = owner.Own(MelFilters.Slaney(config, owner.Device));

    /// <param name="samples">[samples].</param>
    /// <returns>[bands, 1 + samples / hop].</returns>
    public Tensor Forward(Tensor samples)
    {
        using var scope = NewDisposeScope();
        return matmul(_filters, _stft.Forward(samples).abs().Square()).MoveToOuterDisposeScope();
    }
}

/// <summary>Whisper's log mel spectrogram, at most 80 dB below its loudest point: the speech tokenizer's input.</summary>
/// <remarks>Ports S3Tokenizer.log_mel_spectrogram of chatterbox models/s3tokenizer/s3tokenizer.py. The filters and the
/// window that some checkpoints carry are these.</remarks>
internal sealed class WhisperMel(MelConfig config, WeightScope owner)
{
    private const double Floor = 1e-10;
    private const double Range = 8; // powers of ten

    private readonly Stft _stft = new(config.FftSize, config.Hop, config.FftSize / 2, owner);
    private readonly Tensor _filters = owner.Own(MelFilters.Slaney(config, owner.Device));

    /// <inheritdoc cref="Stft.MinSamples"/>
    public int MinSamples => _stft.MinSamples;

    /// <param name="samples">[samples].</param>
    /// <returns>[bands, samples / hop].</returns>
    public Tensor Forward(Tensor samples)
    {
        using var scope = NewDisposeScope();
        var power = _stft.Forward(samples)[.., ..^1].abs().Square(); // [bins, frames]
        var log = matmul(_filters, power).ClampMin(Floor).log10(); // [bands, frames]
        return maximum(log, log.max().Sub(Range)).Add(4).Div(4).MoveToOuterDisposeScope();
    }
}

/// <summary>Log magnitude mel spectrogram with as many frames as whole hops: what S3Gen continues and makes.</summary>
/// <remarks>Ports mel_spectrogram of chatterbox models/s3gen/utils/mel.py; its warning about clipping is left out.</remarks>
internal sealed class MagnitudeMel(MelConfig config, WeightScope owner)
{
    private const double PowerFloor = 1e-9;
    private const double MelFloor = 1e-5;

    private readonly Stft _stft = new(config.FftSize, config.Hop, (config.FftSize - config.Hop) / 2, owner);
    private readonly Tensor _filters = owner.Own(MelFilters.Slaney(config, owner.Device));

    /// <param name="samples">[samples].</param>
    /// <returns>[bands, samples / hop].</returns>
    public Tensor Forward(Tensor samples)
    {
        using var scope = NewDisposeScope();
        var power = view_as_real(_stft.Forward(samples)).Square().sum(-1); // [bins, frames]
        return matmul(_filters, power.Add(PowerFloor).sqrt()).ClampMin(MelFloor).log().MoveToOuterDisposeScope();
    }
}
