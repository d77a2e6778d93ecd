using System.CommandLine;
using System.Globalization;
using Spectre.Console;

namespace ConvertWeights;

/// <summary><c>inspect</c>: what is in files of tensors.</summary>
internal static class InspectCommand
{
    private static readonly Argument<FileInfo[]> Files = new("files")
    {
        Description = "safetensors files, or files of torch.save (.pt, .pth.tar).",
        Arity = ArgumentArity.OneOrMore,
    };
    private static readonly Option<bool> NoValues = new("--no-values")
    {
        Description = "Names, types and shapes only: reads headers, not tensors.",
    };
    private static readonly Option<string?> Name = new("--name") { Description = "Only tensors whose names contain this text." };

    public static Command Create()
    {
        var command = new CommandWithExamples(
            "inspect",
            "Lists the tensors of files: names, types, shapes, sizes, least, greatest and mean values, and how many are not finite."
        )
        {
            Examples =
            [
                ("Everything in a file", "inspect conds.pt"),
                ("One layer of T3, without reading its numbers", "inspect t3_cfg.safetensors --name layers.0. --no-values"),
                ("For a program", "inspect s3gen.safetensors --json"),
            ],
        };
        command.Add(Files);
        command.Add(NoValues);
        command.Add(Name);
        command.SetAction(RunAsync);
        return command;
    }

    private static async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        var shell = new Shell(parsed);
        var reports = new List<FileReport>();
        foreach (var file in parsed.GetRequiredValue(Files))
        {
            reports.Add(
                await shell.ProgressAsync(
                    file.Name,
                    progress => Inspect(file.FullName, parsed.GetValue(Name) ?? "", !parsed.GetValue(NoValues), progress, cancellationToken)
                )
            );
        }

        shell.Answer(new { Files = reports }, console => reports.ForEach(report => Show(console, report)));
        return ExitCodes.Done;
    }

    private static FileReport Inspect(
        string path,
        string part,
        bool values,
        IProgress<double> progress,
        CancellationToken cancellationToken
    )
    {
        using var source = TensorFile.Open(path);
        var chosen = source
            .Tensors.Where(t => t.Key.Contains(part, StringComparison.Ordinal))
            .OrderBy(t => t.Key, StringComparer.Ordinal)
            .ToList();
        var (done, total) = (0L, Math.Max(1, chosen.Sum(t => DTypeNames.BytesOf(t.Value))));
        var tensors = new List<TensorReport>();
        foreach (var (name, info) in chosen)
        {
            cancellationToken.ThrowIfCancellationRequested();
            using var tensor = values ? source.Read(name) : null;
            tensors.Add(
                new(
                    name,
                    DTypeNames.NameOf(info.DType),
                    info.Shape,
                    DTypeNames.BytesOf(info),
                    tensor is null ? null : TensorStatistics.Of(tensor)
                )
            );
            progress.Report((double)(done += DTypeNames.BytesOf(info)) / total);
        }

        return new FileReport(path, new FileInfo(path).Length, TensorFile.Notes(source), tensors);
    }

    private static void Show(IAnsiConsole console, FileReport report)
    {
        static string Number(double? value) => value?.ToString("G6", CultureInfo.InvariantCulture) ?? "";
        var table = new Table().Border(TableBorder.Simple).AddColumns("name", "type", "shape", "bytes", "min", "max", "mean", "NaN", "Inf");
        foreach (var right in (int[])[3, 4, 5, 6, 7, 8])
        {
            table.Columns[right].RightAligned();
        }

        foreach (var tensor in report.Tensors)
        {
            var s = tensor.Statistics;
            table.AddRow(
                Array.ConvertAll(
                    [
                        tensor.Name,
                        tensor.DType,
                        $"[{string.Join(", ", tensor.Shape)}]",
                        $"{tensor.Bytes}",
                        Number(s?.Min),
                        Number(s?.Max),
                        Number(s?.Mean),
                        $"{s?.NaN}",
                        $"{s?.Inf}",
                    ],
                    Markup.Escape
                )
            );
        }

        console.WriteLine(
            $"{report.File}: {report.Tensors.Count} tensors, {report.Tensors.Sum(t => t.Bytes)} bytes of data in {report.Bytes}"
        );
        foreach (var (key, value) in report.Notes.OrderBy(note => note.Key, StringComparer.Ordinal))
        {
            console.WriteLine($"  {key} = {value}");
        }

        console.Write(table);
    }

    private sealed record FileReport(
        string File,
        long Bytes,
        IReadOnlyDictionary<string, string> Notes,
        IReadOnlyList<TensorReport> Tensors
    );

    private sealed record TensorReport(string Name, string DType, long[] Shape, long Bytes, TensorStatistics? Statistics);
}
