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
        Text to speech, four ways: `/speak` for its older clients, OpenAI's `/v1/audio/speech`, a WebSocket for text that is still being written, and plain files.

        Every answer carries `X-Chatterbox-Model` (the model that speaks, and whether it is only a stand-in) and `X-Request-Id`, by which the log
        knows the request. Speech carries `X-Chatterbox-Queue-Position`, `X-Chatterbox-Expected-Wait` (seconds, once known) and
        `X-Chatterbox-Repairs`: what was done to speech that went wrong; and, where a text has characters that the model does not know and speaks as
        noise, `X-Chatterbox-Unknown-Characters` (as U+16A0). A stream's headers tell of what was made when they left (of
        OpenAI's route the first chunk, of `/speak` nothing); the log tells all.

        A full queue, or more requests than one client may make, answers 429; a service that starts or stops, and a model that cannot be loaded, answer 503,
        both with `Retry-After`. A model that is not in memory is loaded for the request that names it, which waits for it.
        Where keys are set, requests carry one as `Authorization: Bearer KEY`.
        """;

    /// <summary>Registers the document.</summary>
    public static void AddApiDocument(this WebApplicationBuilder builder) => builder.Services.AddOpenApi("v1", document =>
    {
        document.AddDocumentTransformer((api, _, _) =>
        {
            api.Info = new OpenApiInfo { Title = "Chatterbox.Net", Version = "1", Description = Description };
            api.Servers = [];
            api.Components ??= new OpenApiComponents();
            api.Components.SecuritySchemes = new Dictionary<string, IOpenApiSecurityScheme>
            {
                ["key"] = new OpenApiSecurityScheme { Type = SecuritySchemeType.Http, Scheme = "bearer", Description = "Only where the service asks for keys." },
            };
            api.Security = [new OpenApiSecurityRequirement(), new OpenApiSecurityRequirement { [new OpenApiSecuritySchemeReference("key", api)] = [] }];
            return Task.CompletedTask;
        });
        document.AddSchemaTransformer((schema, context, _) =>
        {
            Complete(schema, context);
            return Task.CompletedTask;
        });
    });

    /// <summary>Adds the routes.</summary>
    public static void MapApiDocument(this WebApplication app)
    {
        app.MapOpenApi("/openapi/{documentName}.json");
        app.MapScalarApiReference("/scalar", page => page.WithTitle("Chatterbox.Net").DisableDefaultFonts().DisableTelemetry());
    }

    /// <summary>Says which types of content, of which shape, a route answers beside its first.</summary>
    public static RouteHandlerBuilder AlsoAnswers<T>(this RouteHandlerBuilder route, params IEnumerable<string> contentTypes) =>
        route.AddOpenApiOperationTransformer(async (operation, context, cancel) =>
        {
            var schema = typeof(T) == typeof(byte[])
                ? new OpenApiSchema { Type = JsonSchemaType.String, Format = "binary" }
                : await context.GetOrCreateSchemaAsync(typeof(T), cancellationToken: cancel);
            foreach (var type in contentTypes)
            {
                operation.Responses!["200"].Content![type] = new OpenApiMediaType { Schema = schema };
            }
        });

    /// <summary>Says which form a route takes.</summary>
    public static RouteHandlerBuilder TakesForm(this RouteHandlerBuilder route, IReadOnlyList<FormField> fields) =>
        route.AddOpenApiOperationTransformer((operation, _, _) =>
        {
            var schema = new OpenApiSchema
            {
                Type = JsonSchemaType.Object,
                Properties = fields.ToDictionary(f => f.Name, f => (IOpenApiSchema)new OpenApiSchema
                {
                    Type = JsonSchemaType.String,
                    Format = f.IsFile ? "binary" : null,
                    Description = f.Description,
                }),
                Required = fields.Where(f => f.IsRequired).Select(f => f.Name).ToHashSet(),
            };
            operation.RequestBody = new OpenApiRequestBody
            {
                Required = true,
                Content = new Dictionary<string, OpenApiMediaType> { ["multipart/form-data"] = new() { Schema = schema } },
            };
            return Task.CompletedTask;
        });

    /// <summary>Says which errors a route answers, in its dialect.</summary>
    public static RouteHandlerBuilder WithErrors<T>(this RouteHandlerBuilder route, params IEnumerable<int> statuses)
    {
        foreach (var status in statuses)
        {
            route.Produces<T>(status);
        }

        return route;
    }

    /// <summary>Adds what a type alone does not tell: values that are allowed, bytes in base64, the two shapes of a voice.</summary>
    private static void Complete(OpenApiSchema schema, OpenApiSchemaTransformerContext context)
    {
        schema.Discriminator = null; // events are told apart by their fields
        if (context.JsonTypeInfo.Type == typeof(ReadOnlyMemory<byte>))
        {
            schema.Type = JsonSchemaType.String;
            schema.Format = "byte";
        }

        if (context.JsonPropertyInfo is not { } property)
        {
            return;
        }

        if (property.CustomConverter is VoiceNameConverter)
        {
            schema.OneOf =
            [
                new OpenApiSchema { Type = JsonSchemaType.String },
                new OpenApiSchema
                {
                    Type = JsonSchemaType.Object,
                    Properties = new Dictionary<string, IOpenApiSchema> { ["id"] = new OpenApiSchema { Type = JsonSchemaType.String } },
                    Required = new HashSet<string> { "id" },
                    AdditionalPropertiesAllowed = false,
                },
            ];
        }

        if (property.AttributeProvider?.GetCustomAttributes(typeof(AllowedValuesAttribute), inherit: false) is [AllowedValuesAttribute allowed, ..])
        {
            schema.Enum = [.. allowed.Values.OfType<string>().Select(value => (JsonNode)JsonValue.Create(value))];
        }
    }
}
