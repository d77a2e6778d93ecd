namespace Chatterbox.Streaming;

/// <summary>How many speech tokens each chunk of an utterance has. No tensors, no clock.</summary>
internal sealed class ChunkPlan
{
    // Sizes are steps of a ladder, so that small changes of speed do not change the plan.
    private static readonly int[] Ladder = [4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1000];

    private const int LongestSpeech = 1000;
    private const double Reserve = 1.5; // everything may take this much longer than measured
    private const double MostDelay = 1.25; // of the first sound, for fewer passes
    private const int UsualSpeech = 250;

    private readonly PassLength _passes;

    private ChunkPlan(IReadOnlyList<int> sizes, PassLength passes)
    {
        Sizes = sizes;
        _passes = passes;
    }

    /// <summary>Sizes of the first chunks in speech tokens; the last one is also that of all behind it.</summary>
    public IReadOnlyList<int> Sizes { get; }

    /// <summary>Makes a plan of sizes that were asked for: each chunk has twice as many tokens as the one before.</summary>
    /// <param name="first">Tokens of the first chunk.</param>
    /// <param name="most">Most tokens of a chunk.</param>
    /// <param name="passes">What a pass goes over.</param>
    public static ChunkPlan Doubling(int first, int most, PassLength passes)
    {
        List<int> sizes = [Math.Min(first, most)];
        while (sizes[^1] < most)
        {
            sizes.Add(Math.Min(2 * sizes[^1], most));
        }

        return new(sizes, passes);
    }

    /// <summary>Makes a plan that follows from a model's speed: every chunk comes before playback has used up those before it. Of
    /// such plans it is the one with the fewest chunks, as each costs a pass over the prompt, whose first sound is not much
    /// later than the soonest. Where the model is slower than speech there is none: playback would starve at every chunk,
    /// so all comes in one.</summary>
    /// <param name="most">Most tokens of a chunk.</param>
    /// <param name="pace">How fast the model is.</param>
    /// <param name="passes">What a pass goes over.</param>
    /// <param name="busy">How fast it is when it serves others too: chunks come in time even then, if there is such a plan.</param>
    public static ChunkPlan Following(int most, ModelSpeed pace, PassLength passes, ModelSpeed busy)
    {
        int[] ladder = [.. Ladder.Where(size => size < most), most];
        var plans =
            PlansFor(busy) is { Count: > 0 } inTime && FirstSound(inTime[0]) <= MostDelay * ladder.Min(size => FirstSound([size]))
                ? inTime
                : PlansFor(pace);
        return new(plans.Where(sizes => FirstSound(sizes) <= MostDelay * FirstSound(plans[0])).MinBy(Chunks) ?? [LongestSpeech], passes);

        List<List<int>> PlansFor(ModelSpeed assumed) => [.. ladder.Select(first => PlanFrom(first, assumed)).OfType<List<int>>()];

        // Each chunk is the largest that comes in time.
        List<int>? PlanFrom(int first, ModelSpeed assumed)
        {
            List<int> sizes = [first];
            var (spoken, left) = (first, Duration(first));
            while (spoken < LongestSpeech)
            {
                var size = ladder.LastOrDefault(size => TimeFor(size, spoken, assumed) <= left);
                if (size == 0)
                {
                    return null;
                }

                left += Duration(size) - TimeFor(size, spoken, assumed);
                spoken += size;
                sizes.Add(size);
            }

            return sizes;
        }

        double TimeFor(int size, int spoken, ModelSpeed assumed) =>
            Reserve * ((size * assumed.SecondsPerStep) + assumed.SecondsOfPass(passes.Tokens(size, spoken)));

        double FirstSound(List<int> sizes) =>
            ((passes.Lag + sizes[0]) * pace.SecondsPerStep) + pace.SecondsOfPass(passes.Tokens(sizes[0], spoken: 0));

        // Of speech of the usual length.
        int Chunks(List<int> sizes) =>
            Enumerable.Range(1, sizes.Count).First(chunks => sizes.Take(chunks).Sum() + passes.Lag >= UsualSpeech);
    }

    /// <summary>Speech tokens that must be known before a chunk can be made, unless the speech ends before.</summary>
    /// <param name="chunk">Its index.</param>
    public int TokensFor(int chunk) => _passes.Lag + Spoken(chunk + 1);

    /// <summary>How long a chunk takes, unless the speech ends before.</summary>
    /// <param name="chunk">Its index.</param>
    /// <param name="known">Speech tokens that are known already.</param>
    /// <param name="pace">How fast the model is.</param>
    public TimeSpan TimeFor(int chunk, int known, ModelSpeed pace) =>
        TimeSpan.FromSeconds(
            (Math.Max(0, TokensFor(chunk) - known) * pace.SecondsPerStep) + pace.SecondsOfPass(_passes.Tokens(SizeOf(chunk), Spoken(chunk)))
        );

    private int SizeOf(int chunk) => Sizes[Math.Min(chunk, Sizes.Count - 1)];

    /// <summary>Tokens of the first chunks together.</summary>
    private int Spoken(int chunks) => Enumerable.Range(0, chunks).Sum(SizeOf);

    private static double Duration(int tokens) => tokens / (double)SpeechResult.TokensPerSecond;
}

/// <summary>What a pass goes over.</summary>
/// <param name="Lag">Tokens that have to follow one before it can be heard.</param>
/// <param name="PromptTokens">Tokens of the voice's prompt.</param>
/// <param name="FirstPrompt">Most of these that the first pass sees.</param>
/// <param name="LeftContext">Most tokens of the past.</param>
internal sealed record PassLength(int Lag, int PromptTokens, int FirstPrompt, int LeftContext)
{
    /// <summary>Tokens of a pass.</summary>
    /// <param name="size">Tokens that become sound.</param>
    /// <param name="spoken">Tokens that are sound already.</param>
    public int Tokens(int size, int spoken) =>
        (spoken == 0 ? Math.Min(PromptTokens, FirstPrompt) : PromptTokens) + Math.Min(spoken, LeftContext) + Lag + size;
}
