namespace Chatterbox;

/// <summary>One spoken text.</summary>
/// <param name="Samples">Watermarked mono samples in [−1, 1], <see cref="SampleRate"/> a second.</param>
/// <param name="TextTokens">Text tokens that were spoken, without start and stop.</param>
/// <param name="SpeechTokens">Ids of the speech tokens that were spoken, <see cref="TokensPerSecond"/> a second: token i begins at sample i
/// · <see cref="SamplesPerToken"/>.</param>
/// <param name="ReachedLimit">True if T3 was stopped by <see cref="SamplingOptions.MaxSpeechTokens"/> before it had finished: the end of
/// the text is missing.</param>
public sealed record SpeechResult(ReadOnlyMemory<float> Samples, int TextTokens, IReadOnlyList<int> SpeechTokens, bool ReachedLimit)
{
    /// <summary>Sample rate of everything that the models generate, Hz.</summary>
    public const int SampleRate = 24_000;

    /// <summary>Speech tokens a second of speech.</summary>
    public const int TokensPerSecond = 25;

    /// <summary>Samples that a speech token becomes.</summary>
    public const int SamplesPerToken = SampleRate / TokensPerSecond;

    /// <summary>Characters of the text that the model does not know, and has turned into noise or left out; once each, in order.
    /// Multilingual ones come in lower case and decomposed.</summary>
    public IReadOnlyList<string> UnknownCharacters { get; init; } = [];

    /// <summary>Stages whose output was not finite, and that succeeded when they were computed once more with plain operations, in
    /// the order in which that happened; usually none.</summary>
    public IReadOnlyList<SynthesisStage> Recovered { get; init; } = [];

    /// <summary>Length of the speech.</summary>
    public TimeSpan Duration => TimeSpan.FromSeconds(Samples.Length / (double)SampleRate);
}

/// <summary>Progress of a synthesis.</summary>
/// <param name="Stage">What is being done.</param>
/// <param name="Fraction">Part of the whole that is done, 0 to 1; an estimate while T3 runs, whose end is not known.</param>
/// <param name="SpeechTokens">Speech tokens generated so far.</param>
public readonly record struct SynthesisProgress(SynthesisStage Stage, double Fraction, int SpeechTokens);

/// <summary>The stages of a synthesis, in order.</summary>
public enum SynthesisStage
{
    /// <summary>Text tokens to speech tokens.</summary>
    T3,

    /// <summary>Speech tokens to mel spectrogram.</summary>
    S3Gen,

    /// <summary>Mel spectrogram to samples.</summary>
    HiFT,

    /// <summary>The inaudible mark.</summary>
    Watermark,

    /// <summary>Nothing is left to do.</summary>
    Done,
}
