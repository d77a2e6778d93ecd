namespace Chatterbox.Streaming;

/// <summary>Notices a speech token, or a short cycle of them, that is repeated for longer than anybody speaks.</summary>
internal sealed class RepetitionDetector
{
    private const int LongestRepetition = 3 * SpeechResult.TokensPerSecond; // a vowel that is held is shorter
    private const int LongestCycle = SpeechResult.TokensPerSecond / 2; // a syllable or two

    private readonly List<int> _tokens = [];
    private readonly int[] _repeated = [.. Enumerable.Range(1, LongestCycle)]; // tokens that the cycle of each length has lasted

    /// <summary>Hears the next token.</summary>
    /// <returns>True where the last tokens are stuck.</returns>
    public bool Add(int token)
    {
        var isStuck = false;
        for (var cycle = 1; cycle <= LongestCycle && cycle <= _tokens.Count; cycle++)
        {
            ref var repeated = ref _repeated[cycle - 1];
            repeated = token == _tokens[^cycle] ? repeated + 1 : cycle;
            isStuck |= repeated > LongestRepetition;
        }

        _tokens.Add(token);
        return isStuck;
    }
}
