using System.CommandLine;
using System.Globalization;
using Chatterbox.Weights;
using Spectre.Console;
using static TorchSharp.torch;

namespace ConvertWeights;

/// <summary><c>diff</c>: in what two files of tensors differ.</summary>
internal static class DiffCommand
{
    private static readonly Argument<FileInfo> First = new("a") { Description = "One file of tensors." };
    private static readonly Argument<FileInfo> Second = new("b") { Description = "The other." };

    private static readonly Option<double> Tolerance = new("--tolerance")
    {
        Description =
            "Greatest relative error that counts as the same: the largest difference over the largest value of the tensor in A. Above 0, "
            + "element types may differ.",
    };

    public static Command Create()
    {
        var command = new CommandWithExamples(
            "diff",
            "Compares two files by names, types, shapes and values. Exit code 0: the same; 1: different."
        )
        {
            Examples =
            [
                ("Is it the same model?", "diff s3gen.pt s3gen.safetensors"),
                ("How much was lost by bfloat16?", "diff t3_cfg.safetensors converted/t3_cfg.safetensors --tolerance 0.004"),
            ],
        };
        command.Add(First);
        command.Add(Second);
        command.Add(Tolerance);
        command.SetAction(RunAsync);
        return command;
    }

    private static async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        var shell = new Shell(parsed);
        using var a = TensorFile.Open(parsed.GetRequiredValue(First).FullName);
        using var b = TensorFile.Open(parsed.GetRequiredValue(Second).FullName);
        var tolerance = parsed.GetValue(Tolerance);
        var differences = await shell.ProgressAsync("diff", progress => Compare(a, b, tolerance, progress, cancellationToken));
        var tensors = a.Tensors.Keys.Union(b.Tensors.Keys).Count();
        var different = differences.Count(difference => !difference.IsTolerated);
        shell.Answer(
            new
            {
                Same = different == 0,
                Tensors = tensors,
                Differences = differences,
            },
            console => Show(console, tensors, different, differences)
        );
        return different == 0 ? ExitCodes.Done : ExitCodes.No;
    }

    private static List<Difference> Compare(
        ITensorSource a,
        ITensorSource b,
        double tolerance,
        IProgress<double> progress,
        CancellationToken cancellationToken
    )
    {
        var names = a.Tensors.Keys.Union(b.Tensors.Keys).Order(StringComparer.Ordinal).ToList();
        var differences = new List<Difference>();
        foreach (var (i, name) in names.Index())
        {
            cancellationToken.ThrowIfCancellationRequested();
            var (x, y) = (a.Tensors.GetValueOrDefault(name), b.Tensors.GetValueOrDefault(name));
            if (x is null || y is null)
            {
                differences.Add(new(name, x is null ? "only in B" : "only in A"));
            }
            else if (!x.Shape.SequenceEqual(y.Shape))
            {
                differences.Add(new(name, $"shape [{string.Join(", ", x.Shape)}] in A, [{string.Join(", ", y.Shape)}] in B"));
            }
            else if (CompareValues(a, b, name, tolerance) is { } difference)
            {
                differences.Add(difference);
            }

            progress.Report((i + 1.0) / names.Count);
        }

        return differences;
    }

    private static Difference? CompareValues(ITensorSource a, ITensorSource b, string name, double tolerance)
    {
        using var x = a.Read(name);
        using var y = b.Read(name);
        var types = x.dtype == y.dtype ? null : $"type {DTypeNames.NameOf(x.dtype)} in A, {DTypeNames.NameOf(y.dtype)} in B";
        if (types is null && x.bytes.SequenceEqual(y.bytes))
        {
            return null;
        }

        var (error, largest) = LargestDifference(x, y);
        var relative = error == 0 ? 0 : error / largest;
        return types is null && error == 0
            ? null // −0 and 0
            : new Difference(name, types ?? "values", error, relative, IsTolerated: tolerance > 0 && relative <= tolerance);
    }

    /// <summary>The largest difference and A's largest value. Where one has no number, and the other has, the difference is
    /// infinite.</summary>
    private static (double Difference, double Largest) LargestDifference(Tensor a, Tensor b)
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        double difference = 0,
            largest = 0;
        foreach (var (x, y) in TensorStatistics.Pieces(a).Zip(TensorStatistics.Pieces(b)))
        {
            var same = x.eq(y).logical_or(x.isnan().logical_and(y.isnan()));
            var error = (x - y).abs().masked_fill(same, 0).nan_to_num(double.PositiveInfinity, double.PositiveInfinity);
            difference = Math.Max(difference, error.max().item<double>());
            largest = Math.Max(largest, x.abs().nan_to_num(0, double.PositiveInfinity).max().item<double>());
        }

        return (difference, largest);
    }

    private static void Show(IAnsiConsole console, int tensors, int different, List<Difference> differences)
    {
        static string Number(double? value) => value?.ToString("G4", CultureInfo.InvariantCulture) ?? "";
        if (differences.Count > 0)
        {
            var table = new Table().Border(TableBorder.Simple).AddColumns("name", "difference", "largest", "relative", "");
            differences.ForEach(d =>
                table.AddRow(
                    Array.ConvertAll(
                        [d.Name, d.What, Number(d.Absolute), Number(d.Relative), d.IsTolerated ? "tolerated" : ""],
                        Markup.Escape
                    )
                )
            );
            console.Write(table);
        }

        console.WriteLine(different == 0 ? $"The same: {tensors} tensors." : $"Different: {different} of {tensors} tensors.");
    }

    /// <param name="Name">The tensor.</param>
    /// <param name="What">In what it differs.</param>
    /// <param name="Absolute">The largest difference of values.</param>
    /// <param name="Relative">That over A's largest value.</param>
    /// <param name="IsTolerated">True if it is within the tolerance that was asked for.</param>
    private sealed record Difference(string Name, string What, double? Absolute = null, double? Relative = null, bool IsTolerated = false);
}
