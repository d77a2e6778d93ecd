using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Reflection;
using Chatterbox.Service.Hosting;
using Chatterbox.Service.Models;

namespace Chatterbox.Service.OpenAi;

/// <summary>The parameters of speech, checked against what the chosen model has.</summary>
internal static class SpeechParameters
{
    /// <summary>Refuses what is out of range, and what the model does not have.</summary>
    /// <exception cref="RefusedException">Something is.</exception>
    public static void Check(SpeechBody body, ServedModel model, TextLimits limits)
    {
        var characters = body.Input.EnumerateRunes().Count();
        if (characters > limits.MostCharacters)
        {
            throw OpenAiErrors.Invalid(
                limits.Parameter,
                $"'{limits.Parameter}' has {characters} characters; it can have {limits.MostCharacters}. Send the rest in another request.",
                "string_above_max_length"
            );
        }

        foreach (var property in typeof(SpeechBody).GetProperties())
        {
            if (property.GetCustomAttribute<RangeAttribute>() is { } range && property.GetValue(body) is { } value && !range.IsValid(value))
            {
                var name = RequestBody.NameOf(property.Name)!;
                var from = range.MinimumIsExclusive ? "above " : "from ";
                throw OpenAiErrors.Invalid(
                    name,
                    string.Create(
                        CultureInfo.InvariantCulture,
                        $"'{name}' is {value}; it must be {from}{range.Minimum} to {range.Maximum}."
                    )
                );
            }
        }

        foreach (var name in model.Lacks.Where(name => IsGiven(body, name)))
        {
            throw OpenAiErrors.Invalid(name, $"Model '{model.Name}' does not have '{name}'. Leave it out.", "unsupported_parameter");
        }

        if (body.TimestampGranularities?.FirstOrDefault(granularity => granularity is not ("sentence" or "word")) is { } unknown)
        {
            throw OpenAiErrors.Invalid(
                "timestamp_granularities",
                $"'timestamp_granularities' has \"{unknown}\"; it can have \"sentence\" and \"word\"."
            );
        }

        CheckLanguage(body.Language, model);
    }

    /// <summary>Whether the times of the sentences are to be told.</summary>
    public static bool AsksForTimes(SpeechBody body) => body.TimestampGranularities is { Count: > 0 };

    /// <summary>A seed for a request that names none: a number that every JSON reader can hold.</summary>
    public static long DrawSeed() => Random.Shared.NextInt64(1L << 53);

    /// <summary>How speech tokens are chosen.</summary>
    public static SamplingOptions Sampling(SpeechBody body, long seed) =>
        new()
        {
            Seed = seed,
            Exaggeration = body.Exaggeration,
            CfgWeight = body.CfgWeight,
            Temperature = body.Temperature,
            TopP = body.TopP,
            MinP = body.MinP,
            TopK = body.TopK,
            RepetitionPenalty = body.RepetitionPenalty,
            BlockSize = body.BlockSize,
            BlockSteps = body.BlockSteps,
            TimeShift = body.TimeShift,
            ScheduleShift = body.ScheduleShift,
            PositionTemperature = body.PositionTemperature,
            FixedPrior = body.FixedPrior,
        };

    private static bool IsGiven(SpeechBody body, string parameter) =>
        typeof(SpeechBody).GetProperties().FirstOrDefault(p => RequestBody.NameOf(p.Name) == parameter)?.GetValue(body) is not null;

    private static void CheckLanguage(string? language, ServedModel model)
    {
        if (language is null || model.Languages.Contains(language))
        {
            return;
        }

        throw model.Languages.Count == 0
            ? OpenAiErrors.Invalid("language", $"Model '{model.Name}' speaks one language. Leave 'language' out.", "unsupported_parameter")
            : OpenAiErrors.Invalid(
                "language",
                $"Model '{model.Name}' does not speak that language. It speaks {string.Join(", ", model.Languages)}."
            );
    }
}
