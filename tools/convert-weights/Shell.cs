using System.CommandLine;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using Spectre.Console;

namespace ConvertWeights;

/// <summary>What a command talks to: answers go to standard output, as a table or as JSON; progress bars to standard
/// error, and only where that is a terminal.</summary>
internal sealed class Shell(ParseResult parsed, InvocationConfiguration configuration)
{
    private const int WidthOfFiles = 10_000; // so that no line is wrapped

    private static readonly JsonSerializerOptions JsonOptions = new()
    {
        WriteIndented = true,
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, // read by programs, not put into web pages
    };

    public Shell(ParseResult parsed)
        : this(parsed, parsed.InvocationConfiguration) { }

    private bool IsJson => parsed.GetValue(CommandLine.Json);

    /// <summary>Gives the answer.</summary>
    /// <param name="answer">For programs.</param>
    /// <param name="show">For people.</param>
    public void Answer<T>(T answer, Action<IAnsiConsole> show)
    {
        if (IsJson)
        {
            configuration.Output.WriteLine(JsonSerializer.Serialize(answer, JsonOptions));
        }
        else
        {
            show(ConsoleOn(configuration.Output, isTerminal: configuration.Output == Console.Out && !Console.IsOutputRedirected));
        }
    }

    /// <summary>Says why nothing came of it.</summary>
    public async Task FailAsync(string message)
    {
        if (IsJson)
        {
            Answer(new { Error = message }, _ => { });
        }
        else
        {
            await configuration.Error.WriteLineAsync(message);
        }
    }

    /// <summary>Does long work with a bar where somebody is looking.</summary>
    public async Task<T> ProgressAsync<T>(string what, Func<IProgress<double>, Task<T>> work)
    {
        if (IsJson || configuration.Error != Console.Error || Console.IsErrorRedirected)
        {
            return await work(new ImmediateProgress(_ => { }));
        }

        return await ConsoleOn(configuration.Error, isTerminal: true)
            .Progress()
            .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new RemainingTimeColumn())
            .StartAsync(async context =>
            {
                var task = context.AddTask(Markup.Escape(what), maxValue: 1);
                var result = await work(new ImmediateProgress(done => task.Value = done));
                task.Value = 1;
                return result;
            });
    }

    /// <inheritdoc cref="ProgressAsync{T}(string, Func{IProgress{double}, Task{T}})"/>
    public Task<T> ProgressAsync<T>(string what, Func<IProgress<double>, T> work) =>
        ProgressAsync(what, progress => Task.Run(() => work(progress)));

    private static IAnsiConsole ConsoleOn(TextWriter writer, bool isTerminal)
    {
        var console = AnsiConsole.Create(
            new AnsiConsoleSettings
            {
                Out = new AnsiConsoleOutput(writer),
                Ansi = isTerminal ? AnsiSupport.Detect : AnsiSupport.No,
                Interactive = isTerminal ? InteractionSupport.Detect : InteractionSupport.No,
            }
        );
        if (!isTerminal)
        {
            console.Profile.Width = WidthOfFiles;
        }

        return console;
    }

    /// <summary>Passes progress on at once and in order, which <see cref="Progress{T}"/> does not promise.</summary>
    private sealed class ImmediateProgress(Action<double> report) : IProgress<double>
    {
        public void Report(double value) => report(value);
    }
}
