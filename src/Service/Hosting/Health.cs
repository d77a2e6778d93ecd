using Chatterbox.Engine;
using Chatterbox.Service.Models;

namespace Chatterbox.Service.Hosting;

/// <summary>How the service is.</summary>
/// <param name="Status">healthy; or degraded while the service starts or stops, if the default model could not be loaded, or if it is a stand-in.</param>
/// <param name="Model">Name of the default model.</param>
/// <param name="Device">Where it runs: cuda or cpu.</param>
/// <param name="ModelLoaded">Whether it is in memory; if not, it is loaded for the next who asks.</param>
/// <param name="StreamingEnabled">Always true.</param>
internal sealed record HealthReport(string Status, string Model, string Device, bool ModelLoaded, bool StreamingEnabled);

/// <summary>Whether the service is alive, and whether it speaks.</summary>
internal static class Health
{
    /// <summary>Adds the routes.</summary>
    public static void MapHealth(this WebApplication app)
    {
        app.MapGet("/health", Report).WithSummary("State of the service and its default model").WithMetadata(new OpenToAll());
        app.MapGet("/health/live", () => TypedResults.Text("alive")).WithSummary("Answers while the process runs").WithMetadata(new OpenToAll());
        app.MapGet("/health/ready", Ready)
            .WithSummary("200 once the default model was loaded, 503 before, while the service stops, and if it cannot be loaded")
            .WithMetadata(new OpenToAll())
            .Produces<string>(200, "text/plain")
            .ProducesProblem(503);
    }

    /// <summary>Names the model that speaks, or would, in a header of every answer, and says if it is only the stand-in.</summary>
    public static void UseModelHeader(this WebApplication app)
    {
        var byDefault = app.Services.GetRequiredService<ModelFleet>().Default;
        app.Use((http, next) =>
        {
            http.Response.OnStarting(() =>
            {
                var model = http.Features.Get<FleetModel>() ?? byDefault;
                http.Response.Headers["X-Chatterbox-Model"] = model.Served.StandIn ? $"{model.Name}; stand-in" : model.Name;
                http.Response.Headers["X-Request-Id"] = http.TraceIdentifier;
                http.Response.Headers.XContentTypeOptions = "nosniff";
                return Task.CompletedTask;
            });
            return next(http);
        });
    }

    private static HealthReport Report(ModelFleet fleet)
    {
        var model = fleet.Default;
        var healthy = fleet.State == EngineState.Ready && !model.Served.StandIn;
        return new HealthReport(healthy ? "healthy" : "degraded", model.Name, model.Served.Device, model.State == ModelState.Ready, StreamingEnabled: true);
    }

    private static IResult Ready(ModelFleet fleet) => fleet.State == EngineState.Ready
        ? TypedResults.Text("ready")
        : throw new RefusedException(new Refusal(503, $"The service is {fleet.State.ToString().ToLowerInvariant()}.", Code: "not_ready"));
}
