using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Json;
using Chatterbox.Audio;
using static Chatterbox.Benchmarks.Report;

namespace Chatterbox.Benchmarks;

/// <summary>What a listener notices of speech by the chunk over HTTP, with a real model in the service's own process: how soon
/// the first byte comes, how much is left to hear when others do, how long all of it takes.</summary>
internal static class StreamBenchmark
{
    // Synthetic weights hardly ever say stop: the service ends such speech at what a text of this length can need, some 10 s.
    private const string Text = "The quick brown fox jumps over me.";
    private const int Rate = SpeechResult.SampleRate;
    private const int Repetitions = 5;
    private const int PcmBytesPerSecond = 2 * Rate;

    private static readonly string[] Formats = ["pcm", "mp3", "opus", "aac", "flac"];

    /// <summary>Serves until its input ends.</summary>
    public static async Task<int> Serve(string model, string device, string voices) =>
        await ServiceProcess.Serve(
            Service.Program.Main([
                "--model",
                model,
                "--device",
                device,
                "--voices",
                voices,
                "--audio",
                voices,
                "--Service:Address",
                "127.0.0.1",
                "--port",
                "0",
            ])
        );

    /// <param name="model">What <c>--model</c> of the service takes: a name, or a folder with a checkpoint.</param>
    /// <param name="device">Where; null for the best there is.</param>
    public static async Task Run(string model, string? device)
    {
        var folder = Directory.CreateTempSubdirectory("chatterbox-benchmark-");
        WriteVoice(Path.Combine(folder.FullName, "reader.wav"));
        await using (var service = await ServiceProcess.Start("stream-host", model, device ?? ModelOptions.BestDevice(), folder.FullName))
        {
            using var http = new HttpClient(new SocketsHttpHandler { MaxConnectionsPerServer = 100 })
            {
                BaseAddress = service.Address,
                Timeout = TimeSpan.FromMinutes(5),
            };
            await service.UntilReady();
            var name = (await http.GetAsync(new Uri("/health", UriKind.Relative)))
                .Headers.GetValues("X-Chatterbox-Model")
                .Single()
                .Split(';')[0];
            Print($"{name} over HTTP; voice of 10 s");
            await Measure(http, name, "pcm", chunk: true, requests: 1);
            foreach (var format in Formats)
            {
                if (format == "aac" && !HasFfmpeg())
                {
                    Print($"{format}: left out, ffmpeg is not installed");
                    continue;
                }

                foreach (var requests in new[] { 1, 8 })
                {
                    await Tell(http, name, format, chunk: true, requests);
                }
            }

            await Tell(http, name, "pcm", chunk: false, requests: 1);
        }

        folder.Delete(recursive: true);
    }

    private static async Task Tell(HttpClient http, string model, string format, bool chunk, int requests)
    {
        var answers = new List<Answer>();
        var watch = Stopwatch.StartNew();
        for (var repetition = 0; repetition < Repetitions; repetition++)
        {
            answers.AddRange(await Measure(http, model, format, chunk, requests));
        }

        var each = watch.Elapsed.TotalSeconds / Repetitions / requests;
        var firsts = answers.Select(answer => answer.First).Order().ToList();
        var left =
            format != "pcm"
                ? ""
                : string.Create(
                    CultureInfo.InvariantCulture,
                    $", least left to hear when more came {answers.Min(answer => answer.Left):0.000} s"
                );
        Print(
            $"{format}{(chunk ? "" : " in whole pieces")}, {requests} at once: first byte after {1000 * Median(firsts):0} ms (last {1000 * firsts[^1]:0} ms){left}; {answers.Max(answer => answer.Seconds):0.00} s at most, {each:0.000} s each"
        );
    }

    private static Task<Answer[]> Measure(HttpClient http, string model, string format, bool chunk, int requests) =>
        Task.WhenAll(
            Enumerable
                .Range(0, requests)
                .Select(_ =>
                    Ask(
                        http,
                        new
                        {
                            model,
                            input = Text,
                            voice = "reader",
                            response_format = format,
                            chunk,
                        }
                    )
                )
        );

    private static async Task<Answer> Ask(HttpClient http, object body)
    {
        var began = Stopwatch.GetTimestamp();
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri("/v1/audio/speech", UriKind.Relative))
        {
            Content = JsonContent.Create(body),
        };
        using var answer = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        answer.EnsureSuccessStatusCode();
        await using var stream = await answer.Content.ReadAsStreamAsync();
        var buffer = new byte[1 << 16];
        var (bytes, first, left) = (0L, 0.0, double.PositiveInfinity);
        int read;
        while ((read = await stream.ReadAsync(buffer)) > 0)
        {
            var now = Stopwatch.GetElapsedTime(began).TotalSeconds;
            first = bytes == 0 ? now : first;
            left = bytes == 0 ? left : Math.Min(left, first + (bytes / (double)PcmBytesPerSecond) - now);
            bytes += read;
        }

        return new(first, left, Stopwatch.GetElapsedTime(began).TotalSeconds);
    }

    /// <summary>Ten seconds of a tone that wanders, as a voice's prompt is long.</summary>
    private static void WriteVoice(string path) =>
        WavFile.Write(
            path,
            [
                .. Enumerable
                    .Range(0, 10 * Rate)
                    .Select(i => 0.3f * MathF.Sin(i * (0.02f + (0.004f * MathF.Sin(i / 4500f)))) * MathF.Sin(i / 1500f)),
            ],
            Rate
        );

    private static bool HasFfmpeg() =>
        (Environment.GetEnvironmentVariable("PATH") ?? "")
            .Split(Path.PathSeparator)
            .Any(folder => File.Exists(Path.Combine(folder, "ffmpeg")));

    /// <param name="First">Seconds to the first byte of audio.</param>
    /// <param name="Left">Least seconds that a listener of PCM who began with the first byte had left to hear when more came;
    /// negative where they had to wait.</param>
    /// <param name="Seconds">All of it.</param>
    private sealed record Answer(double First, double Left, double Seconds);
}
