using System.CommandLine;
using Spectre.Console;
using static TorchSharp.torch;

namespace ConvertWeights;

/// <summary><c>convert</c>: files of PyTorch, or published safetensors, to the safetensors that load best here.</summary>
internal static class ConvertCommand
{
    private static readonly string[] DTypes = ["f32", "bf16", "f16"];

    private static readonly Argument<FileSystemInfo> Input = new("in")
    {
        Description = "A folder with the files of one model, or a single file of weights.",
    };
    private static readonly Option<DirectoryInfo> Out = new("--out")
    {
        Description = "Folder to write; created if missing.",
        Required = true,
    };
    private static readonly Option<DirectoryInfo?> Base = new("--base")
    {
        Description = "The folder of missing files: for a language pack, the multilingual model.",
    };
    private static readonly Option<string?> T3 = DType(
        "--t3",
        "T3. bf16 and f16 halve it and load faster; each may change what is drawn: on the parity fixtures bf16 moves the logits by 5E-3 "
            + "to 1E-2 and f16 by 7E-4 to 1E-3, with the bound at 1E-4. bf16 where the GPU computes in it, which loses nothing "
            + "more; else f16."
    );

    private static readonly Option<string?> S3Gen = DType(
        "--s3gen",
        "S3Gen, HiFT, the S3 tokenizer and CAM++. Keep f32: they run in float32 whatever is stored, so that narrower weights gain disk "
            + "space alone; measured on the parity fixtures, f16 moves the mel by 8E-4 and the pitch by 6E-4, bf16 by 6E-3 and 4E-3, all "
            + "beyond the bound of 1E-4."
    );

    private static readonly Option<string?> SpeakerEncoder = DType("--ve", "the voice encoder. Keep f32: it is 6 MB.");
    private static readonly Option<string?> Watermark = DType("--perth", "the watermark. Keep f32: it is 37 MB.");
    private static readonly Option<bool> KeepAll = new("--keep-all")
    {
        Description =
            "Keeps tensors that inference does not read, and weight norms as they are, for programs that need them, such as the "
            + "Python package.",
    };

    public static Command Create()
    {
        var command = new CommandWithExamples(
            "convert",
            "Converts a checkpoint to safetensors: torch archives (.pt, .pth.tar) become safetensors, tensors that inference never reads "
                + "are dropped, weight norms folded, element types changed on request."
        )
        {
            Examples =
            [
                ("A published model, smaller: T3 in bfloat16", "convert models/english --out models/english-bf16 --t3 bf16"),
                ("A language pack, completed", "convert packs/pt-br --base models/multilingual --out models/pt-br"),
                ("One file", "convert perth_net_250000.pth.tar --out models/english"),
            ],
        };
        command.Add(Input);
        command.Add(Out);
        command.Add(Base);
        command.Add(T3);
        command.Add(S3Gen);
        command.Add(SpeakerEncoder);
        command.Add(Watermark);
        command.Add(KeepAll);
        command.SetAction(RunAsync);
        return command;
    }

    private static async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        var shell = new Shell(parsed);
        var input = parsed.GetRequiredValue(Input).FullName;
        var output = parsed.GetRequiredValue(Out).FullName;
        var conversion = new Conversion(
            output,
            parsed.GetValue(KeepAll),
            new Dictionary<Part, ScalarType?>
            {
                [Part.T3] = TypeOf(parsed.GetValue(T3)),
                [Part.S3Gen] = TypeOf(parsed.GetValue(S3Gen)),
                [Part.SpeakerEncoder] = TypeOf(parsed.GetValue(SpeakerEncoder)),
                [Part.Watermark] = TypeOf(parsed.GetValue(Watermark)),
            }
        );
        var done = await shell.ProgressAsync(
            "convert",
            progress =>
                Directory.Exists(input)
                    ? conversion.FolderAsync(
                        parsed.GetValue(Base) is { } below ? [input, below.FullName] : [input],
                        progress,
                        cancellationToken
                    )
                    : conversion.FileAsync(input, progress, cancellationToken)
        );
        shell.Answer(done, console => Show(console, output, done));
        return ExitCodes.Done;
    }

    private static void Show(IAnsiConsole console, string output, Converted done)
    {
        var table = new Table().Border(TableBorder.Simple).AddColumns("file", "from", "type", "tensors", "dropped", "folded", "MB");
        foreach (var file in done.Files)
        {
            table.AddRow(
                Array.ConvertAll(
                    [
                        file.File,
                        file.From,
                        file.DType ?? "",
                        $"{file.Tensors}",
                        $"{file.Dropped}",
                        $"{file.Folded}",
                        $"{file.Bytes / 1e6:0.0}",
                    ],
                    Markup.Escape
                )
            );
        }

        console.Write(table);
        foreach (var note in done.Notes)
        {
            console.WriteLine($"note   {note}");
        }

        console.WriteLine(
            $"{output}: {done.Model ?? "one file"}, {done.Files.Sum(file => file.Bytes) / 1e6:0} MB in {done.Seconds:0.0} s."
        );
    }

    private static ScalarType? TypeOf(string? name) =>
        name switch
        {
            "f32" => ScalarType.Float32,
            "bf16" => ScalarType.BFloat16,
            "f16" => ScalarType.Float16,
            _ => null,
        };

    private static Option<string?> DType(string name, string what)
    {
        var option = new Option<string?>(name) { Description = $"Element type of {what} Default: as stored." };
        option.AcceptOnlyFromAmong(DTypes);
        return option;
    }
}
