using System.Buffers;
using System.Globalization;
using System.IO.Pipelines;
using System.Text.Json;
using Chatterbox.Service.Hosting;

namespace Chatterbox.Service.Wyoming;

/// <summary>A message that is not of the protocol.</summary>
internal sealed class WyomingException(string message) : Exception(message);

/// <summary>A message of the protocol: a line of JSON with its type, more JSON of a known length, and bytes.</summary>
/// <param name="Type">Its type.</param>
/// <param name="Data">What it says; null for nothing.</param>
internal sealed record WyomingFrame(string Type, JsonElement? Data)
{
    private const int MostHeaderBytes = 64 * 1024;
    private const string Version = "1.8.0"; // of the protocol's library, whose messages these are

    /// <summary>A text of its data.</summary>
    public string? Text(string property) => String(Object(Data, property));

    /// <summary>A text of an object in its data.</summary>
    public string? Text(string part, string property) => String(Object(Object(Data, part), property));

    /// <summary>Reads the next message; what it carries as bytes is of no use here, and skipped.</summary>
    /// <param name="input">The connection.</param>
    /// <param name="mostBytes">Most bytes of its JSON, and of what it carries.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <returns>The message; null where the client has left.</returns>
    /// <exception cref="WyomingException">It is not of the protocol.</exception>
    public static async Task<WyomingFrame?> ReadAsync(PipeReader input, int mostBytes, CancellationToken cancellationToken)
    {
        if (await ReadLineAsync(input, cancellationToken) is not { } line)
        {
            return null;
        }

        try
        {
            using var header = JsonDocument.Parse(line);
            var type = String(Object(header.RootElement, "type")) ?? throw new WyomingException("A message has no 'type'.");
            var data = Object(header.RootElement, "data")?.Clone();
            if (Length(header.RootElement, "data_length", mostBytes) is > 0 and var length)
            {
                using var more = JsonDocument.Parse(await ReadBytesAsync(input, length, cancellationToken));
                data = data is null ? more.RootElement.Clone() : Merge(data.Value, more.RootElement);
            }

            if (Length(header.RootElement, "payload_length", mostBytes) is > 0 and var carried)
            {
                await ReadBytesAsync(input, carried, cancellationToken);
            }

            return new(type, data);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new WyomingException("A message is not JSON: each begins with a line such as {\"type\":\"describe\"}.");
        }
    }

    /// <summary>The bytes of a message.</summary>
    /// <param name="type">Its type.</param>
    /// <param name="data">What it says, as JSON.</param>
    /// <param name="payload">What it carries.</param>
    public static ReadOnlyMemory<byte> Write(string type, ReadOnlySpan<byte> data, ReadOnlySpan<byte> payload)
    {
        var frame = new ArrayBufferWriter<byte>(256 + data.Length + payload.Length);
        using (var header = new Utf8JsonWriter(frame))
        {
            header.WriteStartObject();
            header.WriteString("type", type);
            header.WriteString("version", Version);
            header.WriteNumber("data_length", data.Length);
            header.WriteNumber("payload_length", payload.Length);
            header.WriteEndObject();
        }

        frame.Write("\n"u8);
        frame.Write(data);
        frame.Write(payload);
        return frame.WrittenMemory;
    }

    private static async Task<byte[]?> ReadLineAsync(PipeReader input, CancellationToken cancellationToken)
    {
        while (true)
        {
            var read = await input.ReadAsync(cancellationToken);
            if (read.Buffer.PositionOf((byte)'\n') is { } end)
            {
                var line = read.Buffer.Slice(0, end).ToArray();
                input.AdvanceTo(read.Buffer.GetPosition(1, end));
                return line;
            }

            if (read.Buffer.Length > MostHeaderBytes)
            {
                throw new WyomingException($"A message's first line has more than {MostHeaderBytes} bytes.");
            }

            input.AdvanceTo(read.Buffer.Start, read.Buffer.End);
            if (read.IsCompleted)
            {
                return null;
            }
        }
    }

    private static async Task<byte[]> ReadBytesAsync(PipeReader input, int length, CancellationToken cancellationToken)
    {
        var read = await input.ReadAtLeastAsync(length, cancellationToken);
        if (read.Buffer.Length < length)
        {
            throw new WyomingException("A message ends too early.");
        }

        var bytes = read.Buffer.Slice(0, length).ToArray();
        input.AdvanceTo(read.Buffer.GetPosition(length));
        return bytes;
    }

    private static int Length(JsonElement header, string property, int most)
    {
        if (Object(header, property) is not { ValueKind: JsonValueKind.Number } value)
        {
            return 0;
        }

        return value.TryGetInt32(out var length) && length >= 0 && length <= most
            ? length
            : throw new WyomingException(string.Create(CultureInfo.InvariantCulture, $"'{property}' must be from 0 to {most}."));
    }

    private static JsonElement? Object(JsonElement? json, string property) =>
        json is { ValueKind: JsonValueKind.Object } known
        && known.TryGetProperty(property, out var value)
        && value.ValueKind != JsonValueKind.Null
            ? value
            : null;

    private static string? String(JsonElement? json)
    {
        try
        {
            return json is { ValueKind: JsonValueKind.String } text ? text.GetString() : null;
        }
        catch (InvalidOperationException)
        {
            throw new WyomingException("A text has half of a surrogate pair. Send whole characters.");
        }
    }

    private static JsonElement Merge(JsonElement first, JsonElement second)
    {
        var fields = first
            .EnumerateObject()
            .Concat(second.EnumerateObject())
            .GroupBy(field => field.Name)
            .ToDictionary(same => same.Key, same => same.Last().Value);
        return JsonSerializer.SerializeToElement(fields, Json.Of<Dictionary<string, JsonElement>>());
    }
}
