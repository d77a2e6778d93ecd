using Chatterbox.Engine;

namespace Chatterbox.Service.Hosting;

/// <summary>How the service is.</summary>
/// <param name="Status">healthy; or degraded while the model loads, if it could not be loaded, or if it is a stand-in.</param>
/// <param name="Model">Name of the model.</param>
/// <param name="Device">Where it runs: cuda or cpu.</param>
/// <param name="ModelLoaded">Whether it speaks.</param>
/// <param name="StreamingEnabled">Always true.</param>
internal sealed record HealthReport(string Status, string Model, string Device, bool ModelLoaded, bool StreamingEnabled);

/// <summary>Whether the service is alive, and whether it speaks.</summary>
internal static class Health
{
    /// <summary>Adds the routes.</summary>
    public static void MapHealth(this WebApplication app)
    {
        app.MapGet("/health", Report).WithSummary("State of the service and its model").WithMetadata(new OpenToAll());
        app.MapGet("/health/live", () => TypedResults.Text("alive")).WithSummary("Answers while the process runs").WithMetadata(new OpenToAll());
        app.MapGet("/health/ready", Ready)
            .WithSummary("200 once the model speaks, 503 before, after, and if it could not be loaded")
            .WithMetadata(new OpenToAll())
            .Produces<string>(200, "text/plain")
            .ProducesProblem(503);
    }

    /// <summary>Names the model in a header of every answer, and says if it is only the stand-in.</summary>
    public static void UseModelHeader(this WebApplication app)
    {
        var model = app.Services.GetRequiredService<LoadedModel>();
        var value = model.StandIn ? $"{model.Name}; stand-in" : model.Name;
        app.Use((http, next) =>
        {
            http.Response.OnStarting(() =>
            {
                http.Response.Headers["X-Chatterbox-Model"] = value;
                http.Response.Headers["X-Request-Id"] = http.TraceIdentifier;
                http.Response.Headers.XContentTypeOptions = "nosniff";
                return Task.CompletedTask;
            });
            return next(http);
        });
    }

    private static HealthReport Report(ISpeechEngine engine, LoadedModel model)
    {
        var loaded = engine.Ready.IsCompletedSuccessfully;
        var healthy = engine.Status.State == EngineState.Ready && !model.StandIn;
        return new HealthReport(healthy ? "healthy" : "degraded", model.Name, model.Device, loaded, StreamingEnabled: true);
    }

    private static IResult Ready(ISpeechEngine engine)
    {
        var state = engine.Status.State;
        return state == EngineState.Ready
            ? TypedResults.Text("ready")
            : throw new RefusedException(new Refusal(503, $"The engine is {state.ToString().ToLowerInvariant()}.", Code: "not_ready"));
    }
}
