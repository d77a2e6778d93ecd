using System.CommandLine;
using System.Text.Json;
using Chatterbox.Models;
using Chatterbox.Service.Diagnostics;
using Chatterbox.Service.Hosting;

namespace Chatterbox.Service.Commands;

/// <summary><c>doctor</c>: checks everything that speech needs, and says how to put right what is missing.</summary>
internal static class DoctorCommand
{
    private static readonly Option<string?> Model = new("--model")
    {
        Description = $"{string.Join(", ", ModelLocator.Names)}, or a folder with a checkpoint. Default: the setting Model.",
    };

    private static readonly Option<string?> Device = new("--device")
    {
        Description = "cpu, cuda, or cuda:1 … Default: the setting Device, or the first GPU if there is one.",
    };

    private static readonly Option<bool> AsJson = new("--json") { Description = "Writes the findings as JSON." };

    /// <summary>The command. It returns 1 if speech would fail.</summary>
    public static Command Create()
    {
        var command = new Command("doctor", "Checks what speech needs: libtorch, GPUs, the model, programs, folders and network.")
        {
            Model,
            Device,
            AsJson,
        };
        command.SetAction(RunAsync);
        return command;
    }

    private static async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        var settings = new ConfigurationBuilder()
            .AddJsonFile(Path.Combine(AppContext.BaseDirectory, "appsettings.json"), optional: true)
            .AddEnvironmentVariables()
            .Build();
        using var logging = LoggerFactory.Create(log =>
            log.SetMinimumLevel(LogLevel.Error).AddConsole(console => console.LogToStandardErrorThreshold = LogLevel.Trace)
        );
        var service = settings.GetSection(ServiceOptions.Section).Get<ServiceOptions>() ?? new();
        var models = parsed.GetValue(Model) ?? settings["Model"] ?? ModelLocator.Auto;
        List<Finding> findings = [.. MachineChecks.Of(MachineReport.Create())];
        foreach (var model in models.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            findings.AddRange(
                await new ModelChecks(model, parsed.GetValue(Device) ?? settings["Device"], logging).RunAsync(cancellationToken)
            );
        }

        findings.AddRange(FormatChecks.Of(service));
        findings.AddRange(FolderChecks.Of(service, logging));
        var report = new DoctorReport(findings.TrueForAll(finding => finding.Verdict != Verdict.Fault), findings);
        await Write(report, parsed.GetValue(AsJson), parsed.InvocationConfiguration.Output);
        return report.CanSpeak ? 0 : 1;
    }

    private static async Task Write(DoctorReport report, bool asJson, TextWriter output)
    {
        if (asJson)
        {
            await output.WriteLineAsync(JsonSerializer.Serialize(report, Json.Of<DoctorReport>()));
            return;
        }

        foreach (var topic in report.Findings.GroupBy(finding => finding.Topic))
        {
            await output.WriteLineAsync(topic.Key);
            foreach (var finding in topic)
            {
                await output.WriteLineAsync($"  {finding.Verdict.ToString().ToLowerInvariant(), -8}{finding.Name, -16} {finding.Value}");
                if (finding.Remedy is not null)
                {
                    await output.WriteLineAsync($"{new string(' ', 27)}→ {finding.Remedy}");
                }
            }
        }

        await output.WriteLineAsync(report.CanSpeak ? "Speech works." : "Speech would fail: see the lines that begin with 'fault'.");
    }
}
