using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using Chatterbox;

namespace ConvertWeights;

/// <summary>Exit codes, as <c>diff</c> and <c>grep</c> have them.</summary>
internal static class ExitCodes
{
    /// <summary>Done; or the answer is yes: the same, sound.</summary>
    public const int Done = 0;

    /// <summary>The question was answered, with no: different, faulty.</summary>
    public const int No = 1;

    /// <summary>It could not be done: a wrong command line, a file that cannot be read, no network.</summary>
    public const int Failed = 2;

    /// <summary>Stopped by Ctrl+C.</summary>
    public const int Cancelled = 130;
}

/// <summary>The whole command line: commands, errors, exit codes.</summary>
internal static class CommandLine
{
    /// <summary>Every command has it: the answer as one JSON document on standard output.</summary>
    public static Option<bool> Json { get; } =
        new("--json") { Description = "Print the result as JSON, for programs; errors as {\"error\": \"…\"}.", Recursive = true };

    /// <summary>Runs one command line.</summary>
    /// <param name="args">As given.</param>
    /// <param name="configuration">Where output goes; null for the console.</param>
    /// <returns>One of <see cref="ExitCodes"/>.</returns>
    public static async Task<int> RunAsync(IReadOnlyList<string> args, InvocationConfiguration? configuration = null)
    {
        configuration ??= new InvocationConfiguration();
        configuration.EnableDefaultExceptionHandler = false;
        var parsed = CreateRoot().Parse(args);
        try
        {
            var code = await parsed.InvokeAsync(configuration);
            return code != 0 && parsed.Errors.Count > 0 ? ExitCodes.Failed : code;
        }
        catch (Exception e) when (e is ChatterboxException or IOException or UnauthorizedAccessException)
        {
            await new Shell(parsed, configuration).FailAsync(e.Message);
            return ExitCodes.Failed;
        }
        catch (OperationCanceledException)
        {
            await new Shell(parsed, configuration).FailAsync("Cancelled.");
            return ExitCodes.Cancelled;
        }
    }

    internal static RootCommand CreateRoot()
    {
        var root = new RootCommand(
            """
            Creates, checks and converts checkpoints and voices of Chatterbox text-to-speech, without Python.

            Exit codes: 0 done, or yes (the same, sound); 1 no (different, faulty); 2 it could not be done; 130 cancelled.
            """
        )
        {
            DownloadCommand.Create(),
            VerifyCommand.Create(),
            ConvertCommand.Create(),
            InspectCommand.Create(),
            DiffCommand.Create(),
            VoiceCommand.Create(),
            SynthesizeCommand.Create(),
            Json,
        };
        var help = root.Options.OfType<HelpOption>().Single();
        help.Action = new HelpWithExamples((HelpAction)help.Action!);
        return root;
    }

    /// <summary>The usual help, and below it what the command looks like in use.</summary>
    private sealed class HelpWithExamples(HelpAction usual) : SynchronousCommandLineAction
    {
        public override bool ClearsParseErrors => true;

        public override int Invoke(ParseResult parseResult)
        {
            var code = usual.Invoke(parseResult);
            if (parseResult.CommandResult.Command is CommandWithExamples { Examples.Count: > 0 } command)
            {
                var output = parseResult.InvocationConfiguration.Output;
                output.WriteLine("Examples:");
                foreach (var (does, line) in command.Examples)
                {
                    output.WriteLine($"  # {does}");
                    output.WriteLine($"  convert-weights {line}");
                }
            }

            return code;
        }
    }
}

/// <summary>A command with examples for its help.</summary>
internal sealed class CommandWithExamples(string name, string description) : Command(name, description)
{
    /// <summary>What each example does, and its arguments.</summary>
    public IReadOnlyList<(string Does, string Arguments)> Examples { get; init; } = [];
}
