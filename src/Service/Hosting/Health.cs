using Chatterbox.Engine;
using Chatterbox.Service.Models;

namespace Chatterbox.Service.Hosting;

/// <summary>State of the service.</summary>
/// <param name="Status">healthy; or degraded while the service starts or stops, if the default model could not be loaded, or if it is a
/// stand-in.</param>
/// <param name="Model">Name of the default model.</param>
/// <param name="Device">Where it runs: cuda or cpu.</param>
/// <param name="ModelLoaded">Whether it is in memory; if not, it is loaded for the next request.</param>
/// <param name="StreamingEnabled">Always true.</param>
/// <param name="Runtime">How each stage of the default model is computed; empty until it was loaded once.</param>
/// <param name="SelfCheck">Operations that gave wrong numbers as the default model was loaded, and what is used instead; usually
/// none.</param>
internal sealed record HealthReport(
    string Status,
    string Model,
    string Device,
    bool ModelLoaded,
    bool StreamingEnabled,
    IReadOnlyList<StageHealth> Runtime,
    IReadOnlyList<string> SelfCheck
);

/// <summary>How one stage of a model is computed.</summary>
/// <param name="Stage">Its name.</param>
/// <param name="Path">How: plain operations, CUDA graph, fused kernels, CUDA graph of fused kernels, or one kernel a step.</param>
/// <param name="Reason">Why it does not take the fastest; null where it does.</param>
internal sealed record StageHealth(string Stage, string Path, string? Reason)
{
    /// <summary>The stages of a model.</summary>
    public static IReadOnlyList<StageHealth> Of(RuntimeReport report) =>
        [.. report.Stages.Select(stage => new StageHealth(stage.Stage, stage.Description, stage.Reason))];
}

/// <summary>Whether the service runs, and whether it is ready.</summary>
internal static class Health
{
    /// <summary>Adds the routes.</summary>
    public static void MapHealth(this WebApplication app)
    {
        app.MapGet("/health", Report).WithSummary("State of the service and its default model").WithMetadata(new OpenToAll());
        app.MapGet("/health/live", () => TypedResults.Text("alive"))
            .WithSummary("Answers while the process runs")
            .WithMetadata(new OpenToAll());
        app.MapGet("/health/ready", Ready)
            .WithSummary("200 once the default model is loaded; 503 before, while the service stops, and if the model cannot be loaded")
            .WithMetadata(new OpenToAll())
            .Produces<string>(200, "text/plain")
            .ProducesProblem(503);
    }

    /// <summary>Names the model in a header of every answer, and whether it is the stand-in.</summary>
    public static void UseModelHeader(this WebApplication app)
    {
        var byDefault = app.Services.GetRequiredService<ModelFleet>().Default;
        app.Use(
            (http, next) =>
            {
                http.Response.OnStarting(() =>
                {
                    var model = http.Features.Get<FleetModel>() ?? byDefault;
                    http.Response.Headers["X-Chatterbox-Model"] = model.Served.StandIn ? $"{model.Name}; stand-in" : model.Name;
                    var replaced = model.SelfCheck.Replaced.Select(operation => $"{operation.Operation} in {operation.Type}").ToList();
                    if (replaced.Count > 0)
                    {
                        http.Response.Headers["X-Chatterbox-Self-Check"] = $"replaced: {string.Join(", ", replaced)}";
                    }

                    http.Response.Headers["X-Request-Id"] = http.TraceIdentifier;
                    http.Response.Headers.XContentTypeOptions = "nosniff";
                    return Task.CompletedTask;
                });
                return next(http);
            }
        );
    }

    private static HealthReport Report(ModelFleet fleet)
    {
        var model = fleet.Default;
        var healthy = fleet.State == EngineState.Ready && !model.Served.StandIn;
        return new HealthReport(
            healthy ? "healthy" : "degraded",
            model.Name,
            model.Served.Device,
            model.State == ModelState.Ready,
            StreamingEnabled: true,
            StageHealth.Of(model.Runtime),
            [.. model.SelfCheck.Replaced.Select(operation => operation.ToString())]
        );
    }

    private static IResult Ready(ModelFleet fleet) =>
        fleet.State == EngineState.Ready
            ? TypedResults.Text("ready")
            : throw new RefusedException(
                new Refusal(503, $"The service is {fleet.State.ToString().ToLowerInvariant()}.", Code: "not_ready")
            );
}
