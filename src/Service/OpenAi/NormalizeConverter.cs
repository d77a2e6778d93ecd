using System.Text.Json;
using System.Text.Json.Serialization;

namespace Chatterbox.Service.OpenAi;

/// <summary>Reads whether a text is written out: true, false, or on, off and auto, which leaves it to the settings.</summary>
internal sealed class NormalizeConverter : JsonConverter<bool?>
{
    /// <inheritdoc/>
    public override bool? Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        reader.TokenType switch
        {
            JsonTokenType.True => true,
            JsonTokenType.False => false,
            JsonTokenType.Null => null,
            JsonTokenType.String when TryRead(reader.GetString(), out var choice) => choice,
            _ => throw OpenAiErrors.Invalid("normalize", "'normalize' must be true or \"on\", false or \"off\", or \"auto\"."),
        };

    /// <inheritdoc/>
    public override void Write(Utf8JsonWriter writer, bool? value, JsonSerializerOptions options)
    {
        if (value is { } choice)
        {
            writer.WriteBooleanValue(choice);
        }
        else
        {
            writer.WriteNullValue();
        }
    }

    /// <summary>Reads on, off and auto, which is null, as no word is.</summary>
    public static bool TryRead(string? word, out bool? choice)
    {
        choice = word switch
        {
            "on" => true,
            "off" => false,
            _ => null,
        };
        return word is null or "auto" or "on" or "off";
    }
}
