using System.Text.Json;
using Chatterbox.Models;
using Chatterbox.Text.Languages;

namespace Chatterbox.Service.Models;

/// <summary>Finds what the settings name, so that it can be loaded.</summary>
internal static class ModelLoader
{
    /// <summary>Finds a model, downloading or writing it if need be.</summary>
    /// <param name="model">One of <see cref="ModelLocator.Names"/>, or a folder.</param>
    /// <param name="device">cpu, cuda, cuda:N, or null for the best one available.</param>
    /// <param name="parts">What it has in memory together with others.</param>
    /// <param name="logger">Logs what happens.</param>
    /// <param name="progress">Receives the completed part of a download.</param>
    /// <param name="selfCheck">As <see cref="ModelOptions.SelfCheck"/>.</param>
    /// <param name="cancellationToken">Cancels a download; the completed part is kept for the next time.</param>
    /// <exception cref="ChatterboxException">The model is not available.</exception>
    public static async Task<ServedModel> FindAsync(
        string model,
        string? device,
        SharedParts parts,
        ILoggerFactory logger,
        IProgress<double>? progress = null,
        bool selfCheck = true,
        CancellationToken cancellationToken = default
    )
    {
        using var hub = new ModelHub(ModelHubOptions.FromEnvironment());
        device ??= ModelOptions.BestDevice();
        var locator = new ModelLocator(hub, ModelLocator.DefaultCacheFolder, logger.CreateLogger<ModelLocator>())
        {
            Preferred = ModelLocator.PreferredOn(device),
        };
        var located = await locator.LocateAsync(model, progress, cancellationToken);
        var options = OptionsOf(located, device, parts) with { SelfCheck = selfCheck };
        var description = ChatterboxModel.Describe(located.Folder, located.Variant);
        if (description.Languages.Contains("ja") && options.JapaneseReader is null)
        {
            logger
                .CreateLogger(typeof(ModelLoader))
                .LogInformation(
                    "Model {Model} reads Japanese in kana only, because MeCab, which reads kanji, is not installed: apt install mecab "
                        + "mecab-ipadic-utf8",
                    located.Name
                );
        }

        return new ServedModel(located.Name, options.Device!.Split(':')[0], located.IsStandIn, () => Load(located.Folder, options))
        {
            Languages = description.Languages.Count > 1 ? description.Languages : [],
            OnlyLanguage = description.Languages is [var only] ? only : null,
            SpellsOut = description.SpellsOut,
            Tags = description.Tags,
            Lacks = [.. description.LacksSettings.Select(JsonNamingPolicy.SnakeCaseLower.ConvertName)],
            Weights = ChatterboxModel.MeasureWeights(located.Folder, options),
        };
    }

    /// <summary>How the service loads a model.</summary>
    /// <param name="located">The model.</param>
    /// <param name="device">cpu, cuda, cuda:N, or null for the best there is.</param>
    /// <param name="parts">What it has in memory together with others.</param>
    public static ModelOptions OptionsOf(LocatedModel located, string? device, SharedParts parts) =>
        new()
        {
            Device = device ?? ModelOptions.BestDevice(),
            Variant = located.Variant,
            WatermarkFile = located.WatermarkFile,
            SharedParts = parts,
            JapaneseReader = MecabReader.Find(),
        };

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
