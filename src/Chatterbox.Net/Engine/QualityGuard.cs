namespace Chatterbox.Engine;

/// <summary>
/// Notices speech that went wrong, without another model: far more tokens than the text can need, or a long silence within.
/// Such a piece is spoken once more with another seed; silence at its end is trimmed.
/// </summary>
internal static class QualityGuard
{
    /// <summary>The slowest speech: some four characters a second, and two seconds for the shortest text.</summary>
    private const int TokensPerCharacter = 6;

    private const int LeastTokens = 50;
    private const int DefaultMostTokens = 1000;
    private const long OtherSeed = 0x5EED;

    private const float Silent = 0.003f; // −50 dB of full scale
    private const int LongestSilence = SpeechResult.SampleRate * 5 / 2; // 2.5 s within a piece
    private const int LongestEnd = SpeechResult.SampleRate / 2;
    private const int KeptEnd = SpeechResult.SampleRate / 5;

    /// <summary>Speaks a piece.</summary>
    /// <param name="text">The piece.</param>
    /// <param name="sampling">How; the seed is set.</param>
    /// <param name="speak">Has the model speak.</param>
    /// <returns>The speech, and what was done to it; null if nothing.</returns>
    public static (SpeechResult Speech, string? Repair) Speak(string text, SamplingOptions sampling, Func<SamplingOptions, SpeechResult> speak)
    {
        sampling = sampling with { MaxSpeechTokens = Math.Min(sampling.MaxSpeechTokens ?? DefaultMostTokens, Budget(text)) };
        var speech = speak(sampling);
        string? repair = null;
        if (FaultOf(speech) is { } fault)
        {
            var second = speak(sampling with { Seed = unchecked(sampling.Seed + OtherSeed) });
            repair = $"{fault}; spoken again";
            speech = FaultOf(second) is null || second.Samples.Length < speech.Samples.Length ? second : speech;
        }

        var trimmed = TrimEnd(speech.Samples);
        if (trimmed.Length < speech.Samples.Length)
        {
            speech = speech with { Samples = trimmed };
            repair = repair is null ? "silent end trimmed" : $"{repair}; silent end trimmed";
        }

        return (speech, repair);
    }

    /// <summary>Most speech tokens that a text can need. Ideographs, kana and Hangul are whole syllables, so they count for more.</summary>
    private static int Budget(string text) => LeastTokens + (TokensPerCharacter * text.EnumerateRunes().Sum(r => r.Value >= 0x3040 ? 3 : 1));

    private static string? FaultOf(SpeechResult speech) =>
        speech.ReachedLimit ? "more speech than the text needs" : HasLongSilence(speech.Samples) ? "long silence within" : null;

    private static bool HasLongSilence(float[] samples)
    {
        var silent = 0;
        for (var i = 0; i < samples.Length; i++)
        {
            if (MathF.Abs(samples[i]) < Silent)
            {
                silent++;
                continue;
            }

            if (silent > LongestSilence && silent < i) // at the beginning it is only late
            {
                return true;
            }

            silent = 0;
        }

        return false;
    }

    private static float[] TrimEnd(float[] samples)
    {
        var end = Array.FindLastIndex(samples, s => MathF.Abs(s) >= Silent) + 1;
        return samples.Length - end > LongestEnd ? samples[..(end + KeptEnd)] : samples;
    }
}
