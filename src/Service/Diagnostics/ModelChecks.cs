using System.Diagnostics;
using System.Globalization;
using Chatterbox.Models;
using Chatterbox.Service.Models;

namespace Chatterbox.Service.Diagnostics;

/// <summary>Checks a model: finds it, loads it, reports how its stages are computed, and has it speak.</summary>
/// <param name="name">As the setting <c>Model</c> names it.</param>
/// <param name="device">cpu, cuda, cuda:N, or null for the best there is.</param>
/// <param name="logging">The log of what is written.</param>
internal sealed class ModelChecks(string name, string? device, ILoggerFactory logging)
{
    private const string Topic = "model";
    private const int SampleTokens = SpeechResult.TokensPerSecond;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    /// <summary>Runs the checks. Nothing is downloaded.</summary>
    /// <param name="cancellationToken">Gives up.</param>
    public async Task<IReadOnlyList<Finding>> RunAsync(CancellationToken cancellationToken)
    {
        var hubOptions = ModelHubOptions.FromEnvironment();
        using var hub = new ModelHub(hubOptions);
        var locator = new ModelLocator(hub, ModelLocator.DefaultCacheFolder, logging.CreateLogger<ModelLocator>())
        {
            Preferred = ModelLocator.PreferredOn(device ?? ModelOptions.BestDevice()),
        };
        var canDownload = await hub.CanReachAsync(Patience, cancellationToken);
        var hosts = $"{hubOptions.Endpoint.Host} and {hubOptions.PackageIndex.Host}";
        Finding network = canDownload
            ? new(Topic, "network", Verdict.Ok, $"{hosts} answer")
            : new(
                Topic,
                "network",
                Verdict.Note,
                hubOptions.Offline ? "offline, as HF_HUB_OFFLINE asks" : $"{hosts} do not both answer",
                "Models that are in the cache are used all the same. For others connect to the internet, or set HF_ENDPOINT to a mirror."
            );
        var isSmall = name.StartsWith(ModelLocator.Tiny, StringComparison.Ordinal);
        try
        {
            var located = locator.FindLocal(name) ?? (isSmall ? await locator.LocateAsync(name, progress: null, cancellationToken) : null);
            return located is null ? [network, Missing(canDownload)] : [network, .. Speak(located)];
        }
        catch (Exception e) when (e is ChatterboxException or IOException or UnauthorizedAccessException)
        {
            const string remedy = "Do as the message says; 'convert-weights verify' checks the files of a folder.";
            return [network, new(Topic, name, Verdict.Fault, e.Message, remedy)];
        }
    }

    /// <summary>A model that the first start would have to get.</summary>
    private Finding Missing(bool canDownload) =>
        !ModelLocator.Names.Contains(name)
            ? new(
                Topic,
                name,
                Verdict.Fault,
                "there is no folder of this name, and no model",
                $"Give the path of a folder with a checkpoint, or one of {string.Join(", ", ModelLocator.Names)}."
            )
        : name.StartsWith(ModelLocator.Synthetic, StringComparison.Ordinal)
            ? new(Topic, name, Verdict.Note, "is written at the first start")
        : canDownload
            ? new(
                Topic,
                name,
                Verdict.Note,
                "is not in the cache; the first start downloads it",
                "Run doctor again after the first start: it then checks how the model runs."
            )
        : new(
            Topic,
            name,
            Verdict.Fault,
            "is neither in the cache nor can it be downloaded",
            "Connect to the internet for the first start, copy another machine's cache (HF_HOME), or give the folder of a downloaded model."
        );

    private IEnumerable<Finding> Speak(LocatedModel located)
    {
        var started = Stopwatch.GetTimestamp();
        using var model = ChatterboxModel.Load(located.Folder, ModelLoader.OptionsOf(located, device, new SharedParts()));
        yield return new(Topic, name, Verdict.Ok, $"{located.Folder}, loaded in {Seconds(started)} on {model.Device}");
        foreach (var finding in SelfCheckOf(model.SelfCheck))
        {
            yield return finding;
        }

        var slow = model.Runtime.Slow.ToHashSet();
        foreach (var stage in model.Runtime.Stages)
        {
            var value = stage.Reason is null ? stage.Description : $"{stage.Description}, because {stage.Reason}";
            yield return slow.Contains(stage)
                ? new(
                    Topic,
                    stage.Stage,
                    Verdict.Warning,
                    value,
                    "This stage takes many times as long as on its fast path. The findings about the GPU say what is missing."
                )
                : new(Topic, stage.Stage, Verdict.Ok, value);
        }

        if (model.BuiltInVoice is not { } voice)
        {
            yield return new(Topic, "speech", Verdict.Note, "was not tried: the model has no voice of its own");
            yield break;
        }

        started = Stopwatch.GetTimestamp();
        var speech = model.Synthesize("One moment.", voice, new SamplingOptions { Seed = 1, MaxSpeechTokens = SampleTokens });
        var length = speech.Duration.TotalSeconds.ToString("0.0", CultureInfo.InvariantCulture);
        yield return speech.Recovered is []
            ? new(Topic, "speech", Verdict.Ok, $"{length} s of audio in {Seconds(started)}")
            : new(
                Topic,
                "speech",
                Verdict.Warning,
                $"the output of {string.Join(", ", speech.Recovered)} was not finite; plain operations gave audio",
                "The fast path computes wrongly on this machine: update the GPU's driver, and report this with doctor --json."
            );
    }

    private static IEnumerable<Finding> SelfCheckOf(SelfCheck check)
    {
        var took = check.Duration.TotalMilliseconds.ToString("0", CultureInfo.InvariantCulture);
        return check.Replaced.Any()
            ? check.Replaced.Select(operation => new Finding(
                Topic,
                "self-check",
                Verdict.Warning,
                operation.ToString(),
                "Speech is right all the same, but may be slower. Report it with doctor --json, so that it can be avoided on such machines."
            ))
            :
            [
                check.Operations is []
                    ? new(Topic, "self-check", Verdict.Note, "is turned off")
                    : new(Topic, "self-check", Verdict.Ok, $"{check.Operations.Count} operations are right ({took} ms)"),
            ];
    }

    private static string Seconds(long started) =>
        string.Create(CultureInfo.InvariantCulture, $"{Stopwatch.GetElapsedTime(started).TotalSeconds:0.0} s");
}
