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
            Description = "english, multilingual, turbo, nano: full size, up to 3.2 GB, the same bits as the parity fixtures were recorded with. tiny (English), tiny-multilingual, tiny-turbo, tiny-nano: the same architectures a hundred times smaller.",
            Required = true,
        };
        model.AcceptOnlyFromAmong([.. SyntheticCheckpoint.Models]);
        var folder = new Option<DirectoryInfo>("--out") { Description = "Folder to write; made if it is not there.", Required = true };
        var command = new Command("synthesize", "Writes a synthetic checkpoint: it speaks noise, but every part of it works.") { model, folder };
        command.SetAction((parsed, cancel) => RunAsync(parsed.GetRequiredValue(model), parsed.GetRequiredValue(folder).FullName, cancel));
        return command;
    }

    private static async Task<int> RunAsync(string model, string folder, CancellationToken cancel)
    {
        var watch = Stopwatch.StartNew();
        await AnsiConsole.Progress().StartAsync(async context =>
        {
            var task = context.AddTask($"synthesize {model}", maxValue: 1);
            await Task.Run(() => SyntheticCheckpoint.Write(model, folder, new Progress<double>(done => task.Value = done), cancel), cancel);
            task.Value = 1;
        });
        AnsiConsole.MarkupLineInterpolated($"{folder} written in {watch.Elapsed.TotalSeconds:0.0} s");
        return 0;
    }
}
