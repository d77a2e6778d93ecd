namespace Chatterbox;

/// <summary>How T3 chooses speech tokens. What is left null is the model's own default, which is the reference's; a setting
/// that a model does not have may only be null or that default.</summary>
public sealed record SamplingOptions
{
    /// <summary>Seed of all the randomness of the request; the same seed gives the same speech. Null draws one.</summary>
    public long? Seed { get; init; }

    /// <summary>How lively the speech is, 0 to 2; 0.5 is neutral. English and multilingual only: 0.5.</summary>
    public double? Exaggeration { get; init; }

    /// <summary>Strength of classifier-free guidance by the text, 0 to 2; 0 turns guidance off, at half the cost.
    /// English and multilingual only: 0.5.</summary>
    public double? CfgWeight { get; init; }

    /// <summary>Divides the logits: 0 always takes the likeliest token, 1 samples as trained; 0 to 5. Default 0.8.</summary>
    public double? Temperature { get; init; }

    /// <summary>Drops tokens less likely than this fraction of the likeliest; 0 drops none; 0 to 1. English and
    /// multilingual only: 0.05.</summary>
    public double? MinP { get; init; }

    /// <summary>Keeps the likeliest tokens that together reach this probability; 1 keeps all; above 0, to 1. English and
    /// multilingual: 1; Turbo and Nano: 0.95.</summary>
    public double? TopP { get; init; }

    /// <summary>Keeps this many of the likeliest tokens; 0 keeps all. Turbo and Nano only: 1000.</summary>
    public int? TopK { get; init; }

    /// <summary>Makes tokens that were spoken already less likely; 1 leaves them; 1 to 10. Default 1.2.</summary>
    public double? RepetitionPenalty { get; init; }

    /// <summary>Most speech tokens to make, 25 a second, 1 to 4096. English and multilingual: 1000, that is 40 s; Turbo and Nano: 1001.</summary>
    public int? MaxSpeechTokens { get; init; }
}
