namespace Chatterbox;

/// <summary>How T3 chooses speech tokens. Null is the model's own default, which is the reference's; a setting
/// that a model does not have may only be null or that default.</summary>
public sealed record SamplingOptions
{
    /// <summary>Seed of all the randomness of the request; the same seed gives the same speech. Null draws one.</summary>
    public long? Seed { get; init; }

    /// <summary>How lively the speech is, 0 to 2; 0.5 is neutral. English, multilingual and Flash only: 0.5.</summary>
    public double? Exaggeration { get; init; }

    /// <summary>Strength of classifier-free guidance by the text, 0 to 2; 0 turns guidance off, at half the cost.
    /// English and multilingual: 0.5; Flash: 1.</summary>
    public double? CfgWeight { get; init; }

    /// <summary>Divides the logits: 0 always takes the likeliest token, 1 samples as trained; 0 to 5. Default 0.8;
    /// Flash: 0.6.</summary>
    public double? Temperature { get; init; }

    /// <summary>Drops tokens less likely than this fraction of the likeliest; 0 drops none; 0 to 1. English and
    /// multilingual only: 0.05.</summary>
    public double? MinP { get; init; }

    /// <summary>Keeps the likeliest tokens that together reach this probability; 1 keeps all; above 0, to 1. English and
    /// multilingual: 1; Turbo and Nano: 0.95.</summary>
    public double? TopP { get; init; }

    /// <summary>Keeps this many of the likeliest tokens; 0 keeps all. Turbo and Nano only: 1000.</summary>
    public int? TopK { get; init; }

    /// <summary>Makes tokens that were generated already less likely; 1 changes nothing; 1 to 10. Default 1.2;
    /// not of Flash.</summary>
    public double? RepetitionPenalty { get; init; }

    /// <summary>Most speech tokens to generate, 25 a second, 1 to 4096. English and multilingual: 1000, that is 40 s; Turbo and Nano: 1001;
    /// Flash: six for each text token, at least 300, which this can only lower.</summary>
    public int? MaxSpeechTokens { get; init; }

    /// <summary>Speech tokens that are filled in together, 1 to 128; it was trained for 16 and 32. Larger blocks take fewer passes, and the
    /// first sound comes later. Flash only: 16.</summary>
    public int? BlockSize { get; init; }

    /// <summary>Most passes in which a block is filled in, 1 to 128. Flash only: 10.</summary>
    public int? BlockSteps { get; init; }

    /// <summary>How readily a pass takes more tokens than its share where the model is sure of them, so that a block takes fewer passes: 0
    /// never; 0 to 1. Flash only: 0.1.</summary>
    public double? TimeShift { get; init; }

    /// <summary>How the tokens of a block are shared among its passes: 0 or 1 evenly, less leaves more to later ones; 0 to 10. Flash
    /// only: 0.5.</summary>
    public double? ScheduleShift { get; init; }

    /// <summary>Whether noise changes which tokens of a block are taken first: 0 takes those that the model is surest of; any other value,
    /// up
    /// to 100, has the same effect. Flash only: 5.</summary>
    public double? PositionTemperature { get; init; }

    /// <summary>What the model's sureness of a token is compared with: how likely the token is without text and voice (true), or in the
    /// other places of its block (false). Flash only: true.</summary>
    public bool? FixedPrior { get; init; }
}
