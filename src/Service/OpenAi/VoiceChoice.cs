using System.Text.Json;
using System.Text.Json.Serialization;

namespace Chatterbox.Service.OpenAi;

/// <summary>The voice that a request asks for: one that has a name, or that of a recording which comes with the request.</summary>
/// <param name="Name">Its name, where it has one.</param>
/// <param name="Recording">The recording's file; empty where the voice has a name.</param>
internal sealed record VoiceChoice(string Name, ReadOnlyMemory<byte> Recording = default)
{
    /// <summary>The default voice.</summary>
    public static VoiceChoice Default { get; } = new(OpenAiOptions.Default);
}

/// <summary>Reads a voice: a name, an object with an id, or an object with a recording.</summary>
internal sealed class VoiceChoiceConverter : JsonConverter<VoiceChoice>
{
    private const string DataScheme = "data:";
    private const string Base64Mark = ";base64,";

    /// <inheritdoc/>
    public override VoiceChoice Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        if (reader.TokenType == JsonTokenType.String)
        {
            return new(reader.GetString()!);
        }

        if (reader.TokenType != JsonTokenType.StartObject)
        {
            throw new JsonException();
        }

        VoiceChoice? choice = null;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var (isId, isAudio) = (reader.ValueTextEquals("id"u8), reader.ValueTextEquals("audio"u8));
            reader.Read();
            if (!(isId || isAudio) || choice is not null || reader.TokenType != JsonTokenType.String)
            {
                throw new JsonException();
            }

            choice = isId ? new(reader.GetString()!) : new("", Decode(reader.GetString()!));
        }

        return choice ?? throw new JsonException();
    }

    /// <inheritdoc/>
    public override void Write(Utf8JsonWriter writer, VoiceChoice value, JsonSerializerOptions options) =>
        writer.WriteStringValue(value.Name);

    private static byte[] Decode(string url)
    {
        var mark = url.IndexOf(Base64Mark, StringComparison.OrdinalIgnoreCase);
        if (!url.StartsWith(DataScheme, StringComparison.OrdinalIgnoreCase) || mark < 0)
        {
            throw Unreadable();
        }

        try
        {
            return Convert.FromBase64String(url[(mark + Base64Mark.Length)..]) is { Length: > 0 } bytes ? bytes : throw Unreadable();
        }
        catch (FormatException)
        {
            throw Unreadable();
        }
    }

    private static Hosting.RefusedException Unreadable() =>
        OpenAiErrors.Invalid(
            "voice",
            "'voice.audio' is not a data URL with base64. Send a recording of the voice as \"data:audio/wav;base64,…\"."
        );
}
