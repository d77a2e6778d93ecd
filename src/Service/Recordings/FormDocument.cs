using Microsoft.OpenApi;

namespace Chatterbox.Service.Recordings;

/// <summary>A field of a multipart form.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Description">What it takes.</param>
/// <param name="IsFile">Whether it is a file.</param>
/// <param name="IsRequired">Whether it must be there.</param>
internal sealed record FormField(string Name, string Description, bool IsFile = false, bool IsRequired = false);

/// <summary>Tells of forms in the OpenAPI document.</summary>
internal static class FormDocument
{
    /// <summary>Says which form a route takes.</summary>
    public static RouteHandlerBuilder TakesForm(this RouteHandlerBuilder route, IReadOnlyList<FormField> fields) =>
        route.AddOpenApiOperationTransformer((operation, _, _) =>
        {
            var schema = new OpenApiSchema
            {
                Type = JsonSchemaType.Object,
                Properties = fields.ToDictionary(field => field.Name, field => (IOpenApiSchema)new OpenApiSchema
                {
                    Type = JsonSchemaType.String,
                    Format = field.IsFile ? "binary" : null,
                    Description = field.Description,
                }),
                Required = fields.Where(field => field.IsRequired).Select(field => field.Name).ToHashSet(),
            };
            operation.RequestBody = new OpenApiRequestBody
            {
                Required = true,
                Content = new Dictionary<string, OpenApiMediaType> { ["multipart/form-data"] = new() { Schema = schema } },
            };
            return Task.CompletedTask;
        });
}
