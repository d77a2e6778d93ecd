using Chatterbox.HiFT;
using Chatterbox.S3Gen;

namespace Chatterbox;

/// <summary>What comes behind T3: speech tokens and a voice to sound.</summary>
/// <remarks>Ports inference of S3Token2Wav (chatterbox models/s3gen/s3gen.py) and what tts.py, mtl_tts.py and tts_turbo.py
/// do before and behind it. Weights: the parts flow and mel2wav of S3Gen's file.</remarks>
internal sealed class Vocalist(ChatterboxConfig config, WeightScope weights, TorchOps ops, Precision precision = Precision.Full)
{
    private readonly S3GenModel _s3gen = new(config.S3Gen, weights["flow"], ops, precision);
    private readonly HiFTGenerator _hift = new(config.HiFT, weights["mel2wav"], ops, precision);

    /// <summary>Samples that a speech token becomes.</summary>
    public int SamplesPerToken => config.S3Gen.Encoder.Upsampling * _hift.SamplesPerFrame;

    /// <summary>Speaks the sound tokens that T3 made of a text, with the variant's tail, and cut where the variant is.</summary>
    /// <inheritdoc cref="Speak"/>
    public float[] SpeakText(
        IReadOnlyList<int> speechTokens, S3GenPrompt voice, NoiseSource noise, IProgress<double>? progress = null, CancellationToken cancel = default)
    {
        using var scope = NewDisposeScope();
        var waveform = Speak([.. speechTokens, .. config.TailTokens], voice, noise, progress, cancel);
        var samples = Samples(FadeIn(waveform));
        var kept = Math.Max(1, speechTokens.Count + config.TailTokens.Count - config.CutTokens) * SamplesPerToken;
        return samples[..Math.Min(samples.Length, kept)];
    }

    /// <summary>Speaks tokens as they are.</summary>
    /// <param name="speechTokens">What is said, 25 tokens a second.</param>
    /// <param name="voice">Who says it.</param>
    /// <param name="noise">The request's randomness.</param>
    /// <param name="progress">Told the share of S3Gen's work that is done.</param>
    /// <param name="cancel">Looked at before each step of the flow.</param>
    /// <returns>Samples at 24 kHz, [1, samples].</returns>
    /// <exception cref="VoiceException">The voice does not fit this model.</exception>
    public Tensor Speak(
        IReadOnlyList<int> speechTokens, S3GenPrompt voice, NoiseSource noise, IProgress<double>? progress = null, CancellationToken cancel = default)
    {
        using var scope = NewDisposeScope();
        var mel = _s3gen.Generate(speechTokens, voice, noise, progress, cancel);              // [1, bands, frames]
        return _hift.Generate(mel, noise).MoveToOuterDisposeScope();
    }

    /// <inheritdoc cref="HiFTGenerator.FadeIn"/>
    public Tensor FadeIn(Tensor samples) => _hift.FadeIn(samples);

    /// <summary>Samples as numbers.</summary>
    public static float[] Samples(Tensor waveform)
    {
        using var scope = NewDisposeScope();
        return waveform.cpu().data<float>().ToArray();
    }
}
