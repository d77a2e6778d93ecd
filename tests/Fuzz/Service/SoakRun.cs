using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Text;

namespace Fuzz.Service;

/// <summary>Serves a mixed crowd for some minutes, and looks for what grows, what is not answered, and what is answered wrongly.</summary>
internal static class SoakRun
{
    private const int Seeds = 12;
    private const int Samples = 12; // lines of the table, at least
    private const double MostGrowth = 1.25; // of the last third's memory over the second's
    private const double MegabytesOfChance = 64;
    private const int HandlesOfChance = 16;

    private static readonly TimeSpan LongestRest = TimeSpan.FromMinutes(2);

    /// <summary>Runs it, and prints a line a minute, or more often in a short run.</summary>
    /// <param name="minutes">How long.</param>
    /// <param name="clients">How many clients.</param>
    /// <param name="recording">A WAV file to upload.</param>
    /// <returns>What was wrong; empty if nothing.</returns>
    public static async Task<IReadOnlyList<string>> RunAsync(double minutes, int clients, byte[] recording)
    {
        var folder = Directory.CreateTempSubdirectory("chatterbox-soak-").FullName;
        try
        {
            using var service = await ServiceProgram.StartAsync(folder, ("Logging__LogLevel__Default", "Warning"));
            var alone = await AnswersAlone(service.Address);
            var counts = new ConcurrentDictionary<(string What, Outcome Outcome), int>();
            var idle = Measure(service);
            var table = new List<Measurement>();
            Console.WriteLine("minute  requests  served  refused  left  changed  unanswered     MB  handles  threads");
            using var over = new CancellationTokenSource(TimeSpan.FromMinutes(minutes));
            var crowd = Enumerable
                .Range(0, clients)
                .Select(number =>
                    Task.Run(async () =>
                    {
                        using var client = new SoakClient(number, service.Address, recording, alone);
                        while (!over.IsCancellationRequested && await client.ActAsync(over.Token) is { } happened)
                        {
                            counts.AddOrUpdate(happened, 1, (_, n) => n + 1);
                        }
                    })
                )
                .ToList();
            var clock = Stopwatch.StartNew();
            var interval = TimeSpan.FromMinutes(Math.Min(1, minutes / Samples));
            while (!over.IsCancellationRequested && service.IsAlive)
            {
                await Task.Delay(interval, CancellationToken.None);
                if (service.IsAlive)
                {
                    table.Add(Measure(service));
                    Print(clock.Elapsed.TotalMinutes, table[^1], counts);
                }
            }

            await Task.WhenAll(crowd);
            if (!service.IsAlive)
            {
                return [$"The service has ended. Its log:\n{service.Log}"];
            }

            var rest = await Rest(service, idle);
            Print(clock.Elapsed.TotalMinutes, rest, counts);
            foreach (var ((what, outcome), count) in counts.OrderBy(c => c.Key.What, StringComparer.Ordinal).ThenBy(c => c.Key.Outcome))
            {
                Console.WriteLine($"  {what, -12} {outcome, -10} {count}");
            }

            return Faults(table, idle, rest, counts);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static async Task<IReadOnlyList<byte[]>> AnswersAlone(Uri address)
    {
        using var http = new HttpClient { BaseAddress = address, Timeout = SoakClient.LongestAnswer };
        var answers = new List<byte[]>();
        for (var seed = 0; seed < Seeds; seed++)
        {
            using var answer = await http.PostAsync(
                new Uri("/v1/audio/speech", UriKind.Relative),
                new StringContent(SoakClient.SpeechBody(seed), Encoding.UTF8, "application/json")
            );
            answers.Add(
                answer.StatusCode == HttpStatusCode.OK
                    ? await answer.Content.ReadAsByteArrayAsync()
                    : throw new InvalidOperationException(
                        $"The service does not speak: {answer.StatusCode} {await answer.Content.ReadAsStringAsync()}"
                    )
            );
        }

        return answers;
    }

    private static Measurement Measure(ServiceProgram service) => new(service.Megabytes, service.Handles, service.Threads);

    /// <summary>Waits until what was opened for clients is closed.</summary>
    private static async Task<Measurement> Rest(ServiceProgram service, Measurement idle)
    {
        for (
            var clock = Stopwatch.StartNew();
            clock.Elapsed < LongestRest && service.Handles > idle.Handles + HandlesOfChance;
            await Task.Delay(500)
        ) { }

        return Measure(service);
    }

    private static List<string> Faults(
        List<Measurement> table,
        Measurement idle,
        Measurement rest,
        ConcurrentDictionary<(string What, Outcome Outcome), int> counts
    )
    {
        var faults = new List<string>();
        foreach (var ((what, outcome), count) in counts.Where(c => c.Key.Outcome is Outcome.Changed or Outcome.Unanswered))
        {
            faults.Add($"{count} times {outcome}: {what}");
        }

        var third = table.Count / 3;
        var (before, after) = (table.Skip(third).Take(third).Average(m => m.Megabytes), table.TakeLast(third).Average(m => m.Megabytes));
        if (after > (MostGrowth * before) + MegabytesOfChance)
        {
            faults.Add($"Memory grows: {before:0} MB in the second third of the time, {after:0} MB in the last.");
        }

        if (rest.Handles > idle.Handles + HandlesOfChance)
        {
            faults.Add($"{rest.Handles} handles are open at the end, {idle.Handles} were at the start.");
        }

        if (counts.Where(c => c.Key.Outcome == Outcome.Served).Sum(c => c.Value) == 0)
        {
            faults.Add("Nothing was served.");
        }

        return faults;
    }

    private static void Print(double minute, Measurement now, ConcurrentDictionary<(string What, Outcome Outcome), int> counts)
    {
        int Sum(Outcome outcome) => counts.Where(c => c.Key.Outcome == outcome).Sum(c => c.Value);
        Console.WriteLine(
            $"{minute, 6:0.0}  {counts.Values.Sum(), 8}  {Sum(Outcome.Served), 6}  {Sum(Outcome.Refused), 7}  {Sum(Outcome.Left), 4}  "
                + $"{Sum(Outcome.Changed), 7}  {Sum(Outcome.Unanswered), 10}  "
                + $"{now.Megabytes, 5:0}  {now.Handles, 7}  {now.Threads, 7}"
        );
    }

    /// <summary>What the service holds at one moment.</summary>
    private sealed record Measurement(double Megabytes, int Handles, int Threads);
}
