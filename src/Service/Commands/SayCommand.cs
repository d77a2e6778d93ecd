using System.CommandLine;
using System.Globalization;
using Chatterbox.Audio;
using Chatterbox.Models;
using Chatterbox.Service.Hosting;
using Chatterbox.Service.Streaming;
using Chatterbox.Voices;
using Spectre.Console;

namespace Chatterbox.Service.Commands;

/// <summary><c>say TEXT</c>: speaks once into a file, with a progress bar, without a server.</summary>
internal static class SayCommand
{
    private static readonly Argument<string> Text = new("text") { Description = "What to say; - reads it from standard input." };
    private static readonly Option<FileInfo?> Voice = new("--voice") { Description = "A recording of the voice, or a voice file (.safetensors). Default: the model's own voice." };
    private static readonly Option<FileInfo> Out = new("--out") { Description = "WAV file to write.", DefaultValueFactory = _ => new FileInfo("speech.wav") };
    private static readonly Option<string> Model = new("--model") { Description = $"{string.Join(", ", ModelLocator.Names)}, or a folder with a checkpoint.", DefaultValueFactory = _ => ModelLocator.Auto };
    private static readonly Option<string?> Device = new("--device") { Description = "cpu, cuda, or cuda:1 … Default: the first GPU if there is one." };
    private static readonly Option<long?> Seed = new("--seed") { Description = "The same seed gives the same speech." };
    private static readonly Option<double?> Exaggeration = new("--exaggeration") { Description = "How lively, 0 to 2." };
    private static readonly Option<double?> CfgWeight = new("--cfg-weight") { Description = "Strength of guidance by the text, 0 to 2." };
    private static readonly Option<double?> MaxSeconds = new("--max-seconds") { Description = "Longest speech of a piece; the rest of it is cut off." };
    private static readonly Option<double?> Temperature = new("--temperature") { Description = "0 always takes the likeliest token; 0 to 5." };

    /// <summary>The command.</summary>
    public static RootCommand Create()
    {
        var command = new RootCommand("Speaks a text once and writes a WAV file.") { Text, Voice, Out, Model, Device, Seed, Exaggeration, CfgWeight, Temperature, MaxSeconds };
        command.SetAction(async (parsed, cancel) =>
        {
            try
            {
                await RunAsync(parsed, cancel);
                return 0;
            }
            catch (ChatterboxException e)
            {
                await Console.Error.WriteLineAsync(e.Message);
                return 1;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                await Console.Error.WriteLineAsync($"{parsed.GetRequiredValue(Out)} cannot be written: {e.Message}");
                return 1;
            }
            catch (OperationCanceledException)
            {
                await Console.Error.WriteLineAsync("Cancelled.");
                return 130;
            }
        });
        return command;
    }

    private static async Task RunAsync(ParseResult parsed, CancellationToken cancel)
    {
        using var logging = LoggerFactory.Create(log => log.AddConsole(console => console.LogToStandardErrorThreshold = LogLevel.Trace));
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
        await AnsiConsole.Progress().StartAsync(context => Task.Run(async () =>
        {
            var find = context.AddTask("model", maxValue: 1);
            var found = await ModelLoader.FindAsync(parsed.GetRequiredValue(Model), parsed.GetValue(Device), logging, new Share(find, 0, 0.9), cancel);
            using var model = found.Load();
            find.Value = 1;
            var voice = parsed.GetValue(Voice) is { } file ? LoadVoice(model, file.FullName)
                : model.BuiltInVoice ?? throw new VoiceException("The model has no voice of its own. Give a recording with --voice.");
            var speak = context.AddTask("speech", maxValue: plan.Pieces.Count);
            samples.AddRange(JoinedSpeech.Silence(plan.PausesSeconds[0]));
            foreach (var (i, piece) in plan.Pieces.Index())
            {
                var seeded = sampling with { Seed = unchecked(sampling.Seed!.Value + i) };
                var speech = model.Synthesize(piece, voice, seeded, progress: new Share(speak, i, 1), cancel: cancel);
                samples.AddRange(speech.Samples);
                samples.AddRange(JoinedSpeech.Silence(plan.PausesSeconds[i + 1]));
            }

            speak.Value = plan.Pieces.Count;
        }, cancel));
        var path = parsed.GetRequiredValue(Out).FullName;
        WavFile.Write(path, samples.ToArray(), SpeechResult.SampleRate);
        var peak = samples.Max(Math.Abs);
        AnsiConsole.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{path}: {samples.Count / (double)SpeechResult.SampleRate:0.00} s at {SpeechResult.SampleRate} Hz, peak {20 * Math.Log10(Math.Max(peak, 1e-9)):0.0} dBFS, seed {sampling.Seed}"));
    }

    private static Voice LoadVoice(Engine.ISpeechModel model, string path) => Path.GetExtension(path) == ".safetensors"
        ? VoiceFile.Load(path).Voice
        : model.CreateVoice(AudioFile.Load(path));

    /// <summary>Puts the progress of a part into a bar.</summary>
    private sealed class Share(ProgressTask bar, double from, double length) : IProgress<double>, IProgress<SynthesisProgress>
    {
        public void Report(double value) => bar.Value = from + (length * value);

        public void Report(SynthesisProgress value) => Report(value.Fraction);
    }
}
