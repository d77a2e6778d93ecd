using System.CommandLine;
using System.CommandLine.Invocation;
using Chatterbox.Service.Hosting;

namespace Chatterbox.Service.Commands;

/// <summary>What the program ends with.</summary>
internal static class ExitCodes
{
    /// <summary>Done.</summary>
    public const int Done = 0;

    /// <summary>It could not be done: standard error has the reason.</summary>
    public const int Failed = 1;

    /// <summary>The command line could not be understood.</summary>
    public const int WrongCommandLine = 2;

    /// <summary>Stopped by Ctrl+C.</summary>
    public const int Cancelled = 130;
}

/// <summary>The whole command line: without a command it serves, with one it does that and ends.</summary>
internal static class CommandLine
{
    private const int MostDifferent = 3;

    private const string Description = """
        Chatterbox.Net: text-to-speech. Without a command it serves HTTP on http://localhost:8002 until Ctrl+C or SIGTERM.

        Every setting is an option as well, such as --Service:MaxRequestBytes 2097152; 'settings' lists them.
        Exit codes: 0 done; 1 it could not be done, with the reason on standard error; 2 the command line is wrong; 130 cancelled.
        """;

    /// <summary>Runs one command line.</summary>
    /// <param name="args">As given.</param>
    /// <param name="configuration">Where output goes; null for the console.</param>
    /// <returns>One of <see cref="ExitCodes"/>.</returns>
    public static async Task<int> RunAsync(IReadOnlyList<string> args, InvocationConfiguration? configuration = null)
    {
        configuration ??= new InvocationConfiguration();
        configuration.EnableDefaultExceptionHandler = false;
        var parsed = Parse(args);
        if (parsed.Errors.Count > 0 && parsed.Action is ParseErrorAction)
        {
            foreach (var line in Explain(parsed))
            {
                await configuration.Error.WriteLineAsync(line);
            }

            return ExitCodes.WrongCommandLine;
        }

        try
        {
            return await parsed.InvokeAsync(configuration);
        }
        catch (Exception e) when (e is ChatterboxException or IOException or UnauthorizedAccessException or SettingException)
        {
            await configuration.Error.WriteLineAsync(e.Message);
            return ExitCodes.Failed;
        }
        catch (OperationCanceledException)
        {
            await configuration.Error.WriteLineAsync("Cancelled.");
            return ExitCodes.Cancelled;
        }
    }

    /// <summary>Parses a command line.</summary>
    internal static ParseResult Parse(IReadOnlyList<string> args)
    {
        string[] words = [.. args.SelectMany(SplitSetting)];
        return CreateRoot(words).Parse(words);
    }

    /// <summary>--Section:Name=value as two words: the parser takes the colon for what separates name and value.</summary>
    private static string[] SplitSetting(string word) =>
        word.StartsWith("--", StringComparison.Ordinal) && word.Split('=', 2) is [var name, var value] && name.Contains(':')
            ? [name, value]
            : [word];

    /// <summary>The commands, and the options of the settings that are given.</summary>
    private static RootCommand CreateRoot(IReadOnlyList<string> args)
    {
        var root = new RootCommand(Description)
        {
            SayCommand.Create(),
            BookCommand.Create(),
            ConvertCommand.Create(),
            DetectCommand.Create(),
            DoctorCommand.Create(),
            VoicesCommand.Create(),
            SettingsCommand.Create(),
        };
        ServeCommand.Complete(root, args);
        return root;
    }

    /// <summary>What is wrong; of a word that is unknown, the nearest one that exists.</summary>
    private static IEnumerable<string> Explain(ParseResult parsed)
    {
        var unknown = parsed.UnmatchedTokens;
        var command = parsed.CommandResult.Command;
        var names = command.Options.Select(option => option.Name).Concat(command.Subcommands.Select(sub => sub.Name)).ToList();
        foreach (var (_, word) in unknown.Index().Where(token => token.Item.StartsWith('-') || !FollowsOption(token.Index)))
        {
            var nearest = names.Select(name => (Name: name, Distance: Distance(name, word))).MinBy(name => name.Distance);
            yield return $"'{word}' is unknown.{(nearest.Distance <= MostDifferent ? $" Did you mean '{nearest.Name}'?" : "")}";
        }

        var others = parsed.Errors.Where(error => !unknown.Any(word => error.Message.Contains($"'{word}'", StringComparison.Ordinal)));
        foreach (var error in others)
        {
            yield return error.Message.Split(" as expected type")[0].TrimEnd('.') + '.';
        }

        yield return "--help lists the commands and options.";

        bool FollowsOption(int index) => index > 0 && unknown[index - 1].StartsWith('-'); // the value of an unknown option
    }

    /// <summary>How many characters have to be inserted, deleted or replaced (Levenshtein's distance).</summary>
    private static int Distance(string from, string to)
    {
        var row = Enumerable.Range(0, to.Length + 1).ToArray();
        foreach (var (i, character) in from.Index())
        {
            var (diagonal, left) = (row[0], row[0] = i + 1);
            for (var j = 0; j < to.Length; j++)
            {
                var replaced = diagonal + (character == to[j] ? 0 : 1);
                (diagonal, left) = (row[j + 1], row[j + 1] = Math.Min(Math.Min(row[j + 1], left) + 1, replaced));
            }
        }

        return row[^1];
    }
}
