namespace Chatterbox;

/// <summary>How speech is cut into chunks that come while the rest is still being made.</summary>
public sealed record ChunkOptions
{
    /// <summary>Speech tokens in the first chunk, 25 a second, 1 to 1000; each chunk behind it has twice as many, up to
    /// <see cref="MostTokens"/>. Null lets the sizes follow from how fast the model is, measured once, when it is warmed up or
    /// first streams: as few chunks as come before playback has used up those in front, the first of them nearly as small as can
    /// be; all in one where the model is slower than speech. A seed gives the same words and timing whatever the sizes,
    /// but details of their sound follow the sizes, which may be others on another machine.</summary>
    public int? FirstTokens { get; init; }

    /// <summary>Most speech tokens in a chunk, 1 to 1000. The larger, the fewer passes over the voice's prompt, and the longer
    /// another stream waits for its turn.</summary>
    public int MostTokens { get; init; } = 256;

    /// <summary>Speech tokens of the past that S3Gen sees beside the voice's prompt, 0 to 4096. More come closer to speech
    /// that is made in one piece, fewer are faster; no chunk takes longer for what lies before them.</summary>
    public int LeftContext { get; init; } = 100;

    /// <summary>Speech tokens of the voice's prompt, its last ones, that S3Gen sees for the first chunk, 0 to 4096; later chunks are made
    /// with all of the prompt. The fewer, the sooner the first sound comes, and the less chunks cost beside one piece.</summary>
    public int FirstPrompt { get; init; } = 125;

    /// <summary>Whether speech ends that says the same few tokens over and over, for longer than anybody speaks.</summary>
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
