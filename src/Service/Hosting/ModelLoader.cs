using System.Text.Json;
using Chatterbox.Engine;
using Chatterbox.Models;

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
    /// <summary>Finds the model that a setting names, downloading or writing it if need be.</summary>
    /// <param name="model">One of <see cref="ModelLocator.Names"/>, or a folder.</param>
    /// <param name="device">cpu, cuda, cuda:N, or null for the best there is.</param>
    /// <param name="logger">Told what happens.</param>
    /// <param name="progress">Told the part of a download that is done.</param>
    /// <param name="cancel">Gives up a download; what is there is kept for the next time.</param>
    /// <exception cref="ChatterboxException">The model cannot be had.</exception>
    public static async Task<LoadedModel> FindAsync(
        string model, string? device, ILoggerFactory logger, IProgress<double>? progress = null, CancellationToken cancel = default)
    {
        using var hub = new ModelHub(ModelHubOptions.FromEnvironment());
        var located = await new ModelLocator(hub, ModelLocator.DefaultCacheFolder, logger.CreateLogger<ModelLocator>()).LocateAsync(model, progress, cancel);
        var options = new ModelOptions { Device = device ?? ModelOptions.BestDevice(), Variant = located.Variant, WatermarkFile = located.WatermarkFile };
        var description = ChatterboxModel.Describe(located.Folder, located.Variant);
        return new LoadedModel(located.Name, options.Device.Split(':')[0], located.IsStandIn, () => ChatterboxModel.Load(located.Folder, options))
        {
            Languages = description.Languages.Count > 1 ? description.Languages : [],
            Lacks = [.. description.LacksSettings.Select(JsonNamingPolicy.SnakeCaseLower.ConvertName)],
        };
    }
}
