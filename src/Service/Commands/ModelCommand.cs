using System.CommandLine;
using Chatterbox.Audio;
using Chatterbox.Models;
using Chatterbox.Service.Hosting;
using Chatterbox.Service.Models;
using Chatterbox.Service.Voices;
using Chatterbox.Voices;
using Microsoft.Extensions.Logging.Console;
using Spectre.Console;

namespace Chatterbox.Service.Commands;

/// <summary>What the commands that use a model once, without a server, have in common.</summary>
internal static class ModelCommand
{
    private static readonly Option<string> Model = new("--model")
    {
        Description = $"{string.Join(", ", ModelLocator.Names)}, or a folder with a checkpoint.",
        DefaultValueFactory = _ => ModelLocator.Auto,
    };

    private static readonly Option<string?> Device = new("--device")
    {
        Description = "cpu, cuda, or cuda:1 … Default: the first GPU if there is one.",
    };

    /// <summary>The voice of a command that generates speech.</summary>
    public static readonly Option<string?> VoiceName = new("--voice")
    {
        Description = "Name of a voice of the folder, a recording, or a voice file (.safetensors). Default: the model's own voice.",
    };

    /// <summary>Gives a command the options of the model, and its work.</summary>
    public static void Complete(Command command, Func<ParseResult, CancellationToken, Task> run)
    {
        command.Add(Model);
        command.Add(Device);
        command.SetAction(run);
    }

    /// <summary>Loads the model and works with it, with a bar for each.</summary>
    /// <param name="parsed">The command line.</param>
    /// <param name="what">Name of the work's bar.</param>
    /// <param name="work">The work.</param>
    /// <param name="cancellationToken">Gives up.</param>
    public static Task WithModelAsync(
        ParseResult parsed,
        string what,
        Action<ChatterboxModel, Share> work,
        CancellationToken cancellationToken
    ) =>
        ProgressConsole()
            .Progress()
            .StartAsync(context =>
                Task.Run(
                    async () =>
                    {
                        using var logging = LoggerFactory.Create(log =>
                            log.AddSimpleConsole(line => line.SingleLine = true)
                                .Services.Configure<ConsoleLoggerOptions>(console => console.LogToStandardErrorThreshold = LogLevel.Trace)
                        );
                        var find = context.AddTask("model", maxValue: 1);
                        var (name, device) = (parsed.GetRequiredValue(Model), parsed.GetValue(Device));
                        var found = await ModelLoader.FindAsync(
                            name,
                            device,
                            new SharedParts(),
                            logging,
                            new Share(find, 0, 0.9),
                            cancellationToken: cancellationToken
                        );
                        using var model = (ChatterboxModel)found.Load();
                        find.Value = 1;
                        var bar = context.AddTask(what, maxValue: 1);
                        work(model, new Share(bar, 0, 1));
                        bar.Value = 1;
                    },
                    cancellationToken
                )
            );

    /// <summary>The model that --model names.</summary>
    public static string NameOf(ParseResult parsed) => parsed.GetRequiredValue(Model);

    /// <summary>The voice that --voice names; without it the model's own.</summary>
    public static Voice VoiceOf(ChatterboxModel model, ParseResult parsed)
    {
        if (parsed.GetValue(VoiceName) is not { } name)
        {
            return model.BuiltInVoice ?? throw new VoiceException("The model has no voice of its own. Give one with --voice.");
        }

        var file = VoicesCommand.Find(parsed, name);
        return file.EndsWith(VoiceFolder.VoiceFileExtension, StringComparison.OrdinalIgnoreCase)
            ? VoiceFile.Load(file).Voice
            : model.CreateVoice(Load(file, CancellationToken.None));
    }

    /// <summary>What reads and writes audio for the commands, as the service's settings say.</summary>
    public static AudioCodecs Codecs() => new(Program.CreateBuilder([]).ReadValid<ServiceOptions>(ServiceOptions.Section).Ffmpeg);

    /// <summary>Reads a recording: a file, or standard input for <see cref="Output.Standard"/>.</summary>
    public static AudioClip Load(string path, CancellationToken cancellationToken)
    {
        using var codecs = Codecs();
        return path == Output.Standard
            ? codecs.Load(Console.OpenStandardInput(), AudioFile.DefaultLongest, cancellationToken)
            : codecs.Load(path, AudioFile.DefaultLongest, cancellationToken);
    }

    /// <summary>Bars are drawn on standard error, where results are not, and only on a terminal.</summary>
    private static IAnsiConsole ProgressConsole() =>
        AnsiConsole.Create(
            new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.IsErrorRedirected ? TextWriter.Null : Console.Error) }
        );

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
