using System.CommandLine;
using Chatterbox;
using Chatterbox.Weights;
using Spectre.Console;

namespace ConvertWeights;

/// <summary><c>verify</c>: is a folder a complete, sound checkpoint, and of which model?</summary>
internal static class VerifyCommand
{
    private const int NamesShown = 5;

    private static readonly Argument<DirectoryInfo> Folder = new("folder") { Description = "Folder with the files of one model." };
    private static readonly Option<string?> Model = new("--model")
    {
        Description =
            "The model that it should be: english, multilingual, multilingual-v3, turbo, nano, flash, a language pack such as pt-br, or "
            + "the name in its config.json, such as tiny. Any other model is a fault.",
    };
    private static readonly Option<FileInfo?> Watermark = new("--watermark")
    {
        Description = "PerTh's weights, where they are not in the folder. Default: the folder of downloads.",
    };
    private static readonly Option<bool> NoValues = new("--no-values")
    {
        Description = "Skips the search for NaN and infinite weights: checks headers alone, in a second.",
    };

    public static Command Create()
    {
        var command = new CommandWithExamples(
            "verify",
            "Checks whether a folder is a complete and sound checkpoint, and of which model; reports all faults at once, each with its "
                + "remedy. Exit code 0: sound; 1: faulty."
        )
        {
            Examples =
            [
                ("A folder downloaded or converted", "verify models/english"),
                ("End a script unless it is Turbo", "verify models/turbo --model turbo --json"),
            ],
        };
        command.Add(Folder);
        command.Add(Model);
        command.Add(Watermark);
        command.Add(NoValues);
        command.SetAction(RunAsync);
        return command;
    }

    private static async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        var shell = new Shell(parsed);
        var folder = parsed.GetRequiredValue(Folder).FullName;
        var verdict = await shell.ProgressAsync(
            "verify",
            progress =>
                Check(
                    folder,
                    parsed.GetValue(Model),
                    parsed.GetValue(Watermark)?.FullName,
                    !parsed.GetValue(NoValues),
                    progress,
                    cancellationToken
                )
        );
        shell.Answer(
            verdict,
            console =>
            {
                foreach (var fault in verdict.Faults)
                {
                    console.WriteLine($"FAULT  {fault.Problem}");
                    if (fault.Remedy is { } remedy)
                    {
                        console.WriteLine($"       {remedy}");
                    }
                }

                foreach (var note in verdict.Notes)
                {
                    console.WriteLine($"note   {note}");
                }

                console.WriteLine(
                    verdict.Sound
                        ? $"{folder} is a sound checkpoint of the {verdict.Model} model: {verdict.Tensors} tensors, "
                            + $"{verdict.Bytes / 1e6:0} MB."
                        : $"{folder} has {verdict.Faults.Count} "
                            + $"fault{(verdict.Faults.Count == 1 ? "" : "s")}{(verdict.Model is null ? "" : $" as a checkpoint of the {verdict.Model} model")}."
                );
            }
        );
        return verdict.Sound ? ExitCodes.Done : ExitCodes.No;
    }

    private static Verdict Check(
        string folder,
        string? expected,
        string? watermark,
        bool values,
        IProgress<double> progress,
        CancellationToken cancellationToken
    )
    {
        var verdict = new Verdict(folder);
        CheckpointFolder checkpoint;
        try
        {
            checkpoint = CheckpointFolder.Open([folder]);
        }
        catch (CheckpointException e)
        {
            verdict.Add(folder, e.Message);
            return verdict;
        }

        var variant = checkpoint.Variant;
        verdict.Model = variant.Config.Name;
        if (expected is not null && expected != variant.Config.Name)
        {
            verdict.Add(
                folder,
                $"The folder holds the {variant.Config.Name} model, expected {expected}.",
                "Give the folder of that model."
            );
        }

        var parts = Enum.GetValues<Part>();
        foreach (var (i, part) in parts.Index())
        {
            var path = checkpoint.PathOf(part) ?? (part == Part.Watermark ? watermark ?? CheckpointFolder.DownloadedWatermark() : null);
            CheckPart(
                verdict,
                variant,
                part,
                path,
                values,
                new Share(progress, (double)i / parts.Length, 1.0 / parts.Length),
                cancellationToken
            );
        }

        CheckTokenizer(verdict, checkpoint);
        CheckVoice(verdict, checkpoint);
        return verdict;
    }

    private static void CheckPart(
        Verdict verdict,
        Variant variant,
        Part part,
        string? path,
        bool values,
        IProgress<double> progress,
        CancellationToken cancellationToken
    )
    {
        var names = string.Join(" or ", variant.Names[part]);
        if (path is null)
        {
            verdict.Add(
                variant.Names[part][0],
                $"{part} is missing: there is no {names}.",
                part == Part.Watermark
                    ? "Get PerTh's weights: convert-weights download perth. Or name them with --watermark."
                    : variant.Remedy
            );
            return;
        }

        try
        {
            using var source = TensorFile.Open(path);
            if (variant.FaultsOf(part, source, out _) is { } faults)
            {
                verdict.Add(path, faults, PartRemedy(part, source, variant));
            }

            verdict.Tensors += source.Tensors.Count;
            verdict.Bytes += new FileInfo(path).Length;
            if (values)
            {
                CheckValues(verdict, path, source, progress, cancellationToken);
            }
        }
        catch (CheckpointException e)
        {
            verdict.Add(path, e.Message);
        }
    }

    private static string PartRemedy(Part part, ITensorSource source, Variant variant) =>
        Variant.PartOf(source) is { } other && other != part
            ? $"It holds {other}: rename it to {string.Join(" or ", variant.Names[other])}."
            : $"Take the file from the {variant.Config.Name} model, in one version with the others.";

    private static void CheckValues(
        Verdict verdict,
        string path,
        ITensorSource source,
        IProgress<double> progress,
        CancellationToken cancellationToken
    )
    {
        var broken = new List<string>();
        foreach (var (i, name) in source.Tensors.Keys.Index())
        {
            cancellationToken.ThrowIfCancellationRequested();
            using var tensor = source.Read(name);
            if (tensor.is_floating_point() && TensorStatistics.Of(tensor) is { } s && s.NaN + s.Inf > 0)
            {
                broken.Add($"'{name}' ({s.NaN} NaN, {s.Inf} infinite)");
            }

            progress.Report((i + 1.0) / source.Tensors.Count);
        }

        if (broken.Count > 0)
        {
            var more = broken.Count > NamesShown ? $" and {broken.Count - NamesShown} more" : "";
            verdict.Add(
                path,
                $"{path} has weights that are not finite: {string.Join(", ", broken.Take(NamesShown))}{more}.",
                "Download or convert the file again; a conversion to f16 overflows where one to bf16 does not."
            );
        }
    }

    private static void CheckTokenizer(Verdict verdict, CheckpointFolder checkpoint)
    {
        var variant = checkpoint.Variant;
        foreach (var missing in variant.Config.Files.Tokenizer.Where(file => checkpoint.PathOf(file) is null))
        {
            verdict.Add(missing, $"{missing} is missing, which reads texts.", variant.Remedy);
        }

        if (checkpoint.PathOf(variant.Config.Files.Tokenizer[0]) is { } path)
        {
            try
            {
                variant.CheckTokenizer(path, checkpoint.CangjiePath);
            }
            catch (ChatterboxException e)
            {
                verdict.Add(path, e.Message, variant.Remedy);
            }
        }

        if (checkpoint.Lacks is { } note)
        {
            verdict.Notes.Add(note);
        }
    }

    private static void CheckVoice(Verdict verdict, CheckpointFolder checkpoint)
    {
        var config = checkpoint.Variant.Config;
        if (checkpoint.VoicePath is not { } path)
        {
            verdict.Notes.Add(
                $"The model has no voice of its own ({string.Join(" or ", config.Files.Voice)}): each request must name one."
            );
            return;
        }

        try
        {
            _ = VoiceFiles.Read(path, config);
        }
        catch (ChatterboxException e)
        {
            verdict.Add(path, e.Message, "Delete the file, or take it from the same model.");
        }
    }

    private sealed class Share(IProgress<double> whole, double from, double length) : IProgress<double>
    {
        public void Report(double value) => whole.Report(from + (length * value));
    }

    /// <param name="File">Where.</param>
    /// <param name="Problem">What is wrong.</param>
    /// <param name="Remedy">How to put it right, where the problem does not say it itself.</param>
    private sealed record Fault(string File, string Problem, string? Remedy);

    private sealed record Verdict(string Folder)
    {
        public bool Sound => Faults.Count == 0;

        public string? Model { get; set; }

        public int Tensors { get; set; }

        public long Bytes { get; set; }

        public List<Fault> Faults { get; } = [];

        public List<string> Notes { get; } = [];

        public void Add(string file, string problem, string? remedy = null) => Faults.Add(new Fault(file, problem, remedy));
    }
}
