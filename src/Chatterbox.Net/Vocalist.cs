using Chatterbox.HiFT;
using Chatterbox.S3Gen;

namespace Chatterbox;

/// <summary>What comes behind T3: speech tokens and a voice to sound.</summary>
/// <remarks>Ports inference of S3Token2Wav (chatterbox models/s3gen/s3gen.py) and what tts.py, mtl_tts.py and tts_turbo.py
/// do before and behind it.</remarks>
internal sealed class Vocalist(ChatterboxConfig config, S3GenModel s3gen, HiFTGenerator hift)
{
    /// <summary>Speech tokens to mel.</summary>
    public S3GenModel S3Gen { get; } = s3gen;

    /// <summary>Mel to waveform.</summary>
    public HiFTGenerator HiFT { get; } = hift;

    /// <summary>Samples that a speech token becomes.</summary>
    public int SamplesPerToken => config.S3Gen.Encoder.Upsampling * HiFT.SamplesPerFrame;

    /// <summary>Speaks the sound tokens that T3 made of a text, with the variant's tail, and cut where the variant is.</summary>
    /// <param name="speechTokens">What is said, 25 tokens a second.</param>
    /// <param name="voice">Who says it.</param>
    /// <param name="noise">The request's randomness.</param>
    /// <param name="progress">Told the share of S3Gen's work that is done.</param>
    /// <param name="cancel">Looked at before each step of the flow.</param>
    /// <returns>Samples at 24 kHz, [samples].</returns>
    /// <exception cref="VoiceException">The voice does not fit this model.</exception>
    /// <exception cref="RequestException">There are no tokens.</exception>
    public Tensor SpeakText(
        IReadOnlyList<int> speechTokens, S3GenPrompt voice, NoiseSource noise, IProgress<double>? progress = null, CancellationToken cancel = default)
    {
        if (speechTokens.Count == 0)
        {
            throw new RequestException("The model ended this text without a sound. Try another seed, or a longer text.", "text");
        }

        using var scope = NewDisposeScope();
        var samples = FadeIn(Speak([.. speechTokens, .. config.TailTokens], voice, noise, progress, cancel)).squeeze(0);
        return samples.narrow(0, 0, Math.Min(samples.size(0), LengthOf(speechTokens.Count))).MoveToOuterDisposeScope();
    }

    /// <summary>Most samples that a text's speech tokens become, tail and cut included.</summary>
    public int LengthOf(int speechTokens) => Math.Max(1, speechTokens + config.TailTokens.Count - config.CutTokens) * SamplesPerToken;

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
        var mel = S3Gen.Generate(speechTokens, voice, noise, progress, cancel);              // [1, bands, frames]
        return HiFT.Generate(mel, noise).MoveToOuterDisposeScope();
    }

    /// <inheritdoc cref="HiFTGenerator.FadeIn"/>
    public Tensor FadeIn(Tensor samples) => HiFT.FadeIn(samples);
}
