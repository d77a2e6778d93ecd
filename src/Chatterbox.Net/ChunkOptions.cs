namespace Chatterbox;

/// <summary>Sizes of the chunks of speech that are ready while the rest is still being generated.</summary>
public sealed record ChunkOptions
{
    /// <summary>Speech tokens in the first chunk, 25 a second, 1 to 1000; each following chunk has twice as many, up to
    /// <see cref="MostTokens"/>. Null derives the sizes from the model's speed, measured once during the warm-up or before the
    /// first stream: as few chunks as keep playback from stalling, with a first chunk that is nearly as small as possible; one
    /// chunk if the model is slower than speech. A seed gives the same words and timing whatever the sizes, but details
    /// of the sound depend on the sizes, which may differ on another machine.</summary>
    public int? FirstTokens { get; init; }

    /// <summary>Most speech tokens in a chunk, 1 to 1000. The larger, the fewer passes over the voice's prompt, and the longer
    /// other streams wait.</summary>
    public int MostTokens { get; init; } = 256;

    /// <summary>Speech tokens of the past that S3Gen sees in addition to the voice's prompt, 0 to 4096. More are closer to speech
    /// that is generated in one piece, fewer are faster; earlier tokens cost nothing.</summary>
    public int LeftContext { get; init; } = 100;

    /// <summary>Speech tokens of the voice's prompt, its last ones, that S3Gen sees for the first chunk, 0 to 4096; later chunks use
    /// all of the prompt. The fewer, the earlier the first audio, and the lower the cost of chunks against one piece.</summary>
    public int FirstPrompt { get; init; } = 125;

    /// <summary>Whether speech is ended that repeats the same few tokens for longer than a speaker would.</summary>
    public bool EndsWhenStuck { get; init; }

    /// <summary>Refuses values out of range.</summary>
    /// <exception cref="RequestException">One is.</exception>
    internal void Check()
    {
        Check(FirstTokens, nameof(FirstTokens), 1, 1000);
        Check(MostTokens, nameof(MostTokens), 1, 1000);
        Check(LeftContext, nameof(LeftContext), 0, 4096);
        Check(FirstPrompt, nameof(FirstPrompt), 0, 4096);
    }

    private static void Check(int? value, string name, int low, int high)
    {
        if (value < low || value > high)
        {
            throw new RequestException($"{name} is {value}; it must be from {low} to {high}.", name);
        }
    }
}
