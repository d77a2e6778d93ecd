using System.CommandLine;

namespace Chatterbox.Service.Commands;

/// <summary><c>convert in.wav --voice target.wav --out out.wav</c>: the same words in another voice, without a server.</summary>
internal static class ConvertCommand
{
    private static readonly Argument<string> Source = new("recording") { Description = "Speech; - reads it from standard input." };
    private static readonly Option<long?> Seed = new("--seed") { Description = "The same seed gives the same speech; drawn unless given." };

    /// <summary>The command.</summary>
    public static Command Create()
    {
        var command = new Command("convert", "Converts a recording to another voice and writes a file.")
        {
            Source,
            ModelCommand.VoiceName,
            VoicesCommand.Folder,
            Output.To,
            Output.Format,
            Seed,
        };
        ModelCommand.Complete(command, RunAsync);
        return command;
    }

    private static async Task RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        var output = Output.Of(parsed, "converted.wav");
        var path = parsed.GetRequiredValue(Source);
        var source = ModelCommand.Load(path, cancellationToken);
        var seed = parsed.GetValue(Seed) ?? Random.Shared.NextInt64();
        var samples = new List<float>();
        await ModelCommand.WithModelAsync(
            parsed,
            "conversion",
            (model, progress) =>
            {
                using var conversion = model.BeginConversion(source, ModelCommand.VoiceOf(model, parsed), seed);
                while (!conversion.IsOver)
                {
                    samples.AddRange(conversion.ConvertNext(progress, cancellationToken).Span);
                }
            },
            cancellationToken
        );
        output.Write(samples.ToArray(), seed, cancellationToken);
    }
}
