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
        ?? (options.Value.ModelAliases.TryGetValue(name, out var target) ? fleet.Find(target) : null)
        ?? throw OpenAiErrors.NoModel(fleet.All.Select(model => model.Name));

    /// <summary>What is told of a model.</summary>
    public ModelEntry Entry(FleetModel model) => new(
        model.Name, "model", Started, "resemble-ai", model.State.ToString().ToLowerInvariant(), model == fleet.Default, model.Served.Languages, model.Served.Lacks);
}
