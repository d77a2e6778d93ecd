using Microsoft.Extensions.Logging;

namespace Chatterbox.Models;

/// <summary>A model that is on this machine, ready to be loaded.</summary>
/// <param name="Name">Its name for users: english, turbo, tiny, or a folder's name.</param>
/// <param name="Folder">Its files.</param>
/// <param name="WatermarkFile">The watermark's weights, where they are not in the folder.</param>
/// <param name="IsStandIn">True if <c>auto</c> found no real model: this one speaks noise.</param>
public sealed record LocatedModel(string Name, string Folder, string? WatermarkFile = null, bool IsStandIn = false)
{
    /// <summary>Which variant to load of the folder, where it may hold several; see <see cref="ModelOptions.Variant"/>.</summary>
    public string? Variant { get; init; }
}

/// <summary>Finds the model of a name: downloads it, writes it, or uses its folder.</summary>
/// <param name="hub">Where published models come from.</param>
/// <param name="cacheFolder">Where synthetic models are kept; see <see cref="DefaultCacheFolder"/>.</param>
/// <param name="logger">Logs what is downloaded or written, and warns of a stand-in.</param>
public sealed class ModelLocator(ModelHub hub, string cacheFolder, ILogger<ModelLocator> logger)
{
    /// <summary>The published model that is <see cref="Preferred"/> if it is available, else <see cref="Tiny"/>.</summary>
    public const string Auto = "auto";

    /// <summary>The published English model.</summary>
    public const string English = "english";

    /// <summary>The published Nano model, the fastest.</summary>
    public const string Nano = "nano";

    /// <summary>A synthetic model of English's full size; followed by a hyphen and a name, of another model's.</summary>
    public const string Synthetic = "synthetic";

    /// <summary>A synthetic model of a hundredth of that size.</summary>
    public const string Tiny = "tiny";

    private static readonly TimeSpan NetworkPatience = TimeSpan.FromSeconds(5);

    private static readonly IReadOnlyDictionary<string, HubModel> Published = new Dictionary<string, HubModel>
    {
        [English] = HubModel.English,
        ["multilingual"] = HubModel.MultilingualV2,
        ["multilingual-v3"] = HubModel.MultilingualV3,
        ["turbo"] = HubModel.Turbo,
        [Nano] = HubModel.Nano,
        ["flash"] = HubModel.Flash,
    };

    /// <summary>Synthetic models by the name that they have here.</summary>
    private static readonly IReadOnlyDictionary<string, string> Written = SyntheticCheckpoint.Models.ToDictionary(model =>
        model == English ? Synthetic
        : model.StartsWith(Tiny, StringComparison.Ordinal) ? model
        : $"{Synthetic}-{model}"
    );

    /// <summary>The names that are not folders.</summary>
    public static IReadOnlyList<string> Names { get; } = [Auto, .. Published.Keys, .. Written.Keys];

    /// <summary>Folder <c>chatterbox-net</c> in the user's cache: XDG_CACHE_HOME, or .cache in the home folder.</summary>
    public static string DefaultCacheFolder =>
        Path.Combine(
            Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } cache
                ? cache
                : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache"),
            "chatterbox-net"
        );

    /// <summary>The published model that <see cref="Auto"/> stands for.</summary>
    public string Preferred { get; init; } = English;

    /// <summary>The published model that suits a device: English for a GPU, and for a CPU Nano, which is the fastest.</summary>
    /// <param name="device">cpu, cuda or cuda:N.</param>
    public static string PreferredOn(string device) => device == "cpu" ? Nano : English;

    /// <summary>Finds a model. One that is named is never replaced by another.</summary>
    /// <param name="model">One of <see cref="Names"/>, or a folder with a checkpoint.</param>
    /// <param name="progress">Receives the completed part of a download or of writing, 0 to 1.</param>
    /// <param name="cancellationToken">Cancels; the completed part of a download is kept for the next time.</param>
    /// <exception cref="UnavailableException">The published model is not in the cache and cannot be downloaded now.</exception>
    /// <exception cref="CheckpointException">There is no such folder, or a download does not have the known hash.</exception>
    public async Task<LocatedModel> LocateAsync(
        string model,
        IProgress<double>? progress = null,
        CancellationToken cancellationToken = default
    )
    {
        if (model == Auto)
        {
            var canHave =
                FindPublished(Preferred) is not null || await hub.CanReachAsync(NetworkPatience, cancellationToken).ConfigureAwait(false);
            if (canHave || FindPublished(English) is not null)
            {
                var name = canHave ? Preferred : English;
                logger.LogInformation(
                    "No model is named: {Model} is used, {Reason}",
                    name,
                    name == Preferred ? "which suits the device" : "which is in the cache"
                );
                return await DownloadAsync(name, progress, cancellationToken).ConfigureAwait(false);
            }

            logger.LogWarning(
                "THIS IS NOT THE REAL MODEL. The published model is not in the cache and cannot be downloaded without a network. The "
                    + "tiny synthetic model is used, which generates noise."
            );
            return await WriteAsync(Tiny, progress, cancellationToken).ConfigureAwait(false) with { IsStandIn = true };
        }

        if (Published.ContainsKey(model))
        {
            return await DownloadAsync(model, progress, cancellationToken).ConfigureAwait(false);
        }

        if (Written.ContainsKey(model))
        {
            return await WriteAsync(model, progress, cancellationToken).ConfigureAwait(false);
        }

        return Directory.Exists(model)
            ? new LocatedModel(NameOf(model), Path.GetFullPath(model))
            : throw new CheckpointException($"The model '{model}' is neither a folder nor one of {string.Join(", ", Names)}.");
    }

    /// <summary>Finds a model that is on this machine already: nothing is downloaded or written.</summary>
    /// <param name="model">One of <see cref="Names"/>, or a folder with a checkpoint.</param>
    /// <returns>The model, or null where it is not here.</returns>
    public LocatedModel? FindLocal(string model)
    {
        if (model == Auto)
        {
            return FindPublished(Preferred) ?? FindPublished(English);
        }

        if (Published.ContainsKey(model))
        {
            return FindPublished(model);
        }

        var isWritten = Written.ContainsKey(model);
        var folder = isWritten ? SyntheticFolder(model) : model;
        return Directory.Exists(folder) ? new LocatedModel(isWritten ? model : NameOf(folder), Path.GetFullPath(folder)) : null;
    }

    private LocatedModel? FindPublished(string name) =>
        hub.TryFindCached(Published[name], out var cached) && hub.TryFindPerth(out var watermark)
            ? new LocatedModel(name, cached, watermark) { Variant = name }
            : null;

    private async Task<LocatedModel> DownloadAsync(string name, IProgress<double>? progress, CancellationToken cancellationToken)
    {
        // small, so that a missing network is found early
        var watermark = await hub.DownloadPerthAsync(null, cancellationToken).ConfigureAwait(false);
        var folder = await hub.DownloadAsync(
                Published[name],
                progress is null ? null : new ImmediateProgress<DownloadProgress>(value => progress.Report(value.Fraction)),
                cancellationToken
            )
            .ConfigureAwait(false);
        return new LocatedModel(name, folder, watermark) { Variant = name };
    }

    private async Task<LocatedModel> WriteAsync(string name, IProgress<double>? progress, CancellationToken cancellationToken)
    {
        var model = Written[name];
        var folder = SyntheticFolder(name);
        if (!Directory.Exists(folder))
        {
            logger.LogInformation("Writing the synthetic model {Model} to {Folder}", model, folder);
            await Task.Run(() => WriteWhole(model, folder, progress, cancellationToken), cancellationToken).ConfigureAwait(false);
        }

        return new LocatedModel(name, folder);
    }

    private static string NameOf(string folder) => Path.GetFileName(Path.GetFullPath(folder).TrimEnd(Path.DirectorySeparatorChar));

    private string SyntheticFolder(string name) => Path.Combine(cacheFolder, $"synthetic-{Written[name]}-{SyntheticCheckpoint.Version}");

    /// <summary>Writes to a temporary folder and renames it at the end, so that a folder of this name is always complete.</summary>
    private static void WriteWhole(string model, string folder, IProgress<double>? progress, CancellationToken cancellationToken)
    {
        var unfinished = $"{folder}.{Guid.NewGuid():N}.tmp";
        try
        {
            SyntheticCheckpoint.Write(model, unfinished, progress, cancellationToken);
            Directory.Move(unfinished, folder);
        }
        catch (IOException) when (Directory.Exists(folder))
        {
            // Another process has written the same in the meantime.
        }
        finally
        {
            if (Directory.Exists(unfinished))
            {
                Directory.Delete(unfinished, recursive: true);
            }
        }
    }
}
