using Chatterbox.Streaming;

namespace Chatterbox.Engine;

/// <summary>
/// Notices speech that went wrong, without another model: far more tokens than the text can need, the same tokens over and
/// over, or tokens that stay silent for long. Such a piece is spoken once more with another seed; silence at its end is trimmed.
/// </summary>
internal static class QualityGuard
{
    /// <summary>The slowest speech: some four characters a second, and two seconds for the shortest text.</summary>
    private const int TokensPerCharacter = 6;

    private const int LeastTokens = 2 * SpeechResult.TokensPerSecond;
    private const int DefaultMostTokens = 1000;
    private const long OtherSeed = 0x5EED;

    private const float Silent = 0.003f; // −50 dB of full scale
    private const int LongestSilence = SpeechResult.SampleRate * 5 / 2; // 2.5 s; a pause within a sentence is shorter
    private const int LongestEnd = SpeechResult.SampleRate / 2;
    private const int KeptEnd = SpeechResult.SampleRate / 5;

    /// <summary>Decides what becomes of a piece that no listener has played yet.</summary>
    /// <param name="speech">The piece, as it was made last.</param>
    /// <param name="failed">The attempt before, which went wrong; null where this is the first.</param>
    /// <returns>The better of the two, its silent end trimmed, and what was done to it; null if nothing.</returns>
    public static (SpeechResult Speech, string? Repair) Settle(SpeechResult speech, FailedAttempt? failed)
    {
        string? repair = null;
        if (failed is not null)
        {
            var fault = FaultOf(speech);
            repair = fault is null ? $"{failed.Fault}; spoken again" : $"{failed.Fault}; spoken again; {fault}";
            speech = fault is null || speech.Samples.Length < failed.Speech.Samples.Length ? speech : failed.Speech;
        }

        var kept = TrimEnd(speech.Samples);
        if (kept.Length < speech.Samples.Length)
        {
            speech = speech with { Samples = kept };
            repair = repair is null ? "silent end trimmed" : $"{repair}; silent end trimmed";
        }

        return (speech, repair);
    }

    /// <summary>How a piece that went wrong is spoken again: with another seed.</summary>
    public static SamplingOptions Repeat(SamplingOptions sampling) => sampling with { Seed = unchecked(sampling.Seed + OtherSeed) };

    /// <summary>Looks at the last chunk of a piece of which others have been heard.</summary>
    /// <returns>The chunk, and what was done to the piece; null if nothing.</returns>
    public static (SpeechResult Chunk, string? Repair) TrimLast(SpeechResult chunk)
    {
        var kept = TrimEnd(chunk.Samples);
        return (
            chunk with
            {
                Samples = kept,
            },
            chunk.ReachedLimit ? "more speech than the text needs; cut short"
            : kept.Length < chunk.Samples.Length ? "silent end trimmed"
            : null
        );
    }

    /// <summary>Limits speech to what a text can need.</summary>
    public static SamplingOptions Limit(string text, SamplingOptions sampling) =>
        sampling with
        {
            MaxSpeechTokens = Math.Min(sampling.MaxSpeechTokens ?? DefaultMostTokens, Budget(text)),
        };

    /// <summary>Samples without most of a long silence at their end.</summary>
    private static ReadOnlyMemory<float> TrimEnd(ReadOnlyMemory<float> samples)
    {
        var heard = HeardSamples(samples.Span);
        return samples.Length - heard > LongestEnd ? samples[..(heard + KeptEnd)] : samples;
    }

    /// <summary>Most speech tokens that a text can need. Ideographs, kana and Hangul are whole syllables, so they count for more.</summary>
    private static int Budget(string text) =>
        LeastTokens + (TokensPerCharacter * text.EnumerateRunes().Sum(r => r.Value >= 0x3040 ? 3 : 1));

    /// <summary>What is wrong up to the last sound; null if nothing. The silence after it is only trimmed.</summary>
    public static string? FaultOf(SpeechResult speech)
    {
        var heard = HeardSamples(speech.Samples.Span);
        var tokens = speech.SpeechTokens.Take((heard + SpeechResult.SamplesPerToken - 1) / SpeechResult.SamplesPerToken);
        return heard == 0 ? "nothing but silence"
            : HasLongSilence(speech.Samples.Span[..heard]) ? "long silence"
            : tokens.Any(new RepetitionDetector().Add) ? "the same sound over and over"
            : speech.ReachedLimit ? "more speech than the text needs"
            : null;
    }

    /// <summary>Samples up to the last that can be heard.</summary>
    private static int HeardSamples(ReadOnlySpan<float> samples)
    {
        var heard = samples.Length;
        while (heard > 0 && !(MathF.Abs(samples[heard - 1]) >= Silent))
        {
            heard--;
        }

        return heard;
    }

    private static bool HasLongSilence(ReadOnlySpan<float> samples)
    {
        var silent = 0;
        foreach (var sample in samples)
        {
            silent = MathF.Abs(sample) < Silent ? silent + 1 : 0;
            if (silent > LongestSilence)
            {
                return true;
            }
        }

        return false;
    }
}
