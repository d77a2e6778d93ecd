using System.Text.Json;
using Chatterbox.Models;
using Chatterbox.Text.Languages;

namespace Chatterbox.Service.Models;

/// <summary>Finds what the settings name, so that it can be loaded.</summary>
internal static class ModelLoader
{
    /// <summary>Finds a model, downloading or writing it if need be.</summary>
    /// <param name="model">One of <see cref="ModelLocator.Names"/>, or a folder.</param>
    /// <param name="device">cpu, cuda, cuda:N, or null for the best there is.</param>
    /// <param name="parts">What it has in memory together with others.</param>
    /// <param name="logger">Told what happens.</param>
    /// <param name="progress">Told the part of a download that is done.</param>
    /// <param name="cancel">Gives up a download; what is there is kept for the next time.</param>
    /// <exception cref="ChatterboxException">The model cannot be had.</exception>
    public static async Task<ServedModel> FindAsync(
        string model, string? device, SharedParts parts, ILoggerFactory logger, IProgress<double>? progress = null, CancellationToken cancel = default)
    {
        using var hub = new ModelHub(ModelHubOptions.FromEnvironment());
        var located = await new ModelLocator(hub, ModelLocator.DefaultCacheFolder, logger.CreateLogger<ModelLocator>()).LocateAsync(model, progress, cancel);
        var options = new ModelOptions
        {
            Device = device ?? ModelOptions.BestDevice(),
            Variant = located.Variant,
            WatermarkFile = located.WatermarkFile,
            SharedParts = parts,
            JapaneseReader = MecabReader.Find(),
        };
        var description = ChatterboxModel.Describe(located.Folder, located.Variant);
        if (description.Languages.Contains("ja") && options.JapaneseReader is null)
        {
            logger.CreateLogger(typeof(ModelLoader)).LogInformation("Model {Model} speaks Japanese in kana only: MeCab, which reads kanji, is not installed (apt install mecab mecab-ipadic-utf8)", located.Name);
        }

        return new ServedModel(located.Name, options.Device.Split(':')[0], located.IsStandIn, () => Load(located.Folder, options))
        {
            Languages = description.Languages.Count > 1 ? description.Languages : [],
            Lacks = [.. description.LacksSettings.Select(JsonNamingPolicy.SnakeCaseLower.ConvertName)],
            Weights = ChatterboxModel.MeasureWeights(located.Folder, options),
        };
    }

    /// <summary>Loads a model and makes it ready, so that the first request is served as fast as the others.</summary>
    private static ChatterboxModel Load(string folder, ModelOptions options)
    {
        var model = ChatterboxModel.Load(folder, options);
        try
        {
            model.WarmUp();
            return model;
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }
}
