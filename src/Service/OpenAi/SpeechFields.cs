using System.Buffers;
using System.Text.Json;
using Chatterbox.Service.Hosting;

namespace Chatterbox.Service.OpenAi;

/// <summary>The fields of a request for speech, where they do not come as one JSON object.</summary>
internal static class SpeechFields
{
    /// <summary>Reads them.</summary>
    /// <param name="own">The request's own.</param>
    /// <param name="others">Those that it has where it has no own ones.</param>
    /// <exception cref="RefusedException">One is missing, or of another type.</exception>
    public static SpeechBody Read(Dictionary<string, JsonElement> own, Dictionary<string, JsonElement> others)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            foreach (var (name, value) in own.Concat(others.Where(field => !own.ContainsKey(field.Key))))
            {
                writer.WritePropertyName(name);
                value.WriteTo(writer);
            }

            writer.WriteEndObject();
        }

        try
        {
            return JsonSerializer.Deserialize(buffer.WrittenSpan, Json.Of<SpeechBody>())!;
        }
        catch (JsonException e)
        {
            throw new RefusedException(RequestBody.Describe(e, typeof(SpeechBody)));
        }
    }

    /// <summary>A field that is a text.</summary>
    public static JsonElement Of(string text) => JsonSerializer.SerializeToElement(text, Json.Of<string>());
}
