using System.CommandLine;
using System.Diagnostics;
using Chatterbox.Models;
using Spectre.Console;

namespace ConvertWeights;

/// <summary><c>synthesize</c>: writes a checkpoint whose every weight follows from its name, for tests, tries and benchmarks.</summary>
internal static class SynthesizeCommand
{
    public static Command Create()
    {
        var model = new Option<string>("--model")
        {
            Description =
                "english, multilingual, turbo, nano, flash: full size, up to 3.2 GB, bit by bit the weights with which the parity "
                + "fixtures were recorded. tiny (English), tiny-multilingual, tiny-turbo, tiny-nano, tiny-flash: the same architectures "
                + "a hundred times smaller.",
            Required = true,
        };
        model.AcceptOnlyFromAmong([.. SyntheticCheckpoint.Models]);
        var folder = new Option<DirectoryInfo>("--out") { Description = "Folder to write; created if missing.", Required = true };
        var command = new CommandWithExamples(
            "synthesize",
            "Writes a synthetic checkpoint: it generates noise, but every part of it works."
        )
        {
            Examples = [("A model to try the service with", "synthesize --model tiny --out /tmp/tiny")],
        };
        command.Add(model);
        command.Add(folder);
        command.SetAction(
            (parsed, cancellationToken) =>
                RunAsync(new Shell(parsed), parsed.GetRequiredValue(model), parsed.GetRequiredValue(folder).FullName, cancellationToken)
        );
        return command;
    }

    private static async Task<int> RunAsync(Shell shell, string model, string folder, CancellationToken cancellationToken)
    {
        var watch = Stopwatch.StartNew();
        await shell.ProgressAsync(
            $"synthesize {model}",
            progress =>
            {
                SyntheticCheckpoint.Write(model, folder, progress, cancellationToken);
                return true;
            }
        );
        var seconds = watch.Elapsed.TotalSeconds;
        shell.Answer(
            new
            {
                Model = model,
                Folder = folder,
                Seconds = seconds,
            },
            console => console.WriteLine($"{folder} written in {seconds:0.0} s")
        );
        return ExitCodes.Done;
    }
}
