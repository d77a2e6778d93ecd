using Chatterbox.Engine;

namespace Chatterbox.Service.Hosting;

/// <summary>A model that the service speaks with.</summary>
/// <param name="Name">Its name on the routes.</param>
/// <param name="Device">Where it runs: cuda or cpu.</param>
/// <param name="StandIn">True for the tiny model that only makes sound, so that all of the service can be tried without weights.</param>
/// <param name="Load">Loads it; called on the thread that will own it.</param>
internal sealed record LoadedModel(string Name, string Device, bool StandIn, Func<ISpeechModel> Load)
{
    /// <summary>Codes of the languages it speaks by choice; empty if it speaks one, and takes no language.</summary>
    public IReadOnlyList<string> Languages { get; init; } = [];

    /// <summary>Parameters of requests, by their names there, that it does not have.</summary>
    public IReadOnlyList<string> Lacks { get; init; } = [];
}

/// <summary>Decides from the settings what is loaded.</summary>
internal static class ModelLoader
{
    /// <summary>Finds the model that <c>Model</c> names.</summary>
    public static LoadedModel Find(IConfiguration configuration)
    {
        var name = configuration["Model"] ?? "auto";
        return new LoadedModel(name, "cpu", StandIn: false, () => throw new CheckpointException($"There is no model '{name}'."));
    }
}
