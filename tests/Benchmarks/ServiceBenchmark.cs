using System.Diagnostics;
using System.Globalization;
using System.Text;
using Chatterbox.Audio;
using Chatterbox.Engine;
using Chatterbox.Service.Models;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;

namespace Chatterbox.Benchmarks;

/// <summary>What the service itself costs: the real one in a process of its own, over loopback, with a model that answers at
/// once.</summary>
internal static class ServiceBenchmark
{
    private const int WarmUp = 1500;
    private const int Requests = 1000;
    private const int Sentences = 4;

    /// <summary>Ways to ask for speech, each with the route and the body of a request for <see cref="Sentences"/> sentences; and one that
    /// asks for none.</summary>
    private static readonly (string Name, string Route, string? Body)[] Ways =
    [
        ("GET /health/live, for comparison", "/health/live", null),
        ("/v1/audio/speech, pcm", "/v1/audio/speech", OpenAi("\"response_format\":\"pcm\"")),
        ("/v1/audio/speech, wav", "/v1/audio/speech", OpenAi("\"response_format\":\"wav\"")),
        ("/v1/audio/speech, pcm as events", "/v1/audio/speech", OpenAi("\"response_format\":\"pcm\",\"stream_format\":\"sse\"")),
        ("/speak, events", "/speak", $$"""{"text":"{{Text}}","stream":true}"""),
    ];

    private static string Text => string.Join(' ', Enumerable.Repeat($"{new string('a', 200)}.", Sentences));

    /// <summary>Serves until its input ends.</summary>
    public static async Task<int> Serve()
    {
        var folder = Directory.CreateTempSubdirectory("chatterbox-benchmark-");
        await using var app = await Service.Program.BuildAsync(
            [],
            builder =>
            {
                builder.Configuration.AddInMemoryCollection(
                    new Dictionary<string, string?>
                    {
                        ["Service:Address"] = "127.0.0.1",
                        ["Service:Port"] = "0",
                        ["Service:VoicesFolder"] = Path.Combine(folder.FullName, "voices"),
                        ["Service:AudioFolder"] = Path.Combine(folder.FullName, "audio"),
                    }
                );
                builder.Services.AddSingleton(new ServedModel("instant", "cpu", StandIn: true, () => new InstantModel()));
            }
        );
        await app.StartAsync();
        await Console.In.ReadToEndAsync();
        await app.StopAsync();
        folder.Delete(recursive: true);
        return 0;
    }

    /// <summary>Prints, for each way to ask, the time to the first byte of audio and the processor time of a stream.</summary>
    public static async Task Run()
    {
        await using var running = await ServiceProcess.Start("service-host");
        var service = running.Process;
        using var http = new HttpClient { BaseAddress = running.Address };
        foreach (var (name, route, body) in Ways)
        {
            for (var i = 0; i < WarmUp; i++)
            {
                await Ask(http, route, body);
            }

            var before = service.TotalProcessorTime;
            var first = new List<double>();
            for (var i = 0; i < Requests; i++)
            {
                first.Add((await Ask(http, route, body)).TotalMilliseconds);
            }

            service.Refresh();
            var processor = service.TotalProcessorTime - before;
            first.Sort();
            var line = string.Create(
                CultureInfo.InvariantCulture,
                $"{name, -34} first byte {first[Requests / 2]:0.00} ms (99 %: {first[Requests * 99 / 100]:0.00} ms), {processor.TotalMilliseconds / Requests:0.00} ms of a core a request"
            );
            var share = processor.TotalSeconds / (Requests * Sentences * InstantModel.Speech.Duration.TotalSeconds);
            Console.WriteLine(
                body is null
                    ? line
                    : string.Create(CultureInfo.InvariantCulture, $"{line}, {100 * share:0.000} % of a core a real-time stream")
            );
        }
    }

    private static string OpenAi(string settings) => $$"""{"model":"instant","input":"{{Text}}","voice":"default",{{settings}}}""";

    /// <summary>Sends a request and reads all of the answer.</summary>
    /// <returns>The time to the first byte of its body.</returns>
    private static async Task<TimeSpan> Ask(HttpClient http, string route, string? body)
    {
        var began = Stopwatch.GetTimestamp();
        using var request = body is null
            ? new HttpRequestMessage(HttpMethod.Get, route)
            : new HttpRequestMessage(HttpMethod.Post, route) { Content = new StringContent(body, Encoding.UTF8, "application/json") };
        using var answer = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        answer.EnsureSuccessStatusCode();
        await using var stream = await answer.Content.ReadAsStreamAsync();
        var buffer = new byte[1 << 16];
        await stream.ReadExactlyAsync(buffer.AsMemory(0, 1));
        var first = Stopwatch.GetElapsedTime(began);
        while (await stream.ReadAsync(buffer) > 0) { }

        return first;
    }

    /// <summary>Says three seconds of a tone to every text, at once.</summary>
    private sealed class InstantModel : ISpeechModel
    {
        public static readonly SpeechResult Speech = new(
            Enumerable.Range(0, 3 * SpeechResult.SampleRate).Select(i => 0.5f * MathF.Sin(i / 20f)).ToArray(),
            50,
            [.. Enumerable.Range(0, 3 * SpeechResult.TokensPerSecond)],
            ReachedLimit: false
        );

        public Voice? BuiltInVoice { get; } = new(new T3Prompt([0], []), new S3GenPrompt([], [], []));

        public IUtterance Begin(string text, Voice voice, SamplingOptions sampling, ChunkOptions? chunks = null, string? language = null) =>
            new Utterance();

        public void Advance(IReadOnlyList<IUtterance> utterances) =>
            throw new NotSupportedException("All speech tokens are known from the beginning.");

        public void VoiceChunks(IReadOnlyList<DueChunk> due)
        {
            foreach (var chunk in due)
            {
                chunk.Voice(_ => new(Speech.Samples, IsLast: true));
            }
        }

        public Voice CreateVoice(AudioClip recording) => BuiltInVoice!;

        public IVoiceConversion BeginConversion(AudioClip source, Voice target, long? seed = null) =>
            throw new NotSupportedException("Only speech is measured.");

        public double? DetectWatermark(AudioClip recording) => null;

        public void Dispose() { }

        private sealed class Utterance : IUtterance
        {
            public int TextTokens => Speech.TextTokens;

            public IReadOnlyList<int> SpeechTokens => Speech.SpeechTokens;

            public bool ReachedLimit => false;

            public IReadOnlyList<string> UnknownCharacters => [];

            public bool NeedsSteps => false;

            public bool IsDue => true;

            public void TakeChunk() { }

            public void Dispose() { }
        }
    }
}
