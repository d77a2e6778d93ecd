namespace Chatterbox.Streaming;

/// <summary>How many speech tokens each chunk of an utterance has. No tensors, no clock.</summary>
internal sealed class ChunkPlan
{
    // Sizes are steps of a ladder, so that small changes of speed do not change the plan.
    private static readonly int[] Ladder = [4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1000];

    private const int LongestSpeech = 1000;
    private const double Reserve = 1.5;          // everything may take this much longer than measured

    private readonly int _lag;

    private ChunkPlan(IReadOnlyList<int> sizes, int lag)
    {
        Sizes = sizes;
        _lag = lag;
    }

    /// <summary>Sizes of the first chunks in speech tokens; the last one is also that of all behind it.</summary>
    public IReadOnlyList<int> Sizes { get; }

    /// <summary>Makes a plan.</summary>
    /// <param name="options">What was asked for.</param>
    /// <param name="pace">How fast the model is.</param>
    /// <param name="lag">Tokens that have to follow one before it can be heard.</param>
    /// <param name="promptTokens">Tokens of the voice's prompt, which every pass goes over.</param>
    public static ChunkPlan For(ChunkOptions options, ChunkPace pace, int lag, int promptTokens) => new(
        options.FirstTokens is { } first ? Double(first, options.MostTokens) : Follow(options, pace, lag, promptTokens), lag);

    /// <summary>Speech tokens that must be known before a chunk can be made, unless the speech ends before.</summary>
    /// <param name="chunk">Its index.</param>
    public int TokensFor(int chunk)
    {
        var tokens = _lag;
        for (var i = 0; i <= chunk; i++)
        {
            tokens += Sizes[Math.Min(i, Sizes.Count - 1)];
        }

        return tokens;
    }

    private static List<int> Double(int first, int most)
    {
        List<int> sizes = [Math.Min(first, most)];
        while (sizes[^1] < most)
        {
            sizes.Add(Math.Min(2 * sizes[^1], most));
        }

        return sizes;
    }

    /// <summary>The smallest first chunk behind which others come in time. Where the model is slower than speech there is none:
    /// playback would starve at every chunk, and each costs a pass over the prompt, so all comes in one.</summary>
    private static List<int> Follow(ChunkOptions options, ChunkPace pace, int lag, int promptTokens)
    {
        int[] ladder = [.. Ladder.Where(size => size < options.MostTokens), options.MostTokens];
        return ladder.Select(Behind).FirstOrDefault(sizes => sizes is not null) ?? [LongestSpeech];

        // Each chunk is the largest that comes before playback has used up those before it.
        List<int>? Behind(int first)
        {
            List<int> sizes = [first];
            var (spoken, left) = (first, Duration(first));
            while (spoken < LongestSpeech)
            {
                var size = ladder.LastOrDefault(size => TimeFor(size, spoken) <= left);
                if (size == 0)
                {
                    return null;
                }

                left += Duration(size) - TimeFor(size, spoken);
                spoken += size;
                sizes.Add(size);
            }

            return sizes;
        }

        double TimeFor(int size, int spoken) => Reserve * options.Sharers
            * ((size * pace.SecondsPerStep) + ((promptTokens + Math.Min(spoken, options.LeftContext) + lag + size) * pace.SecondsPerPassToken));
    }

    private static double Duration(int tokens) => tokens / (double)SpeechResult.TokensPerSecond;
}
