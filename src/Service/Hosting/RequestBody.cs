using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Http.Metadata;

namespace Chatterbox.Service.Hosting;

/// <summary>Tells in plain words what is wrong with a JSON body.</summary>
internal static class RequestBody
{
    /// <summary>Describes why a body could not be read as what the route accepts.</summary>
    public static Refusal Describe(JsonException error, HttpContext http) => Describe(error, http.GetEndpoint()?.Metadata.GetMetadata<IAcceptsMetadata>()?.RequestType);

    /// <summary>Describes why some JSON could not be read as a type.</summary>
    public static Refusal Describe(JsonException error, Type? type)
    {
        IList<JsonPropertyInfo> properties = type is not null && Json.Options.TryGetTypeInfo(type, out var info) ? info.Properties : [];
        var field = error.Path is { Length: > 2 } path && path.StartsWith("$.", StringComparison.Ordinal) ? path[2..].Split('.', '[')[0] : null;
        var property = properties.FirstOrDefault(p => p.Name == field);
        if (property is not null)
        {
            return new Refusal(400, $"'{property.Name}' must be {Name(property.PropertyType)}.", property.Name, "invalid_type");
        }

        if (properties.FirstOrDefault(p => p.IsRequired && error.Message.Contains($"'{p.Name}'", StringComparison.Ordinal)) is { } missing
            && error.Message.Contains("required", StringComparison.Ordinal))
        {
            return new Refusal(400, $"'{missing.Name}' is missing. Send {Name(missing.PropertyType)}.", missing.Name, "missing_required_parameter");
        }

        if (error.Message.Contains("could not be mapped", StringComparison.Ordinal))
        {
            var known = string.Join(", ", properties.Select(p => p.Name));
            return new Refusal(400, $"The body has a field that this route does not know: {Shorten(field)}. It knows: {known}.", Shorten(field), "unknown_parameter");
        }

        var where = error.LineNumber is { } line ? $" The fault is in line {line + 1}, byte {error.BytePositionInLine + 1}." : "";
        return new Refusal(400, $"The body is not a JSON object in UTF-8.{where}", Code: "invalid_json");
    }

    /// <summary>The name that a parameter of the library has in requests.</summary>
    public static string? NameOf(string? parameter) => parameter is null ? null : JsonNamingPolicy.SnakeCaseLower.ConvertName(parameter);

    private static string Name(Type type) => Type.GetTypeCode(Nullable.GetUnderlyingType(type) ?? type) switch
    {
        TypeCode.String => "a string",
        TypeCode.Boolean => "true or false",
        TypeCode.Int32 or TypeCode.Int64 => "a whole number",
        TypeCode.Double or TypeCode.Single => "a number",
        _ => "of the type that the documentation gives",
    };

    private static string? Shorten(string? field) => field is { Length: > 64 } ? field[..64] + "…" : field;
}
