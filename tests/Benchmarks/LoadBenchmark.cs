using System.Globalization;
using System.Net.Http.Headers;
using Chatterbox.Audio;
using Chatterbox.Engine;
using Chatterbox.Service.Models;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Chatterbox.Benchmarks;

/// <summary>What is asked of the load benchmark.</summary>
/// <param name="Model">What <c>--model</c> of the service takes: a name, or a folder with a checkpoint.</param>
/// <param name="Device">cpu, cuda or cuda:1; null for the best device.</param>
/// <param name="Streams">Closed loop: a row for each number of listeners, who ask again as soon as an answer has ended.</param>
/// <param name="Rates">Open loop: a row for each rate of Poisson arrivals, requests a second.</param>
/// <param name="Whole">Closed loop of whole pieces without chunks: a row for each number of callers.</param>
/// <param name="Formats">Formats that requests choose from at random.</param>
/// <param name="Leaving">Share of the listeners who disconnect in the middle of their answer.</param>
/// <param name="Seconds">Length of a row's measured window.</param>
/// <param name="Settings">More settings of the service, such as Engine:MaxStreams=32.</param>
/// <param name="Csv">File for the rows; null for none.</param>
internal sealed record LoadOptions(
    string Model,
    string? Device,
    double[] Streams,
    double[] Rates,
    double[] Whole,
    string[] Formats,
    double Leaving,
    double Seconds,
    string[] Settings,
    string? Csv
);

/// <summary>The service under load, over HTTP, in a process of its own: listeners with texts of 3 to 12 s, three voices, and seeds of their
/// own.</summary>
internal static class LoadBenchmark
{
    private const int Keys = 64; // clients; each has its share of the queue
    private const string Voices = "abc";

    /// <summary>Serves until its input ends.</summary>
    /// <param name="model">The model.</param>
    /// <param name="device">The device.</param>
    /// <param name="voices">Folder of voices.</param>
    /// <param name="limits">True where pieces end at what their text can need and are never repeated: synthetic weights hardly ever say
    /// stop.</param>
    /// <param name="settings">More settings, as <c>Name=value</c>.</param>
    public static async Task<int> Serve(string model, string device, string voices, bool limits, string[] settings)
    {
        string[] args =
        [
            "--Device",
            device,
            "--Service:VoicesFolder",
            voices,
            "--Service:AudioFolder",
            voices,
            "--Service:Address",
            "127.0.0.1",
            "--Service:Port",
            "0",
            "--Engine:MaxQueuedRequests",
            "4096",
            "--Engine:GuardQuality",
            limits ? "false" : "true",
            "--Logging:LogLevel:Default",
            "Warning",
            "--Logging:LogLevel:Microsoft.Hosting.Lifetime",
            "Information",
            .. Enumerable.Range(0, Keys).SelectMany(key => new[] { $"--Security:ApiKeys:{key}", KeyOf(key) }),
            .. settings.Select(setting => $"--{setting}"),
        ];
        using var logging = LoggerFactory.Create(builder => builder.AddConsole());
        var served = await ModelLoader.FindAsync(model, device, new SharedParts(), logging);
        await using var app = await Service.Program.BuildAsync(
            new ConfigurationBuilder().AddCommandLine(args).Build().AsEnumerable(),
            builder => builder.Services.AddSingleton(limits ? served with { Load = () => new LimitedModel(served.Load()) } : served)
        );
        await app.StartAsync();
        await Task.Run(Console.In.ReadToEnd);
        await app.StopAsync();
        return 0;
    }

    /// <summary>Measures all rows, and prints them as a table.</summary>
    public static async Task Run(LoadOptions options)
    {
        var folder = Directory.CreateTempSubdirectory("chatterbox-benchmark-");
        foreach (var (index, voice) in Voices.Index())
        {
            WriteVoice(Path.Combine(folder.FullName, $"{voice}.wav"), index);
        }

        var rows = new List<LoadRow>();
        foreach (var group in Rows(options).GroupBy(row => row.IsWhole))
        {
            await using var service = await ServiceProcess.Start(
                "load-host",
                options.Model,
                options.Device ?? ModelOptions.BestDevice(),
                folder.FullName,
                group.Key ? "true" : "false",
                string.Join(';', options.Settings)
            );
            var clients = Enumerable.Range(0, Keys).Select(key => Client(service.Address, key)).ToArray();
            var model = await NameOfModel(clients[0]);
            foreach (var voice in Voices)
            {
                await new LoadListener(
                    clients[0],
                    model,
                    new(options, IsWhole: false, IsOpen: false, 1),
                    seed: voice,
                    voice.ToString()
                ).AskAsync(CancellationToken.None);
            }

            foreach (var row in group)
            {
                rows.Add(await new LoadMeasurement(service.Process, clients, model, row).RunAsync());
                Console.WriteLine(rows.Count == 1 ? $"{LoadRow.Header}\n{rows[^1]}" : $"{rows[^1]}");
                if (options.Csv is not null)
                {
                    await File.WriteAllLinesAsync(options.Csv, [LoadRow.CsvHeader, .. rows.Select(done => done.ToCsv())]);
                }
            }

            Array.ForEach(clients, client => client.Dispose());
        }

        folder.Delete(recursive: true);
    }

    private static IEnumerable<LoadKind> Rows(LoadOptions options) =>
        [
            .. options.Streams.Select(count => new LoadKind(options, IsWhole: false, IsOpen: false, count)),
            .. options.Rates.Select(rate => new LoadKind(options, IsWhole: false, IsOpen: true, rate)),
            .. options.Whole.Select(count => new LoadKind(options, IsWhole: true, IsOpen: false, count)),
        ];

    private static string KeyOf(int key) => string.Create(CultureInfo.InvariantCulture, $"load-benchmark-listener-{key:000}");

    private static HttpClient Client(Uri address, int key)
    {
        var client = new HttpClient(new SocketsHttpHandler { MaxConnectionsPerServer = 1000 })
        {
            BaseAddress = address,
            Timeout = TimeSpan.FromMinutes(10),
        };
        client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", KeyOf(key));
        return client;
    }

    /// <summary>The model's name on the routes, once it is loaded.</summary>
    private static async Task<string> NameOfModel(HttpClient http)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromMinutes(8));
        while (!(await http.GetAsync(new Uri("/health/ready", UriKind.Relative), limit.Token)).IsSuccessStatusCode)
        {
            await Task.Delay(100, limit.Token);
        }

        using var health = await http.GetAsync(new Uri("/health", UriKind.Relative), limit.Token);
        return health.Headers.GetValues("X-Chatterbox-Model").Single().Split(';')[0];
    }

    /// <summary>Ten seconds of a tone that wanders, as a voice's prompt is long.</summary>
    private static void WriteVoice(string path, int index) =>
        WavFile.Write(
            path,
            [
                .. Enumerable
                    .Range(0, 10 * SpeechResult.SampleRate)
                    .Select(i => 0.3f * MathF.Sin(i * (0.02f + (0.004f * index) + (0.004f * MathF.Sin(i / 4500f)))) * MathF.Sin(i / 1500f)),
            ],
            SpeechResult.SampleRate
        );

    /// <summary>A model whose pieces end at what their text can need.</summary>
    private sealed class LimitedModel(ISpeechModel model) : ISpeechModel
    {
        public Voice? BuiltInVoice => model.BuiltInVoice;

        public int MaxUtterances => model.MaxUtterances;

        public int StepWidth => model.StepWidth;

        public int VoiceWidth => model.VoiceWidth;

        public bool VoicesDuringSteps => model.VoicesDuringSteps;

        public CacheUse Cache => model.Cache;

        public void Prepare() => model.Prepare();

        public IUtterance Begin(string text, Voice voice, SamplingOptions sampling, ChunkOptions? chunks = null, string? language = null) =>
            model.Begin(text, voice, QualityGuard.Limit(text, sampling), chunks, language);

        public void Advance(IReadOnlyList<IUtterance> utterances) => model.Advance(utterances);

        public void VoiceChunks(IReadOnlyList<DueChunk> due) => model.VoiceChunks(due);

        public Voice CreateVoice(AudioClip recording) => model.CreateVoice(recording);

        public IVoiceConversion BeginConversion(AudioClip source, Voice target, long? seed = null) =>
            model.BeginConversion(source, target, seed);

        public double? DetectWatermark(AudioClip recording) => model.DetectWatermark(recording);

        public void Dispose() => model.Dispose();
    }
}

/// <summary>What one row measures.</summary>
/// <param name="Options">What all rows have in common.</param>
/// <param name="IsWhole">Whole pieces and not chunks.</param>
/// <param name="IsOpen">Poisson arrivals and not a closed loop.</param>
/// <param name="Load">Listeners, or arrivals a second.</param>
internal sealed record LoadKind(LoadOptions Options, bool IsWhole, bool IsOpen, double Load)
{
    /// <summary>Name of the row.</summary>
    public string Name =>
        string.Create(
            CultureInfo.InvariantCulture,
            $"{(IsWhole ? "whole" : IsOpen ? "arrivals" : "streams")} {Load}{(IsOpen ? "/s" : "")}"
        );
}
