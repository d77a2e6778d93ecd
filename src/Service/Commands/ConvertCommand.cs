using System.CommandLine;
using Chatterbox.Audio;

namespace Chatterbox.Service.Commands;

/// <summary><c>convert in.wav --voice target.wav --out out.wav</c>: the same words in another voice, without a server.</summary>
internal static class ConvertCommand
{
    private static readonly Argument<FileInfo> Source = new("recording") { Description = "Speech, of any length." };
    private static readonly Option<FileInfo?> Voice = new("--voice") { Description = "A recording of who is to have said it, or a voice file (.safetensors). Default: the model's own voice." };
    private static readonly Option<FileInfo> Out = new("--out") { Description = "WAV file to write.", DefaultValueFactory = _ => new FileInfo("converted.wav") };
    private static readonly Option<long?> Seed = new("--seed") { Description = "The same seed gives the same speech." };

    /// <summary>The command.</summary>
    public static Command Create()
    {
        var command = new Command("convert", "Says a recording again in another voice and writes a WAV file.") { Source, Voice, Out, Seed };
        ModelCommand.Complete(command, RunAsync);
        return command;
    }

    private static async Task RunAsync(ParseResult parsed, CancellationToken cancel)
    {
        var source = AudioFile.Load(parsed.GetRequiredValue(Source).FullName, cancel);
        var seed = parsed.GetValue(Seed) ?? Random.Shared.NextInt64();
        var samples = new List<float>();
        await ModelCommand.WithModelAsync(parsed, "conversion", (model, progress) =>
        {
            using var conversion = model.BeginConversion(source, ModelCommand.VoiceOf(model, parsed.GetValue(Voice)), seed);
            while (!conversion.IsOver)
            {
                samples.AddRange(conversion.ConvertNext(progress, cancel));
            }
        }, cancel);
        ModelCommand.Write(parsed.GetRequiredValue(Out), [.. samples], seed);
    }
}
