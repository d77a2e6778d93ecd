namespace Chatterbox;

/// <summary>How T3 chooses speech tokens. Defaults are the reference's for English.</summary>
public sealed record SamplingOptions
{
    /// <summary>Seed of all the randomness of the request; the same seed gives the same speech. Null draws one.</summary>
    public long? Seed { get; init; }

    /// <summary>How lively the speech is, 0 to 2; 0.5 is neutral. Models without an emotion input refuse it.</summary>
    public float Exaggeration { get; init; } = 0.5f;

    /// <summary>Strength of classifier-free guidance by the text, 0 to 2; 0 turns guidance off, at half the cost.</summary>
    public float CfgWeight { get; init; } = 0.5f;

    /// <summary>Divides the logits: 0 always takes the likeliest token, 1 samples as trained; 0 to 5.</summary>
    public float Temperature { get; init; } = 0.8f;

    /// <summary>Drops tokens less likely than this fraction of the likeliest; 0 drops none; 0 to 1.</summary>
    public float MinP { get; init; } = 0.05f;

    /// <summary>Keeps the likeliest tokens that together reach this probability; 1 keeps all; above 0, to 1.</summary>
    public float TopP { get; init; } = 1f;

    /// <summary>Keeps this many of the likeliest tokens; 0 keeps all.</summary>
    public int TopK { get; init; }

    /// <summary>Makes tokens that were spoken already less likely; 1 leaves them; 1 to 10.</summary>
    public float RepetitionPenalty { get; init; } = 1.2f;

    /// <summary>Most speech tokens to make, 25 a second; 1000 is 40 s.</summary>
    public int MaxSpeechTokens { get; init; } = 1000;
}
