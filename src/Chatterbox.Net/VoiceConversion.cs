using Chatterbox.Audio;
using Chatterbox.Engine;
using Chatterbox.Voices;
using Chatterbox.Watermark;

namespace Chatterbox;

/// <summary>One recording converted window by window, and marked as it comes.</summary>
internal sealed class VoiceConversion : IVoiceConversion
{
    private readonly NoiseSource _noise;
    private readonly VoiceConverter _converter;
    private readonly PerthStream _mark;

    public VoiceConversion(
        SpeechDecoder speechDecoder,
        SpeechTokenizer tokenizer,
        PerthWatermarker watermarker,
        AudioClip source,
        Voice target,
        long? seed
    )
    {
        using var mode = inference_mode();
        _noise = new NoiseSource(seed ?? Random.Shared.NextInt64());
        try
        {
            _converter = new VoiceConverter(speechDecoder, tokenizer, source, target.S3Gen, _noise);
        }
        catch
        {
            _noise.Dispose();
            throw;
        }

        _mark = watermarker.OpenStream(SpeechResult.SampleRate);
    }

    /// <inheritdoc/>
    public IReadOnlyList<int> SpeechTokens => _converter.SpeechTokens;

    /// <inheritdoc/>
    public IReadOnlyList<SynthesisStage> Recovered => _converter.Recovered;

    /// <inheritdoc/>
    public bool IsOver => _converter.IsOver;

    /// <inheritdoc/>
    public ReadOnlyMemory<float> ConvertNext(
        IProgress<SynthesisProgress>? progress = null,
        CancellationToken cancellationToken = default
    ) => ModelFailedException.Translate(() => Convert(progress, cancellationToken));

    private float[] Convert(IProgress<SynthesisProgress>? progress, CancellationToken cancellationToken)
    {
        using var mode = inference_mode();
        var samples = _converter.Next(
            progress is null
                ? null
                : new ImmediateProgress<double>(done => progress.Report(new(SynthesisStage.S3Gen, 0.95 * done, SpeechTokens.Count))),
            cancellationToken
        );
        var marked = OutputChecks.Check(_mark.Next(samples.AsSpan(), last: IsOver), SynthesisStage.Watermark);
        if (IsOver)
        {
            progress?.Report(new(SynthesisStage.Done, 1, SpeechTokens.Count));
        }

        return marked;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _mark.Dispose();
        _noise.Dispose();
    }
}
