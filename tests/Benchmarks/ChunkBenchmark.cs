using System.Diagnostics;
using System.Globalization;
using Chatterbox.Engine;
using Chatterbox.Models;
using Microsoft.Extensions.Logging.Abstractions;
using static Chatterbox.Benchmarks.Report;

namespace Chatterbox.Benchmarks;

/// <summary>Times speech by the chunk through the engine, against the same speech in one piece: how soon the first chunk comes,
/// how much of what a listener has is left when each of the others does, and how long all of it takes.</summary>
internal static class ChunkBenchmark
{
    private const string Text =
        "The quick brown fox jumps over the lazy dog, and the lazy dog, who has seen many foxes jump, does not even lift his head.";
    private const int PromptTokens = 250;
    private const int Repetitions = 5;

    /// <param name="name">A name that <see cref="ModelLocator"/> knows, such as synthetic or synthetic-turbo, or a folder.</param>
    /// <param name="device">Where; null for the best there is.</param>
    /// <param name="tokens">Speech tokens, 25 a second: synthetic weights hardly ever say stop.</param>
    public static async Task Run(string name, string? device, int tokens)
    {
        device ??= ModelOptions.BestDevice();
        using var hub = new ModelHub(ModelHubOptions.FromEnvironment());
        var located = await new ModelLocator(hub, ModelLocator.DefaultCacheFolder, NullLogger<ModelLocator>.Instance).LocateAsync(name);
        ChatterboxModel? model = null;
        var warmUp = TimeSpan.Zero;
        await using var engine = new SpeechEngine([Load], new EngineOptions { GuardQuality = false }, NullLogger<SpeechEngine>.Instance);
        await engine.Ready;
        var voice = FullSize.LongPrompt(model!.BuiltInVoice!);
        var pace = model.Pace;
        Print(
            $"{model.Name} on {model.Device}, prompt of {PromptTokens / 25} s, {tokens} speech tokens; warm-up {warmUp.TotalSeconds:0.0} s"
        );
        Print(
            $"pace: T3 {pace.SecondsPerStep * 1000:0.000} ms a token; a pass {pace.SecondsPerPass * 1000:0.0} ms and {pace.SecondsPerPassToken * 1000:0.000} ms a token"
        );
        await Speak(engine, Request(0, null));
        await Speak(engine, Request(0, new()));
        var others = await Repeat(i => Speak(engine, Request(1, null, tokens - 2 - i)));
        var streams = await Repeat(i => Speak(engine, Request(1, new(), tokens - 2 - Repetitions - i)));
        Print(
            $"each of a length that was not spoken before: in one piece {Median([.. others.Select(speech => speech.Seconds)]):0.000} s, in chunks {Median([.. streams.Select(speech => speech.Seconds)]):0.000} s, the first after {Median([.. streams.Select(speech => speech.Chunks[0].At)]) * 1000:0} ms"
        );
        var whole = (await Repeat(_ => Speak(engine, Request(1, null)))).OrderBy(speech => speech.Seconds).ElementAt(Repetitions / 2);
        Print($"in one piece: {whole.Seconds:0.000} s for {whole.Audio:0.00} s of speech");
        var alone = (await Repeat(_ => Task.FromResult(Stream()))).OrderBy(speech => speech.Seconds).ElementAt(Repetitions / 2);
        Print($"the model alone, T3 before each pass: {alone.Seconds:0.000} s; {string.Join("; ", alone.Chunks.Select(Describe))}");

        foreach (var requests in new[] { 1, 8 })
        {
            var watch = Stopwatch.StartNew();
            var speeches = (
                await Repeat(_ => Task.WhenAll(Enumerable.Range(1, requests).Select(seed => Speak(engine, Request(seed, new())))))
            )
                .SelectMany(all => all)
                .ToList();
            var each = watch.Elapsed.TotalSeconds / Repetitions / requests;
            var firsts = speeches.Select(speech => speech.Chunks[0].At).Order().ToList();
            Print(
                $"{requests} at once: first audio after {Median(firsts) * 1000:0} ms (last {firsts[^1] * 1000:0} ms); least left to hear when a chunk came {speeches.Min(speech => speech.Left):0.000} s; {each:0.000} s each, {each / whole.Seconds:0.00} of one piece"
            );
            Print($"  {string.Join("; ", speeches[^1].Chunks.Select(Describe))}");
        }

        Print($"peak resident memory {Process.GetCurrentProcess().PeakWorkingSet64 / 1e9:0.00} GB");

        ChatterboxModel Load()
        {
            model = ChatterboxModel.Load(
                located.Folder,
                new ModelOptions
                {
                    Device = device,
                    Variant = located.Variant,
                    WatermarkFile = located.WatermarkFile,
                }
            );
            var started = Stopwatch.GetTimestamp();
            model.WarmUp();
            warmUp = Stopwatch.GetElapsedTime(started);
            return model;
        }

        SpeechRequest Request(int seed, ChunkOptions? chunks, int? length = null) =>
            new()
            {
                Pieces = [Text],
                Voice = voice,
                Sampling = new() { Seed = seed, MaxSpeechTokens = length ?? tokens },
                Chunks = chunks,
                Client = $"{seed}",
            };

        // While the engine has nothing to do, its model may be used.
        Speech Stream()
        {
            var watch = Stopwatch.StartNew();
            using var stream = model.OpenStream(Text, voice, new() { Seed = 1, MaxSpeechTokens = tokens }, new());
            var speech = new Speech([]);
            while (!stream.IsOver)
            {
                var samples = stream.NextChunk();
                speech.Chunks.Add((watch.Elapsed.TotalSeconds, samples.Length / (double)SpeechResult.SampleRate));
            }

            return speech;
        }
    }

    private static async Task<Speech> Speak(SpeechEngine engine, SpeechRequest request)
    {
        var watch = Stopwatch.StartNew();
        var chunks = new List<(double At, double Audio)>();
        await foreach (var happened in engine.Submit(request).Events)
        {
            var chunk = happened as AudioChunk ?? throw ((PieceFailed)happened).Error;
            chunks.Add((watch.Elapsed.TotalSeconds, chunk.Samples.Length / (double)SpeechResult.SampleRate));
        }

        return new(chunks);
    }

    private static async Task<List<T>> Repeat<T>(Func<int, Task<T>> work)
    {
        var results = new List<T>();
        for (var repetition = 0; repetition < Repetitions; repetition++)
        {
            results.Add(await work(repetition));
        }

        return results;
    }

    private static string Describe((double At, double Audio) chunk) =>
        string.Create(CultureInfo.InvariantCulture, $"{chunk.At:0.000} s: {chunk.Audio:0.00} s");

    /// <param name="Chunks">When each came, and how long it sounds.</param>
    private sealed record Speech(List<(double At, double Audio)> Chunks)
    {
        public double Seconds => Chunks[^1].At;

        public double Audio => Chunks.Sum(chunk => chunk.Audio);

        /// <summary>Least time that a listener who began with the first chunk had left to hear when another came; negative
        /// where they had to wait.</summary>
        public double Left
        {
            get
            {
                var (end, least) = (Chunks[0].At + Chunks[0].Audio, double.PositiveInfinity);
                foreach (var (at, audio) in Chunks.Skip(1))
                {
                    least = Math.Min(least, end - at);
                    end = Math.Max(end, at) + audio;
                }

                return least;
            }
        }
    }
}
