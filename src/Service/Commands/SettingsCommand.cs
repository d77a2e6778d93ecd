using System.CommandLine;
using Chatterbox.Service.Hosting;

namespace Chatterbox.Service.Commands;

/// <summary><c>settings</c>: prints every setting; its output is docs/configuration.md.</summary>
internal static class SettingsCommand
{
    private const string Introduction = """
        # Configuration
        Every setting of the service. This page is the output of `dotnet run -c Release --project src/Service -- settings`, which reads the options classes.

        A setting is read from, the later ones first:

        1. the command line: `--Service:Port 8003`, or in short `--port`, `--voices`, `--audio`, `--model`, `--device`;
        2. the environment: `Service__Port=8003` (two underscores for each colon);
        3. `appsettings.json` next to the program, which has every setting at its default.

        A value that cannot be used, or a setting that does not exist, stops the start with a message that names it. Lists and tables have a key for each value:
        `Security__ApiKeys__0=KEY`, `OpenAi__VoiceAliases__alloy=Ann`. An address other than `localhost` lets other machines in: set `Security:ApiKeys` as well.
        """;

    private const string Others = """
        ## Other variables of the environment
        | variable | meaning |
        | --- | --- |
        | `HF_HOME`, `HF_ENDPOINT`, `HF_TOKEN`, `HF_HUB_OFFLINE` | the Hugging Face cache, the server, a token, no downloads |
        | `XDG_CACHE_HOME` | folder in which synthetic models and compiled kernels are kept; `.cache` in the home folder unless set |
        | `CHATTERBOX_KERNEL_CACHE` | folder of compiled kernels, or `off` |
        | `OTEL_EXPORTER_OTLP_ENDPOINT` and OpenTelemetry's other variables | where metrics and traces are sent |
        | `ASPNETCORE_FORWARDEDHEADERS_ENABLED` | `true` makes the service believe a proxy's headers about its clients |
        | `Logging__LogLevel__Default`, `Logging__Console__FormatterName` | level (`Debug`, `Information`, `Warning`, …) and form (`simple`, `json`, `systemd`) of the log |
        """;

    /// <summary>The command.</summary>
    public static Command Create()
    {
        var command = new Command("settings", "Prints every setting with its default, range and environment variable, in Markdown.");
        command.SetAction(parsed => parsed.InvocationConfiguration.Output.Write(Page()));
        return command;
    }

    /// <summary>The page of documentation.</summary>
    public static string Page()
    {
        var lines = new List<string> { Introduction };
        foreach (var section in SettingsCatalog.Sections)
        {
            lines.Add("");
            lines.Add($"## {(section.Name.Length > 0 ? section.Name : "Models and device")}");
            lines.AddRange(section.Describe() is { Length: > 0 } about ? [about, ""] : []);
            lines.Add("| setting | default | range | environment | meaning |");
            lines.Add("| --- | --- | --- | --- | --- |");
            lines.AddRange(section.Settings.Select(Row));
        }

        return string.Join('\n', [.. lines, "", Others, ""]);
    }

    private static string Row(Setting setting)
    {
        var value = setting.Default.Length > 0 ? $"`{setting.Default}`" : "";
        return $"| `{setting.Key}` | {value} | {setting.Range} | `{setting.Environment}` | "
            + $"{setting.Describe().Replace("|", "\\|", StringComparison.Ordinal)} |";
    }
}
