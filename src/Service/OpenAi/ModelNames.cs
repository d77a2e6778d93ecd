using System.Diagnostics;
using Chatterbox.Service.Models;
using Microsoft.Extensions.Options;

namespace Chatterbox.Service.OpenAi;

/// <summary>Names of models as OpenAI's routes know them: their own, and the aliases.</summary>
internal sealed class ModelNames(ModelFleet fleet, IOptions<OpenAiOptions> options)
{
    private static readonly long Started = new DateTimeOffset(Process.GetCurrentProcess().StartTime).ToUnixTimeSeconds();

    /// <summary>Every model.</summary>
    public ModelList List() => new("list", [.. fleet.All.Select(Entry)]);

    /// <summary>The model of a name.</summary>
    public FleetModel Find(string name) =>
        fleet.Find(name)
        ?? (
            OpenAiOptions.Target(options.Value.ModelAliases, name) is not { } target ? null
            : target == OpenAiOptions.Default ? fleet.Default
            : fleet.Find(target)
        )
        ?? throw OpenAiErrors.NoModel(fleet.All.Select(model => model.Name));

    /// <summary>The description of a model.</summary>
    public ModelEntry Entry(FleetModel model) =>
        new(
            model.Name,
            "model",
            Started,
            "resemble-ai",
            model.State.ToString().ToLowerInvariant(),
            model == fleet.Default,
            model.Served.Languages,
            model.Served.Lacks
        );
}
