using System.CommandLine;

namespace Chatterbox.Service.Commands;

/// <summary>How the commands that speak a text speak it.</summary>
internal static class SpeechSettings
{
    /// <summary>The language.</summary>
    public static readonly Option<string?> Language = new("--language")
    {
        Description = "Code of the language, such as fr, for a model with several.",
    };

    /// <summary>The seed.</summary>
    public static readonly Option<long?> Seed = new("--seed") { Description = "The same seed gives the same speech; drawn unless given." };

    private static readonly Option<double?> Exaggeration = new("--exaggeration") { Description = "How lively the speech is, 0 to 2." };
    private static readonly Option<double?> CfgWeight = new("--cfg-weight") { Description = "Strength of guidance by the text, 0 to 2." };
    private static readonly Option<double?> Temperature = new("--temperature")
    {
        Description = "0 always takes the likeliest speech token; 0 to 5.",
    };

    private static readonly Option<int?> BlockSize = new("--block-size")
    {
        Description = "Speech tokens that are filled in together, 1 to 128; Flash.",
    };
    private static readonly Option<int?> BlockSteps = new("--block-steps") { Description = "Most passes over a block, 1 to 128; Flash." };
    private static readonly Option<double?> TimeShift = new("--time-shift")
    {
        Description = "How readily a pass takes more tokens than its share, 0 to 1; Flash.",
    };

    private static readonly Option<double?> ScheduleShift = new("--schedule-shift")
    {
        Description = "How the tokens of a block are shared among its passes, 0 to 10; less leaves more to later ones; Flash.",
    };

    private static readonly Option<double?> PositionTemperature = new("--position-temperature")
    {
        Description = "0 takes the tokens of a block in the order of sureness, more with noise; 0 to 100; Flash.",
    };

    private static readonly Option<bool?> FixedPrior = new("--fixed-prior")
    {
        Description = "Whether sureness is measured without text and voice, or against the other tokens of the block; Flash.",
    };

    private static readonly Option<double?> MaxSeconds = new("--max-seconds")
    {
        Description = "Longest speech of a piece; the rest of it is cut off.",
    };

    /// <summary>Gives a command these options.</summary>
    public static void Complete(Command command)
    {
        foreach (
            var option in (Option[])
                [
                    Language,
                    Seed,
                    Exaggeration,
                    CfgWeight,
                    Temperature,
                    BlockSize,
                    BlockSteps,
                    TimeShift,
                    ScheduleShift,
                    PositionTemperature,
                    FixedPrior,
                    MaxSeconds,
                ]
        )
        {
            command.Add(option);
        }
    }

    /// <summary>How speech tokens are chosen; the seed is left to the caller.</summary>
    public static SamplingOptions Sampling(ParseResult parsed) =>
        new()
        {
            Exaggeration = parsed.GetValue(Exaggeration),
            CfgWeight = parsed.GetValue(CfgWeight),
            Temperature = parsed.GetValue(Temperature),
            BlockSize = parsed.GetValue(BlockSize),
            BlockSteps = parsed.GetValue(BlockSteps),
            TimeShift = parsed.GetValue(TimeShift),
            ScheduleShift = parsed.GetValue(ScheduleShift),
            PositionTemperature = parsed.GetValue(PositionTemperature),
            FixedPrior = parsed.GetValue(FixedPrior),
            MaxSpeechTokens = (int?)(parsed.GetValue(MaxSeconds) * SpeechResult.TokensPerSecond),
        };
}
