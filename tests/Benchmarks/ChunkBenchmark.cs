using System.Diagnostics;
using System.Globalization;
using Chatterbox.Engine;
using Microsoft.Extensions.Logging.Abstractions;

namespace Chatterbox.Benchmarks;

/// <summary>Times speech by the chunk through the engine, against the same speech in one piece: how soon the first chunk comes,
/// how much of what a listener has is left when each of the others does, and how long all of it takes.</summary>
internal static class ChunkBenchmark
{
    private const string Text = "The quick brown fox jumps over the lazy dog, and the lazy dog, who has seen many foxes jump, does not even lift his head.";
    private const int PromptTokens = 250;
    private const int Repetitions = 3;

    /// <param name="folder">A checkpoint.</param>
    /// <param name="device">Where; null for the best there is.</param>
    /// <param name="tokens">Speech tokens, 25 a second: synthetic weights hardly ever say stop.</param>
    public static async Task Run(string folder, string? device, int tokens)
    {
        device ??= ModelOptions.BestDevice();
        ChatterboxModel? model = null;
        await using var engine = new SpeechEngine(
            [() => model = ChatterboxModel.Load(folder, new ModelOptions { Device = device })],
            new EngineOptions { GuardQuality = false }, NullLogger<SpeechEngine>.Instance);
        await engine.Ready;
        var voice = Lengthen(model!.BuiltInVoice!);
        Print($"{model.Name} on {model.Device}, prompt of {PromptTokens / 25} s, {tokens} speech tokens");

        SpeechRequest Request(int seed, ChunkOptions? chunks) => new()
        {
            Pieces = [Text],
            Voice = voice,
            Sampling = new() { Seed = seed, MaxSpeechTokens = tokens },
            Chunks = chunks,
            Client = $"{seed}",
        };
        await Speak(engine, Request(0, null));
        await Speak(engine, Request(0, new()));
        var whole = await Median(Repetitions, seed => Speak(engine, Request(seed, null)), speech => speech.Seconds);
        Print($"in one piece: {whole.Seconds:0.000} s for {whole.Audio:0.00} s of speech");
        foreach (var requests in new[] { 1, 8 })
        {
            var speeches = new List<Speech>();
            var watch = Stopwatch.StartNew();
            for (var repetition = 0; repetition < Repetitions; repetition++)
            {
                speeches.AddRange(await Task.WhenAll(Enumerable.Range(1, requests).Select(seed => Speak(engine, Request(seed, new())))));
            }

            var each = watch.Elapsed.TotalSeconds / Repetitions / requests;
            var firsts = speeches.Select(speech => speech.Chunks[0].At).Order().ToList();
            var left = speeches.Min(speech => speech.Left);
            Print($"{requests} at once: first audio after {firsts[firsts.Count / 2] * 1000:0} ms (last {firsts[^1] * 1000:0} ms); least left to hear when a chunk came {left:0.000} s; {each:0.000} s each, {each / whole.Seconds:0.00} of one piece");
            if (requests == 1)
            {
                Print($"  {string.Join("; ", speeches[^1].Chunks.Select(chunk => string.Create(CultureInfo.InvariantCulture, $"{chunk.At:0.000} s: {chunk.Audio:0.00} s")))}");
            }
        }

        Print($"peak resident memory {Process.GetCurrentProcess().PeakWorkingSet64 / 1e9:0.00} GB");
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

    private static async Task<Speech> Median(int count, Func<int, Task<Speech>> speak, Func<Speech, double> by)
    {
        var speeches = new List<Speech>();
        for (var seed = 1; seed <= count; seed++)
        {
            speeches.Add(await speak(seed));
        }

        return speeches.OrderBy(by).ElementAt(count / 2);
    }

    /// <summary>The voice with a prompt of 10 s, as that of most recordings is.</summary>
    private static Voice Lengthen(Voice voice)
    {
        var times = PromptTokens / voice.S3Gen.SpeechTokens.Count;
        return voice with
        {
            S3Gen = voice.S3Gen with
            {
                SpeechTokens = [.. Enumerable.Repeat(voice.S3Gen.SpeechTokens, times).SelectMany(tokens => tokens)],
                Mel = [.. Enumerable.Repeat(voice.S3Gen.Mel, times).SelectMany(mel => mel)],
            },
        };
    }

    private static void Print(FormattableString line) => Console.WriteLine(line.ToString(CultureInfo.InvariantCulture));

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
