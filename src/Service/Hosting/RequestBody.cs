using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Http.Metadata;

namespace Chatterbox.Service.Hosting;

/// <summary>Describes in plain words what is wrong with a JSON body.</summary>
internal static class RequestBody
{
    /// <summary>Describes why a body could not be read as what the route accepts.</summary>
    public static Refusal Describe(JsonException error, HttpContext http) =>
        Describe(error, http.GetEndpoint()?.Metadata.GetMetadata<IAcceptsMetadata>()?.RequestType);

    /// <summary>Describes why some JSON could not be read as a type.</summary>
    public static Refusal Describe(JsonException error, Type? type)
    {
        IList<JsonPropertyInfo> properties = type is not null && Json.Options.TryGetTypeInfo(type, out var info) ? info.Properties : [];
        var field =
            error.Path is { Length: > 2 } path && path.StartsWith("$.", StringComparison.Ordinal) ? path[2..].Split('.', '[')[0] : null;
        var property = properties.FirstOrDefault(p => p.Name == field);
        if (property is not null)
        {
            return new Refusal(400, $"'{property.Name}' must be {Name(property.PropertyType)}.", property.Name, "invalid_type");
        }

        if (
            properties.FirstOrDefault(p => p.IsRequired && error.Message.Contains($"'{p.Name}'", StringComparison.Ordinal)) is { } missing
            && error.Message.Contains("required", StringComparison.Ordinal)
        )
        {
            return new Refusal(
                400,
                $"'{missing.Name}' is missing. Send {Name(missing.PropertyType)}.",
                missing.Name,
                "missing_required_parameter"
            );
        }

        if (error.Message.Contains("could not be mapped", StringComparison.Ordinal))
        {
            return UnknownField(field, properties);
        }

        var where = error.LineNumber is { } line ? $" The error is in line {line + 1}, byte {error.BytePositionInLine + 1}." : "";
        return new Refusal(400, $"The body is not a JSON object in UTF-8.{where}", Code: "invalid_json");
    }

    /// <summary>Describes a request of which a parameter is missing or of another type, or which ends too early; the framework's words are
    /// about this program's code.</summary>
    public static Refusal Describe(BadHttpRequestException error, HttpContext http)
    {
        var names = http.GetEndpoint()?.Metadata.GetOrderedMetadata<IParameterBindingMetadata>() ?? [];
        return names.FirstOrDefault(p => error.Message.Contains($" {p.Name}\"", StringComparison.Ordinal)) is { } parameter
            ? new Refusal(
                400,
                $"'{NameOf(parameter.Name)}' is missing, or is not {Name(parameter.ParameterInfo.ParameterType)}.",
                NameOf(parameter.Name),
                "invalid_value"
            )
            : new Refusal(400, "The request is incomplete, or not HTTP as this service reads it. Send it again.", Code: "invalid_request");
    }

    /// <summary>The refusal of a field that a type does not have.</summary>
    public static Refusal UnknownField(string field, Type type) => UnknownField(field, Json.Options.GetTypeInfo(type).Properties);

    private static Refusal UnknownField(string? field, IEnumerable<JsonPropertyInfo> properties)
    {
        var known = string.Join(", ", properties.Where(p => !p.IsExtensionData).Select(p => p.Name));
        return new Refusal(
            400,
            $"The body has an unknown field: {Shorten(field)}. The fields of this route are: {known}.",
            Shorten(field),
            "unknown_parameter"
        );
    }

    /// <summary>The name that a parameter of the library has in requests.</summary>
    public static string? NameOf(string? parameter) => parameter is null ? null : JsonNamingPolicy.SnakeCaseLower.ConvertName(parameter);

    private static string Name(Type type) =>
        Type.GetTypeCode(Nullable.GetUnderlyingType(type) ?? type) switch
        {
            TypeCode.String => "a string",
            TypeCode.Boolean => "true or false",
            TypeCode.Int32 or TypeCode.Int64 => "a whole number",
            TypeCode.Double or TypeCode.Single => "a number",
            _ => "of the type in the documentation",
        };

    private static string? Shorten(string? field) => field is { Length: > 64 } ? field[..64] + "…" : field;
}
