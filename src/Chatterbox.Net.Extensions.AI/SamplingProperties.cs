using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.Extensions.AI;

namespace Chatterbox.Extensions.AI;

/// <summary>Settings of <see cref="SamplingOptions"/> in the options of a request.</summary>
internal static class SamplingProperties
{
    private static readonly IReadOnlyDictionary<string, string> Names = typeof(SamplingOptions)
        .GetProperties()
        .ToDictionary(property => property.Name, property => property.Name, StringComparer.OrdinalIgnoreCase);

    /// <summary>Reads the settings.</summary>
    /// <param name="options">The options: additional properties have the settings' names, in any case, with or without underscores.</param>
    /// <param name="defaults">The settings that the options do not name.</param>
    /// <param name="client">The client that the options are for.</param>
    /// <exception cref="RequestException">A property is no setting, or has a value of another type.</exception>
    public static SamplingOptions Read(TextToSpeechOptions options, SamplingOptions defaults, ITextToSpeechClient client)
    {
        var raw = options.RawRepresentationFactory?.Invoke(client);
        var settings = raw is null
            ? defaults
            : raw as SamplingOptions
                ?? throw new RequestException(
                    $"RawRepresentationFactory returned {raw.GetType()}, expected {nameof(SamplingOptions)}.",
                    nameof(options.RawRepresentationFactory)
                );
        if (options.AdditionalProperties is not { Count: > 0 } properties)
        {
            return settings;
        }

        var json = JsonSerializer.SerializeToNode(settings)!.AsObject();
        foreach (var (key, value) in properties)
        {
            var name =
                Names.GetValueOrDefault(key.Replace("_", "", StringComparison.Ordinal))
                ?? throw new RequestException(
                    $"There is no setting '{key}'. AdditionalProperties may have "
                        + $"{string.Join(", ", Names.Values.Select(JsonNamingPolicy.SnakeCaseLower.ConvertName))}.",
                    key
                );
            json[name] = Node(key, value);
            try
            {
                settings = json.Deserialize<SamplingOptions>()!;
            }
            catch (JsonException e)
            {
                throw new RequestException($"'{key}' is {value}, expected a value as {nameof(SamplingOptions)}.{name} has it.", key, e);
            }
        }

        return settings;
    }

    private static JsonNode? Node(string key, object? value)
    {
        try
        {
            return JsonSerializer.SerializeToNode(value);
        }
        catch (Exception e) when (e is NotSupportedException or JsonException or ArgumentException)
        {
            throw new RequestException($"'{key}' is a {value?.GetType()}, expected a number, true or false.", key, e);
        }
    }
}
