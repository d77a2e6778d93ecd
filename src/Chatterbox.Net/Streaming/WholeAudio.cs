using Chatterbox.S3Gen;
using Chatterbox.Watermark;

namespace Chatterbox.Streaming;

/// <summary>All audio of some speech at once, as <see cref="ChatterboxModel.Synthesize"/> makes it, to the sample.</summary>
/// <param name="speechDecoder">Makes the audio.</param>
/// <param name="watermarker">Marks it.</param>
/// <param name="speechTokens">All of the speech.</param>
/// <param name="voice">The speaker.</param>
/// <param name="noise">The request's random numbers.</param>
/// <param name="marking">Called before the watermark.</param>
internal sealed class WholeAudio(
    SpeechDecoder speechDecoder,
    PerthWatermarker watermarker,
    IReadOnlyList<int> speechTokens,
    S3GenPrompt voice,
    NoiseSource noise,
    Action? marking = null
) : IStagedAudio
{
    private readonly OutputChecks _checks = new();
    private int[] _before = [];
    private Tensor? _samples;

    /// <summary>The stage that failed, if the audio was made with plain operations.</summary>
    public SynthesisStage? Recovered { get; private set; }

    /// <inheritdoc/>
    public FlowMatching Flow => speechDecoder.S3Gen.Flow;

    /// <inheritdoc/>
    public FlowPass? Begin()
    {
        _before = noise.SaveWords();
        return speechDecoder.BeginText(speechTokens, voice, noise);
    }

    /// <inheritdoc/>
    public void Continue(Tensor? mel)
    {
        using var scope = NewDisposeScope();
        var samples = speechDecoder.EndText(mel!, speechTokens.Count, voice, noise, _checks);
        marking?.Invoke();
        _samples = watermarker.Mark(samples, SpeechResult.SampleRate).DetachFromDisposeScope();
    }

    /// <inheritdoc/>
    public float[] Read(CancellationToken cancellationToken)
    {
        try
        {
            return _checks.Read(_samples!, SynthesisStage.Watermark);
        }
        catch (InvalidOutputException e)
        {
            Recovered = e.Stage;
            return speechDecoder.MakePlain(
                noise,
                _before,
                (plain, checks) =>
                    checks.Read(
                        watermarker.Mark(
                            plain.SpeakText(speechTokens, voice, noise, checks, progress: null, cancellationToken),
                            SpeechResult.SampleRate
                        ),
                        SynthesisStage.Watermark
                    )
            );
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _samples?.Dispose();
        _checks.Dispose();
    }
}
