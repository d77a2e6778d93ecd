using System.CommandLine;
using Chatterbox.Service.Hosting;
using Microsoft.AspNetCore.Connections;

namespace Chatterbox.Service.Commands;

/// <summary>Without a command: serves until it is stopped. Each setting is an option.</summary>
internal static class ServeCommand
{
    /// <summary>Sections of the framework, whose settings this program does not know.</summary>
    private static readonly string[] FrameworkSections = ["Logging", "Kestrel"];

    /// <summary>Short names of settings.</summary>
    private static readonly Dictionary<string, (string Key, string Description)> ShortOptions = new()
    {
        ["--model"] = ("Model", "Models by name or folder, separated by commas; the first is the default."),
        ["--device"] = ("Device", "cpu, cuda, cuda:1 …; the first GPU if there is one, unless set."),
        ["--port"] = ("Service:Port", "Port to listen on."),
        ["--voices"] = ("Service:VoicesFolder", "Folder of voices."),
        ["--audio"] = ("Service:AudioFolder", "Folder of finished files."),
    };

    /// <summary>Gives the root command its options and its work.</summary>
    /// <param name="root">The command.</param>
    /// <param name="args">The command line: of settings that hold several values, those that are given become options.</param>
    public static void Complete(RootCommand root, IReadOnlyList<string> args)
    {
        var options = ShortOptions
            .Select(option => (option.Value.Key, Option: new Option<string>(option.Key) { Description = option.Value.Description }))
            .Concat(Keys(args).Select(key => (Key: key, Option: new Option<string>($"--{key}") { Hidden = true })))
            .ToList();
        foreach (var (_, option) in options)
        {
            root.Add(option);
        }

        root.SetAction(
            (parsed, _) =>
                RunAsync(
                    options
                        .Where(o => parsed.GetResult(o.Option) is not null)
                        .Select(o => KeyValuePair.Create<string, string?>(o.Key, parsed.GetValue(o.Option)))
                )
        );
    }

    private static async Task<int> RunAsync(IEnumerable<KeyValuePair<string, string?>> settings)
    {
        try
        {
            await using var app = await Program.BuildAsync(settings);
            using var atOnce = SecondSignal.EndsAtOnce();
            await app.RunAsync();
            return ExitCodes.Done;
        }
        catch (Exception e) when (e is SettingException or ChatterboxException or IOException { InnerException: AddressInUseException })
        {
            await Console.Error.WriteLineAsync($"The service cannot start. {e.Message}");
            return ExitCodes.Failed;
        }
    }

    /// <summary>Every setting, and the values of open ones that the command line has.</summary>
    private static IEnumerable<string> Keys(IReadOnlyList<string> args)
    {
        var known = SettingsCatalog.All.ToList();
        var open = known.Where(setting => setting.Member is not null).Select(setting => setting.Key).Concat(FrameworkSections);
        var given = args.Where(arg => arg.StartsWith("--", StringComparison.Ordinal)).Select(arg => arg[2..].Split('=')[0]);
        return known
            .Where(setting => setting.Member is null)
            .Select(setting => setting.Key)
            .Concat(given.Where(key => open.Any(name => key.StartsWith($"{name}:", StringComparison.Ordinal))))
            .Distinct()
            .Append("urls");
    }
}
