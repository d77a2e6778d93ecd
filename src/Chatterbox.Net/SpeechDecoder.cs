using Chatterbox.HiFT;
using Chatterbox.S3Gen;

namespace Chatterbox;

/// <summary>What comes behind T3: speech tokens and a voice to sound.</summary>
/// <remarks>Ports inference of S3Token2Wav (chatterbox models/s3gen/s3gen.py) and what tts.py, mtl_tts.py and tts_turbo.py
/// do before and behind it.</remarks>
internal sealed class SpeechDecoder
{
    private readonly ChatterboxConfig _config;

    /// <param name="config">The variant.</param>
    /// <param name="s3gen">Speech tokens to mel.</param>
    /// <param name="hift">Mel to waveform.</param>
    public SpeechDecoder(ChatterboxConfig config, S3GenModel s3gen, HiFTGenerator hift)
    {
        (_config, S3Gen, HiFT) = (config, s3gen, hift);
        Plain = () => this;
    }

    /// <param name="config">The variant.</param>
    /// <param name="networks">The networks, and the same with plain operations.</param>
    public SpeechDecoder(ChatterboxConfig config, S3GenNetworks networks)
        : this(config, networks.S3Gen, networks.HiFT)
    {
        Plain = () => networks.Plain is var (s3gen, hift) && s3gen != S3Gen ? new SpeechDecoder(config, s3gen, hift) : this;
    }

    /// <summary>Speech tokens to mel.</summary>
    public S3GenModel S3Gen { get; }

    /// <summary>Mel to waveform.</summary>
    public HiFTGenerator HiFT { get; }

    /// <summary>The same with plain operations alone, for speech that this one fails at.</summary>
    /// <remarks>Set by tests, whose networks fail.</remarks>
    public Func<SpeechDecoder> Plain { get; init; }

    /// <summary>Samples that a speech token becomes.</summary>
    public int SamplesPerToken => _config.S3Gen.Encoder.Upsampling * HiFT.SamplesPerFrame;

    /// <summary>Makes samples; and once more with <see cref="Plain"/> if a stage's output is not finite.</summary>
    /// <param name="noise">The request's randomness, which the second attempt draws again.</param>
    /// <param name="make">Makes them, and reads them through the checks.</param>
    /// <returns>The samples, and the stage that failed in the first attempt, if one did.</returns>
    /// <exception cref="InvalidOutputException">The second attempt has failed too.</exception>
    public (float[] Samples, SynthesisStage? Recovered) MakeValid(NoiseSource noise, Func<SpeechDecoder, OutputChecks, float[]> make)
    {
        var before = noise.SaveWords();
        try
        {
            return (Attempt(this, make), null);
        }
        catch (InvalidOutputException e)
        {
            return (MakePlain(noise, before, make), e.Stage);
        }
    }

    /// <summary>Makes samples with <see cref="Plain"/>, after an attempt that failed.</summary>
    /// <param name="noise">The request's random numbers.</param>
    /// <param name="before">Where they stood before that attempt.</param>
    /// <param name="make">As in <see cref="MakeValid"/>.</param>
    /// <exception cref="InvalidOutputException">This attempt has failed too.</exception>
    public float[] MakePlain(NoiseSource noise, ReadOnlySpan<int> before, Func<SpeechDecoder, OutputChecks, float[]> make)
    {
        noise.RestoreWords(before);
        return Attempt(Plain(), make);
    }

    /// <summary>Speaks the sound tokens that T3 made of a text, with the variant's tail, and cut where the variant is.</summary>
    /// <param name="speechTokens">What is said, 25 tokens a second.</param>
    /// <param name="voice">Who says it.</param>
    /// <param name="noise">The request's randomness.</param>
    /// <param name="checks">Includes mel and samples; null for none.</param>
    /// <param name="progress">Receives the share of S3Gen's work that is done.</param>
    /// <param name="cancellationToken">Looked at before each step of the flow.</param>
    /// <returns>Samples at 24 kHz, [samples].</returns>
    /// <exception cref="VoiceException">The voice does not fit this model.</exception>
    /// <exception cref="RequestException">There are no tokens.</exception>
    public Tensor SpeakText(
        IReadOnlyList<int> speechTokens,
        S3GenPrompt voice,
        NoiseSource noise,
        OutputChecks? checks = null,
        IProgress<double>? progress = null,
        CancellationToken cancellationToken = default
    )
    {
        using var scope = NewDisposeScope();
        var mel = S3Gen.Flow.Integrate(BeginText(speechTokens, voice, noise), progress, cancellationToken);
        return EndText(mel, speechTokens.Count, voice, noise, checks).MoveToOuterDisposeScope();
    }

    /// <summary>The first half of <see cref="SpeakText"/>, up to the flow.</summary>
    /// <inheritdoc cref="SpeakText"/>
    /// <returns>What the flow is to do; <see cref="EndText"/> takes its mel.</returns>
    public FlowPass BeginText(IReadOnlyList<int> speechTokens, S3GenPrompt voice, NoiseSource noise) =>
        speechTokens.Count > 0
            ? S3Gen.Begin([.. speechTokens, .. _config.TailTokens], voice, noise)
            : throw new RequestException("The model ended this text without a sound. Try another seed, or a longer text.", "text");

    /// <summary>The second half of <see cref="SpeakText"/>.</summary>
    /// <param name="mel">What the flow made, [1, frames, bands].</param>
    /// <param name="speechTokens">How many there are.</param>
    /// <param name="voice">The speaker.</param>
    /// <param name="noise">The request's random numbers.</param>
    /// <param name="checks">Includes mel and samples; null for none.</param>
    /// <returns>Samples at 24 kHz, [samples].</returns>
    public Tensor EndText(Tensor mel, int speechTokens, S3GenPrompt voice, NoiseSource noise, OutputChecks? checks)
    {
        using var scope = NewDisposeScope();
        var samples = FadeIn(Sound(S3Gen.End(mel, voice), noise, checks)).squeeze(0);
        return samples.narrow(0, 0, Math.Min(samples.size(0), LengthOf(speechTokens))).MoveToOuterDisposeScope();
    }

    /// <summary>Most samples that a text's speech tokens become, tail and cut included.</summary>
    public int LengthOf(int speechTokens) => Math.Max(1, speechTokens + _config.TailTokens.Count - _config.CutTokens) * SamplesPerToken;

    /// <summary>Speaks tokens as they are.</summary>
    /// <param name="speechTokens">What is said, 25 tokens a second.</param>
    /// <param name="voice">Who says it.</param>
    /// <param name="noise">The request's randomness.</param>
    /// <param name="checks">Includes mel and samples; null for none.</param>
    /// <param name="progress">Receives the share of S3Gen's work that is done.</param>
    /// <param name="cancellationToken">Looked at before each step of the flow.</param>
    /// <returns>Samples at 24 kHz, [1, samples].</returns>
    /// <exception cref="VoiceException">The voice does not fit this model.</exception>
    public Tensor Speak(
        IReadOnlyList<int> speechTokens,
        S3GenPrompt voice,
        NoiseSource noise,
        OutputChecks? checks = null,
        IProgress<double>? progress = null,
        CancellationToken cancellationToken = default
    )
    {
        using var scope = NewDisposeScope();
        return Sound(S3Gen.Generate(speechTokens, voice, noise, progress, cancellationToken), noise, checks).MoveToOuterDisposeScope();
    }

    /// <inheritdoc cref="HiFTGenerator.FadeIn"/>
    public Tensor FadeIn(Tensor samples) => HiFT.FadeIn(samples);

    private Tensor Sound(Tensor mel, NoiseSource noise, OutputChecks? checks)
    {
        checks?.Add(SynthesisStage.S3Gen, mel); // [1, bands, frames]
        var samples = HiFT.Generate(mel, noise); // [1, samples]
        checks?.Add(SynthesisStage.HiFT, samples);
        return samples;
    }

    private static float[] Attempt(SpeechDecoder speechDecoder, Func<SpeechDecoder, OutputChecks, float[]> make)
    {
        using var scope = NewDisposeScope();
        using var checks = new OutputChecks();
        return make(speechDecoder, checks);
    }
}
