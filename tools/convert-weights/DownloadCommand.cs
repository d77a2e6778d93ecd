using System.CommandLine;
using Chatterbox;
using Chatterbox.Models;
using Spectre.Console;

namespace ConvertWeights;

/// <summary><c>download</c>: brings published models into the hub's cache.</summary>
internal static class DownloadCommand
{
    private const string Perth = "perth";

    private static readonly Dictionary<string, HubModel> Models = new()
    {
        ["english"] = HubModel.English,
        ["multilingual"] = HubModel.MultilingualV2,
        ["multilingual-v3"] = HubModel.MultilingualV3,
        ["turbo"] = HubModel.Turbo,
        ["nano"] = HubModel.Nano,
        ["flash"] = HubModel.Flash,
    };

    private static readonly Argument<string> Model = new("model")
    {
        Description =
            $"{string.Join(", ", Models.Keys)}; {Perth} for the watermark alone; or a repository on the hub, such as a language pack, as "
            + $"OWNER/NAME with --file.",
    };

    private static readonly Option<string?> Revision = new("--revision")
    {
        Description = "A commit, branch or tag. Default: the commit whose sizes and hashes are built in.",
    };
    private static readonly Option<string[]> Files = new("--file")
    {
        Description = "A file of the repository; may be given several times.",
        AllowMultipleArgumentsPerToken = true,
    };
    private static readonly Option<bool> NoWatermark = new("--no-watermark")
    {
        Description = "Skips PerTh's weights, which are published elsewhere and which every model needs.",
    };

    /// <summary>True for the name of a model that is published.</summary>
    public static bool Knows(string model) => Models.ContainsKey(model);

    public static Command Create()
    {
        var command = new CommandWithExamples(
            "download",
            """
            Downloads a published model into the hub's own cache: what is there already, from Python too, is used.

            Parts come in parallel and go on where they were cut off; sizes and hashes are checked before a file is used, and
            the room on the disk before the first byte. Environment: HF_HOME (where to), HF_ENDPOINT (a mirror), HF_TOKEN
            (gated repositories), HF_HUB_OFFLINE, CHATTERBOX_PYPI (a mirror for PerTh's weights).
            """
        )
        {
            Examples =
            [
                ("The English model and the watermark", "download english"),
                (
                    "A language pack, to be completed with convert --base",
                    "download ResembleAI/NAME --file t3_pt_br.safetensors s3gen_v3.safetensors grapheme_mtl_merged_expanded_v1.json"
                ),
                ("The folder of a model, for a script", "download turbo --json"),
            ],
        };
        command.Add(Model);
        command.Add(Revision);
        command.Add(Files);
        command.Add(NoWatermark);
        command.SetAction(RunAsync);
        return command;
    }

    private static async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        var shell = new Shell(parsed);
        var name = parsed.GetRequiredValue(Model);
        var model = name == Perth ? null : Find(name, parsed.GetValue(Revision), parsed.GetValue(Files) ?? []);
        using var hub = new ModelHub(ModelHubOptions.FromEnvironment());
        var withWatermark = name == Perth || (Models.ContainsKey(name) && !parsed.GetValue(NoWatermark));
        var watermark = withWatermark // first: it is small, and so tells soon whether there is a network
            ? await shell.ProgressAsync(Perth, progress => hub.DownloadPerthAsync(new Fractions(progress), cancellationToken))
            : null;
        var folder = model is null
            ? null
            : await shell.ProgressAsync(name, progress => hub.DownloadAsync(model, new Fractions(progress), cancellationToken));
        var files = model is null ? [watermark!] : model.Files.Select(file => Path.Combine(folder!, file.Path)).ToList();
        shell.Answer(
            new
            {
                Model = name,
                model?.Repository,
                model?.Revision,
                Folder = folder,
                Watermark = watermark,
                Files = files,
            },
            console =>
            {
                if (folder is not null)
                {
                    console.WriteLine($"{name}: {folder}");
                }

                if (watermark is not null)
                {
                    console.WriteLine($"{Perth}: {watermark}");
                }
            }
        );
        return ExitCodes.Done;
    }

    private static HubModel Find(string name, string? revision, string[] files)
    {
        if (Models.TryGetValue(name, out var model))
        {
            return files.Length > 0
                    ? throw new RequestException(
                        $"--file is for repositories named OWNER/NAME; the files of {name} are built in. Leave --file out."
                    )
                : revision is null ? model
                : model.At(revision);
        }

        if (!name.Contains('/', StringComparison.Ordinal))
        {
            throw new RequestException(
                $"'{name}' is not a known model. Known are {string.Join(", ", Models.Keys)} and {Perth}. Name one, or a repository as "
                    + $"OWNER/NAME with --file."
            );
        }

        return files.Length == 0
            ? throw new RequestException(
                $"Which files of {name}? Name them with --file, as they are listed at "
                    + $"https://huggingface.co/{name}/tree/{revision ?? "main"}."
            )
            : new HubModel(name, revision ?? "main", [.. files.Select(file => new HubFile(file))]);
    }

    private sealed class Fractions(IProgress<double> progress) : IProgress<DownloadProgress>
    {
        public void Report(DownloadProgress value) => progress.Report(value.Fraction);
    }
}
