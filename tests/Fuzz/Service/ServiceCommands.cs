using System.CommandLine;
using System.Reflection;

namespace Fuzz.Service;

/// <summary>The commands that try the whole service instead of one reader.</summary>
internal static class ServiceCommands
{
    /// <summary>Serves a mixed crowd for some minutes.</summary>
    public static Command Soak()
    {
        var minutes = new Argument<double>("minutes") { Description = "How long.", DefaultValueFactory = _ => 10 };
        var clients = new Option<int>("--clients") { Description = "Clients at the same time.", DefaultValueFactory = _ => 16 };
        var command = new Command(
            "soak",
            "Serves many different clients for some minutes. Exit code 1: memory or handles grew, a request was not answered, or an "
                + "answer changed."
        )
        {
            minutes,
            clients,
        };
        command.SetAction(async parsed =>
            Report(await SoakRun.RunAsync(parsed.GetRequiredValue(minutes), parsed.GetRequiredValue(clients), Recording()))
        );
        return command;
    }

    /// <summary>Kills the service many times.</summary>
    public static Command Kill()
    {
        var kills = new Argument<int>("kills") { Description = "How often.", DefaultValueFactory = _ => 200 };
        var seed = new Option<int>("--seed") { Description = "Of the moments.", DefaultValueFactory = _ => 1 };
        var command = new Command(
            "kill",
            "Kills the service (SIGKILL) at random moments while it writes files. Exit code 1: a file is not whole, or missing."
        )
        {
            kills,
            seed,
        };
        command.SetAction(async parsed =>
        {
            var report = await KillRun.RunAsync(
                parsed.GetRequiredValue(kills),
                Recording(),
                parsed.GetRequiredValue(seed),
                Console.WriteLine
            );
            Console.WriteLine($"{report.Kills} kills: {report.Files} files whose creation was confirmed, {report.Parts} partial ones left");
            return Report(report.Faults);
        });
        return command;
    }

    private static int Report(IReadOnlyList<string> faults)
    {
        foreach (var fault in faults)
        {
            Console.WriteLine($"FAULT: {fault}");
        }

        Console.WriteLine(faults.Count == 0 ? "no fault" : $"{faults.Count} faults");
        return faults.Count == 0 ? 0 : 1;
    }

    private static byte[] Recording()
    {
        var fixtures = typeof(ServiceCommands)
            .Assembly.GetCustomAttributes<AssemblyMetadataAttribute>()
            .Single(a => a.Key == "Fixtures")
            .Value!;
        return File.ReadAllBytes(Path.Combine(fixtures, "audio", "jfk_16k_mono.wav"));
    }
}
