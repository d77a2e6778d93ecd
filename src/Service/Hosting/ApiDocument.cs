using System.ComponentModel.DataAnnotations;
using System.Text.Json.Nodes;
using Chatterbox.Service.OpenAi;
using Chatterbox.Service.Recordings;
using Microsoft.AspNetCore.OpenApi;
using Microsoft.OpenApi;
using Scalar.AspNetCore;

namespace Chatterbox.Service.Hosting;

/// <summary>The OpenAPI document at <c>/openapi/v1.json</c> and a page to browse it at <c>/scalar</c>.</summary>
internal static class ApiDocument
{
    private const string Description = """
        Text-to-speech in four ways: OpenAI's `/v1/audio/speech`, a WebSocket for text that is still being written, `/speak` for older clients, and plain files.

        Every answer has `X-Chatterbox-Model` (the model, and whether it is a stand-in) and `X-Request-Id` (the id of the request in the log).
        Speech also has `X-Chatterbox-Voice`, `X-Chatterbox-Queue-Position`, `X-Chatterbox-Expected-Wait` (seconds, once known), `X-Chatterbox-Repairs` (pieces that went wrong
        and were generated again) and, where a text has characters that the model does not know and turns into noise,
        `X-Chatterbox-Unknown-Characters` (such as U+16A0). The headers of a stream report what was known when they were sent (on OpenAI's route the
        first chunk, on `/speak` nothing); the log has everything.

        A full queue, and too many requests of one client, are answered with 429; while the service starts or stops, and if a model cannot be loaded, with 503;
        both have `Retry-After`. A model that is not in memory is loaded for the request that names it, which waits for it.
        Where API keys are set, requests carry one as `Authorization: Bearer KEY`.
        Pages of other origins get 403, unless `Security:CorsOrigins` allows them, and so do, without keys, public host names that `AllowedHosts` does not name.
        A full disk is answered with 507. A stream of `/speak` whose text was cut has the header `X-Chatterbox-Truncated`.
        """;

    /// <summary>Registers the document.</summary>
    public static void AddApiDocument(this WebApplicationBuilder builder) =>
        builder.Services.AddOpenApi(
            "v1",
            document =>
            {
                document.AddDocumentTransformer(
                    (api, _, _) =>
                    {
                        api.Info = new OpenApiInfo
                        {
                            Title = "Chatterbox.Net",
                            Version = "1",
                            Description = Description,
                        };
                        api.Components ??= new OpenApiComponents();
                        api.Components.SecuritySchemes = new Dictionary<string, IOpenApiSecurityScheme>
                        {
                            ["key"] = new OpenApiSecurityScheme
                            {
                                Type = SecuritySchemeType.Http,
                                Scheme = "bearer",
                                Description = "Only where API keys are set.",
                            },
                        };
                        api.Security =
                        [
                            new OpenApiSecurityRequirement(),
                            new OpenApiSecurityRequirement { [new OpenApiSecuritySchemeReference("key", api)] = [] },
                        ];
                        return Task.CompletedTask;
                    }
                );
                document.AddOperationTransformer(
                    (operation, context, _) =>
                    {
                        ApiOperations.Complete(operation, RouteOf(context));
                        return Task.CompletedTask;
                    }
                );
                document.AddSchemaTransformer(
                    (schema, context, _) =>
                    {
                        Complete(schema, context);
                        return Task.CompletedTask;
                    }
                );
            }
        );

    /// <summary>Adds the routes.</summary>
    public static void MapApiDocument(this WebApplication app)
    {
        app.MapOpenApi("/openapi/{documentName}.json");
        app.MapScalarApiReference(
            "/scalar",
            page =>
                page.WithTitle("Chatterbox.Net")
                    .DisableDefaultFonts()
                    .DisableTelemetry()
                    .DisableAgent()
                    .DisableMcp()
                    .HideClientButton()
                    .HideDeveloperTools()
        );
    }

    /// <summary>Documents further content types, and their shape, that a route answers.</summary>
    public static RouteHandlerBuilder AlsoAnswers<T>(this RouteHandlerBuilder route, params IEnumerable<string> contentTypes) =>
        route.AddOpenApiOperationTransformer(
            async (operation, context, cancellationToken) =>
            {
                var schema =
                    typeof(T) == typeof(byte[])
                        ? new OpenApiSchema { Type = JsonSchemaType.String, Format = "binary" }
                        : await context.GetOrCreateSchemaAsync(typeof(T), cancellationToken: cancellationToken);
                foreach (var type in contentTypes)
                {
                    operation.Responses!["200"].Content![type] = new OpenApiMediaType { Schema = schema };
                }
            }
        );

    /// <summary>Documents the form that a route takes.</summary>
    public static RouteHandlerBuilder TakesForm(this RouteHandlerBuilder route, IReadOnlyList<FormField> fields) =>
        route.AddOpenApiOperationTransformer(
            (operation, _, _) =>
            {
                var schema = new OpenApiSchema
                {
                    Type = JsonSchemaType.Object,
                    Properties = fields.ToDictionary(
                        f => f.Name,
                        f =>
                            (IOpenApiSchema)
                                new OpenApiSchema
                                {
                                    Type = JsonSchemaType.String,
                                    Format = f.IsFile ? "binary" : null,
                                    Description = f.Description,
                                }
                    ),
                    Required = fields.Where(f => f.IsRequired).Select(f => f.Name).ToHashSet(),
                };
                operation.RequestBody = new OpenApiRequestBody
                {
                    Required = true,
                    Content = new Dictionary<string, OpenApiMediaType> { ["multipart/form-data"] = new() { Schema = schema } },
                };
                return Task.CompletedTask;
            }
        );

    /// <summary>Documents another kind of body that a route takes.</summary>
    public static RouteHandlerBuilder AlsoTakes<T>(this RouteHandlerBuilder route, string contentType) =>
        route.AddOpenApiOperationTransformer(
            async (operation, context, cancellationToken) =>
            {
                var schema = await context.GetOrCreateSchemaAsync(typeof(T), cancellationToken: cancellationToken);
                operation.RequestBody!.Content![contentType] = new OpenApiMediaType { Schema = schema };
                ApiOperations.Complete(operation, RouteOf(context)); // again: the transformers of routes come after those of the document
            }
        );

    /// <summary>Documents the errors that a route answers, in its dialect.</summary>
    public static RouteHandlerBuilder WithErrors<T>(this RouteHandlerBuilder route, params IEnumerable<int> statuses)
    {
        foreach (var status in statuses)
        {
            route.Produces<T>(status);
        }

        return route;
    }

    /// <summary>Adds what a type alone does not express: allowed values, bytes in base64, the shapes of a voice.</summary>
    private static string RouteOf(OpenApiOperationTransformerContext context) =>
        $"{context.Description.HttpMethod} /{context.Description.RelativePath?.Trim('/').Replace("{*", "{", StringComparison.Ordinal)}";

    private static void Complete(OpenApiSchema schema, OpenApiSchemaTransformerContext context)
    {
        schema.Discriminator = null; // events are distinguished by their fields
        if (context.JsonTypeInfo.Type == typeof(VoiceChoice))
        {
            schema.OneOf = [new OpenApiSchema { Type = JsonSchemaType.String }, ObjectWith("id"), ObjectWith("audio")];
        }

        if (context.JsonTypeInfo.Type == typeof(ReadOnlyMemory<byte>))
        {
            schema.Type = JsonSchemaType.String;
            schema.Format = "byte";
        }

        if (context.JsonPropertyInfo is not { } property)
        {
            return;
        }

        if (
            property.AttributeProvider?.GetCustomAttributes(typeof(AllowedValuesAttribute), inherit: false)
            is [AllowedValuesAttribute allowed, ..]
        )
        {
            schema.Enum = [.. allowed.Values.OfType<string>().Select(value => (JsonNode)JsonValue.Create(value))];
        }
    }

    private static OpenApiSchema ObjectWith(string property) =>
        new()
        {
            Type = JsonSchemaType.Object,
            Properties = new Dictionary<string, IOpenApiSchema> { [property] = new OpenApiSchema { Type = JsonSchemaType.String } },
            Required = new HashSet<string> { property },
            AdditionalPropertiesAllowed = false,
        };
}
