using System.CommandLine;
using Chatterbox.Service.Streaming;

namespace Chatterbox.Service.Commands;

/// <summary><c>say TEXT</c>: speaks once into a file, with a progress bar, without a server.</summary>
internal static class SayCommand
{
    private static readonly Argument<string> Text = new("text") { Description = "What to say; - reads it from standard input." };
    private static readonly Option<FileInfo?> Voice = new("--voice") { Description = "A recording of the voice, or a voice file (.safetensors). Default: the model's own voice." };
    private static readonly Option<FileInfo> Out = new("--out") { Description = "WAV file to write.", DefaultValueFactory = _ => new FileInfo("speech.wav") };
    private static readonly Option<string?> Language = new("--language") { Description = "Code of the language, such as fr, for a model that speaks several." };
    private static readonly Option<long?> Seed = new("--seed") { Description = "The same seed gives the same speech." };
    private static readonly Option<double?> Exaggeration = new("--exaggeration") { Description = "How lively, 0 to 2." };
    private static readonly Option<double?> CfgWeight = new("--cfg-weight") { Description = "Strength of guidance by the text, 0 to 2." };
    private static readonly Option<double?> MaxSeconds = new("--max-seconds") { Description = "Longest speech of a piece; the rest of it is cut off." };
    private static readonly Option<double?> Temperature = new("--temperature") { Description = "0 always takes the likeliest token; 0 to 5." };

    /// <summary>The command.</summary>
    public static Command Create()
    {
        var command = new Command("say", "Speaks a text once and writes a WAV file.") { Text, Voice, Out, Language, Seed, Exaggeration, CfgWeight, Temperature, MaxSeconds };
        ModelCommand.Complete(command, RunAsync);
        return command;
    }

    private static async Task RunAsync(ParseResult parsed, CancellationToken cancel)
    {
        var text = parsed.GetRequiredValue(Text) is var given && given == "-" ? await Console.In.ReadToEndAsync(cancel) : given;
        var plan = TextPlan.Of(text, "text");
        var sampling = new SamplingOptions
        {
            Seed = parsed.GetValue(Seed) ?? Random.Shared.NextInt64(),
            Exaggeration = parsed.GetValue(Exaggeration),
            CfgWeight = parsed.GetValue(CfgWeight),
            Temperature = parsed.GetValue(Temperature),
            MaxSpeechTokens = (int?)(parsed.GetValue(MaxSeconds) * SpeechResult.TokensPerSecond),
        };
        var samples = new List<float>();
        var unknown = new List<string>();
        await ModelCommand.WithModelAsync(parsed, "speech", (model, progress) =>
        {
            var voice = ModelCommand.VoiceOf(model, parsed.GetValue(Voice));
            samples.AddRange(JoinedSpeech.Silence(plan.PausesSeconds[0]));
            foreach (var (i, piece) in plan.Pieces.Index())
            {
                var seeded = sampling with { Seed = unchecked(sampling.Seed!.Value + i) };
                var speech = model.Synthesize(piece, voice, seeded, parsed.GetValue(Language), progress.Part(i, plan.Pieces.Count), cancel);
                samples.AddRange(speech.Samples);
                samples.AddRange(JoinedSpeech.Silence(plan.PausesSeconds[i + 1]));
                unknown.AddRange(speech.UnknownCharacters);
            }
        }, cancel);
        if (unknown.Count > 0)
        {
            await Console.Error.WriteLineAsync($"The model does not know these characters: {string.Join(' ', unknown.Distinct())}");
        }

        ModelCommand.Write(parsed.GetRequiredValue(Out), samples.ToArray(), sampling.Seed);
    }
}
