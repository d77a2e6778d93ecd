using System.CommandLine;
using System.Globalization;

namespace Chatterbox.Service.Commands;

/// <summary><c>detect file.wav</c>: detects the watermark, without a server.</summary>
internal static class DetectCommand
{
    private static readonly Argument<string> Recording = new("recording")
    {
        Description = "The recording to check; - reads it from standard input.",
    };

    /// <summary>The command.</summary>
    public static Command Create()
    {
        var command = new Command("detect", "Reports whether a recording carries the watermark of generated speech.") { Recording };
        ModelCommand.Complete(command, RunAsync);
        return command;
    }

    private static async Task RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        var recording = ModelCommand.Load(parsed.GetRequiredValue(Recording), cancellationToken);
        double? confidence = null;
        await ModelCommand.WithModelAsync(
            parsed,
            "watermark",
            (model, _) => confidence = model.DetectWatermark(recording),
            cancellationToken
        );
        Console.WriteLine(
            confidence is { } sure
                ? string.Create(CultureInfo.InvariantCulture, $"{(sure > 0.5 ? "marked" : "not marked")} (confidence {sure:0.000})")
                : "nothing to judge: the recording is silent or shorter than 32 ms"
        );
    }
}
