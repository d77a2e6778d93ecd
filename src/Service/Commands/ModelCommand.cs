using System.CommandLine;
using System.Globalization;
using Chatterbox.Audio;
using Chatterbox.Engine;
using Chatterbox.Models;
using Chatterbox.Service.Models;
using Chatterbox.Voices;
using Spectre.Console;

namespace Chatterbox.Service.Commands;

/// <summary>What the commands that use a model once, without a server, have in common.</summary>
internal static class ModelCommand
{
    private static readonly Option<string> Model = new("--model") { Description = $"{string.Join(", ", ModelLocator.Names)}, or a folder with a checkpoint.", DefaultValueFactory = _ => ModelLocator.Auto };
    private static readonly Option<string?> Device = new("--device") { Description = "cpu, cuda, or cuda:1 … Default: the first GPU if there is one." };

    /// <summary>Gives a command the options of the model, and its work; errors are told on standard error.</summary>
    public static void Complete(Command command, Func<ParseResult, CancellationToken, Task> run)
    {
        command.Add(Model);
        command.Add(Device);
        command.SetAction(async (parsed, cancel) =>
        {
            try
            {
                await run(parsed, cancel);
                return 0;
            }
            catch (Exception e) when (e is ChatterboxException or IOException or UnauthorizedAccessException)
            {
                await Console.Error.WriteLineAsync(e.Message);
                return 1;
            }
            catch (OperationCanceledException)
            {
                await Console.Error.WriteLineAsync("Cancelled.");
                return 130;
            }
        });
    }

    /// <summary>Loads the model and works with it, with a bar for each.</summary>
    /// <param name="parsed">The command line.</param>
    /// <param name="what">Name of the work's bar.</param>
    /// <param name="work">The work.</param>
    /// <param name="cancel">Gives up.</param>
    public static Task WithModelAsync(ParseResult parsed, string what, Action<ISpeechModel, Share> work, CancellationToken cancel) =>
        AnsiConsole.Progress().StartAsync(context => Task.Run(async () =>
        {
            using var logging = LoggerFactory.Create(log => log.AddConsole(console => console.LogToStandardErrorThreshold = LogLevel.Trace));
            var find = context.AddTask("model", maxValue: 1);
            var found = await ModelLoader.FindAsync(parsed.GetRequiredValue(Model), parsed.GetValue(Device), new SharedParts(), logging, new Share(find, 0, 0.9), cancel);
            using var model = found.Load();
            find.Value = 1;
            var bar = context.AddTask(what, maxValue: 1);
            work(model, new Share(bar, 0, 1));
            bar.Value = 1;
        }, cancel));

    /// <summary>The voice of a recording or voice file; without a file the model's own.</summary>
    public static Voice VoiceOf(ISpeechModel model, FileInfo? file) =>
        file is null ? model.BuiltInVoice ?? throw new VoiceException("The model has no voice of its own. Give a recording with --voice.")
        : file.Extension == ".safetensors" ? VoiceFile.Load(file.FullName).Voice
        : model.CreateVoice(AudioFile.Load(file.FullName));

    /// <summary>Writes a WAV file and says what is in it.</summary>
    public static void Write(FileInfo file, float[] samples, long? seed)
    {
        try
        {
            WavFile.Write(file.FullName, samples, SpeechResult.SampleRate);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new IOException($"{file.FullName} cannot be written: {e.Message}", e);
        }

        var peak = samples.Max(Math.Abs);
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{file.FullName}: {samples.Length / (double)SpeechResult.SampleRate:0.00} s at {SpeechResult.SampleRate} Hz, peak {20 * Math.Log10(Math.Max(peak, 1e-9)):0.0} dBFS, seed {seed}"));
    }

    /// <summary>Puts the progress of a part into a bar.</summary>
    internal sealed class Share(ProgressTask bar, double from, double length) : IProgress<double>, IProgress<SynthesisProgress>
    {
        /// <summary>One of several equal parts.</summary>
        public Share Part(int index, int count) => new(bar, from + (length * index / count), length / count);

        /// <inheritdoc/>
        public void Report(double value) => bar.Value = from + (length * value);

        /// <inheritdoc/>
        public void Report(SynthesisProgress value) => Report(value.Fraction);
    }
}
