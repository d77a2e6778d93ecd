using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Json;
using System.Text.Json.Nodes;

namespace Chatterbox.Benchmarks;

/// <summary>What several models in one service take of memory: the real service in a process of its own answers one short
/// request with each, one after the other, and then is left alone until it has unloaded them.</summary>
internal static class FleetBenchmark
{
    private const string UnloadAfterSeconds = "60";

    /// <summary>Serves until its input ends.</summary>
    public static async Task<int> Serve(string models)
    {
        var folder = Directory.CreateTempSubdirectory("chatterbox-benchmark-");
        var ended = await ServiceProcess.Serve(
            Service.Program.Main([
                "--model",
                models,
                "--device",
                "cpu",
                "--voices",
                folder.FullName,
                "--audio",
                folder.FullName,
                "--Service:Address",
                "127.0.0.1",
                "--port",
                "0",
                "--Models:UnloadAfterSeconds",
                UnloadAfterSeconds,
            ])
        );
        folder.Delete(recursive: true);
        return ended;
    }

    /// <summary>Prints the service's memory at each step.</summary>
    public static async Task Run(string models)
    {
        await using var running = await ServiceProcess.Start("fleet-host", models);
        var service = running.Process;
        using var http = new HttpClient { BaseAddress = running.Address, Timeout = Timeout.InfiniteTimeSpan };
        await Until(async () => (await http.GetAsync(new Uri("/health/ready", UriKind.Relative))).IsSuccessStatusCode);
        Print("started, the default model loaded", service);
        foreach (var model in await States(http))
        {
            var watch = Stopwatch.StartNew();
            using var answer = await http.PostAsJsonAsync(
                new Uri("/v1/audio/speech", UriKind.Relative),
                new
                {
                    model = model.Name,
                    input = "Hi.",
                    voice = "default",
                    response_format = "pcm",
                }
            );
            answer.EnsureSuccessStatusCode();
            var seconds = (await answer.Content.ReadAsByteArrayAsync()).Length / 2.0 / SpeechResult.SampleRate;
            Print(
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"{model.Name}: {seconds:0.0} s of speech after {watch.Elapsed.TotalSeconds:0.0} s"
                ),
                service
            );
        }

        await Until(async () => (await States(http)).All(model => model.State == "unloaded"));
        await Task.Delay(TimeSpan.FromSeconds(1));
        Print($"all unloaded, {UnloadAfterSeconds} s after their last use", service);
    }

    private static async Task<List<(string Name, string State)>> States(HttpClient http)
    {
        var models = await http.GetFromJsonAsync<JsonObject>(new Uri("/v1/models", UriKind.Relative));
        return [.. models!["data"]!.AsArray().Select(model => ((string)model!["id"]!, (string)model["state"]!))];
    }

    private static async Task Until(Func<Task<bool>> isSo)
    {
        while (!await isSo())
        {
            await Task.Delay(100);
        }
    }

    private static void Print(string what, Process service)
    {
        service.Refresh();
        Console.WriteLine(
            string.Create(
                CultureInfo.InvariantCulture,
                $"{what, -70} {service.WorkingSet64 / 1e9, 6:0.00} GB resident, {service.PeakWorkingSet64 / 1e9, 6:0.00} GB at most"
            )
        );
    }
}
