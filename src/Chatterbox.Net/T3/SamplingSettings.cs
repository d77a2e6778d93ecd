using System.Globalization;

namespace Chatterbox.T3;

/// <summary>Every sampling setting of one request, checked and with the model's defaults filled in. The settings are those
/// of <see cref="SamplingOptions"/>; double precision, as the reference's arithmetic on them is.</summary>
internal sealed record SamplingSettings(
    double Exaggeration,
    double CfgWeight,
    double Temperature,
    double MinP,
    double TopP,
    int TopK,
    double RepetitionPenalty,
    int MaxSpeechTokens
)
{
    /// <summary>How blocks of speech tokens are filled in; null where tokens come one after the other.</summary>
    public BlockSettings? Blocks { get; init; }

    /// <summary>Rows of the batch that the settings ask for: two where the text guides, else one.</summary>
    public int Rows => CfgWeight > 0 ? 2 : 1;

    /// <summary>Fills in the defaults of a model and checks the result.</summary>
    /// <exception cref="RequestException">A setting is out of its range, or the model does not have it.</exception>
    public static SamplingSettings Resolve(SamplingOptions options, T3Config config)
    {
        var defaults = config.Sampling.Defaults;
        var order = config.Sampling.Order;
        return new(
            Number(nameof(options.Exaggeration), options.Exaggeration, defaults.Exaggeration, 0, 2, config.Emotion),
            Number(nameof(options.CfgWeight), options.CfgWeight, defaults.CfgWeight, 0, 2, config.Guidance),
            Number(nameof(options.Temperature), options.Temperature, defaults.Temperature, 0, 5, order.Contains(SamplingStep.Temperature)),
            Number(nameof(options.MinP), options.MinP, defaults.MinP, 0, 1, order.Contains(SamplingStep.MinP)),
            Number(nameof(options.TopP), options.TopP, defaults.TopP, double.Epsilon, 1, order.Contains(SamplingStep.TopP)),
            (int)Number(nameof(options.TopK), options.TopK, defaults.TopK, 0, int.MaxValue, order.Contains(SamplingStep.TopK)),
            Number(
                nameof(options.RepetitionPenalty),
                options.RepetitionPenalty,
                defaults.RepetitionPenalty,
                1,
                10,
                order.Contains(SamplingStep.RepetitionPenalty)
            ),
            (int)Number(nameof(options.MaxSpeechTokens), options.MaxSpeechTokens, defaults.MaxSpeechTokens, 1, config.MaxSpeechTokens, true)
        )
        {
            Blocks = ResolveBlocks(options, defaults.Blocks),
        };
    }

    private static BlockSettings? ResolveBlocks(SamplingOptions options, BlockSettings? defaults)
    {
        var resolved = new BlockSettings(
            (int)Number(nameof(options.BlockSize), options.BlockSize, defaults?.Size, 1, 128),
            (int)Number(nameof(options.BlockSteps), options.BlockSteps, defaults?.Steps, 1, 128),
            Number(nameof(options.TimeShift), options.TimeShift, defaults?.TimeShift, 0, 1),
            Number(nameof(options.ScheduleShift), options.ScheduleShift, defaults?.ScheduleShift, 0, 10),
            Number(nameof(options.PositionTemperature), options.PositionTemperature, defaults?.PositionTemperature, 0, 100),
            Number(nameof(options.FixedPrior), AsNumber(options.FixedPrior), AsNumber(defaults?.FixedPrior), 0, 1) > 0
        );
        return defaults is null ? null : resolved;

        static double? AsNumber(bool? setting) =>
            setting is { } isOn
                ? isOn
                    ? 1
                    : 0
                : null;

        double Number(string name, double? chosen, double? byDefault, double least, double most) =>
            SamplingSettings.Number(name, chosen, byDefault ?? double.NaN, least, most, supported: byDefault is not null);
    }

    private static double Number(string name, double? chosen, double byDefault, double least, double most, bool supported)
    {
        var value = chosen ?? byDefault;
        if (!supported && chosen is not null && chosen != byDefault)
        {
            throw new RequestException(
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"{name} is {value}, but this model has no such setting: leave it out, or use a model that has it."
                ),
                name
            );
        }

        if (supported && !(value >= least && value <= most)) // written so that NaN fails
        {
            var range = least == double.Epsilon ? "above 0 and at most" : string.Create(CultureInfo.InvariantCulture, $"from {least} to");
            throw new RequestException(string.Create(CultureInfo.InvariantCulture, $"{name} is {value}; it must be {range} {most}."), name);
        }

        return value;
    }
}

/// <summary>How a block of speech tokens is filled in. The settings are those of <see cref="SamplingOptions"/>.</summary>
internal sealed record BlockSettings(
    int Size,
    int Steps,
    double TimeShift,
    double ScheduleShift,
    double PositionTemperature,
    bool FixedPrior
);
