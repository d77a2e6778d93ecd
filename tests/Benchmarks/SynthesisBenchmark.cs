using System.Diagnostics;
using Chatterbox.Audio;
using static Chatterbox.Benchmarks.Report;

namespace Chatterbox.Benchmarks;

/// <summary>Loads a checkpoint, makes a voice and synthesizes some times; prints the median of each stage, the processor time, and the peak
/// of memory.</summary>
internal static class SynthesisBenchmark
{
    /// <param name="folder">A checkpoint.</param>
    /// <param name="recording">Of whom the voice is made; null for the checkpoint's own, its prompt repeated until it is 10 s long.</param>
    /// <param name="tokens">The most speech tokens, 25 a second.</param>
    /// <param name="repetitions">Measured syntheses, after one that warms up.</param>
    /// <param name="precision">How exactly the networks compute; null for the device's default.</param>
    public static void Run(string folder, string? recording, int tokens, int repetitions, Precision? precision)
    {
        var bytes = Directory.GetFiles(folder).Sum(file => new FileInfo(file).Length);
        var watch = Stopwatch.StartNew();
        using var model = ChatterboxModel.Load(
            folder,
            new ModelOptions { Device = Environment.GetEnvironmentVariable("DEVICE"), Precision = precision }
        );
        Print(
            $"load: {watch.Elapsed.TotalSeconds:0.00} s for {bytes / 1e9:0.00} GB, resident {ResidentGiB():0.00} GiB, at the peak {PeakGiB():0.00} GiB"
        );
        Print($"  self-check: {model.SelfCheck.Duration.TotalMilliseconds:0} ms");
        var voice = recording is null ? FullSize.LongPrompt(model.BuiltInVoice!) : MakeVoice(model, recording);

        var stages = new Dictionary<SynthesisStage, List<double>>();
        var (totals, processor) = (new List<double>(), new List<double>());
        for (var (seed, warm) = (1, false); totals.Count < repetitions; seed++)
        {
            var times = new Stages();
            var began = Process.GetCurrentProcess().TotalProcessorTime;
            watch.Restart();
            var speech = model.Synthesize(
                FullSize.Text,
                voice,
                new SamplingOptions { Seed = seed, MaxSpeechTokens = tokens },
                progress: times
            );
            if (speech.ReachedLimit && warm) // some seeds say stop before
            {
                totals.Add(watch.Elapsed.TotalMilliseconds);
                processor.Add((Process.GetCurrentProcess().TotalProcessorTime - began).TotalMilliseconds);
                foreach (var (stage, seconds) in times.Seconds)
                {
                    (stages.TryGetValue(stage, out var all) ? all : stages[stage] = []).Add(1000 * seconds);
                }
            }

            warm = true;
        }

        Print(
            $"speech of {tokens / (double)SpeechResult.TokensPerSecond:0.0} s: {Median(totals):0} ms, {40 * tokens / Median(totals):0.00} x real time, processor time {Median(processor):0} ms"
        );
        var flow = model.Name is "turbo" or "nano" ? "meanflow" : "standard";
        Record($"speech {model.Name}", Median(totals));
        foreach (var (stage, times) in stages)
        {
            Print($"  {stage}: {Median(times):0} ms");
            var (name, count) = stage switch
            {
                SynthesisStage.T3 => ($"t3 {model.Name} token with prefill", tokens),
                SynthesisStage.S3Gen => ($"{flow} tokens to mel", 1),
                SynthesisStage.Watermark => ($"{flow} watermark", 1),
                _ => ($"{flow} vocoder", 1),
            };
            Record(name, Median(times) / count);
        }

        Record($"memory {model.Name} resident", ResidentGiB());
        Print($"resident {ResidentGiB():0.00} GiB, at the peak {PeakGiB():0.00} GiB");
    }

    private static Voice MakeVoice(ChatterboxModel model, string recording)
    {
        var clip = AudioFile.Load(recording);
        var watch = Stopwatch.StartNew();
        var voice = model.CreateVoice(clip);
        Print($"voice: {watch.Elapsed.TotalSeconds:0.00} s for {clip.Duration.TotalSeconds:0.0} s of recording");
        return voice;
    }

    private static double ResidentGiB() => Environment.WorkingSet / (double)(1 << 30);

    private static double PeakGiB() => Process.GetCurrentProcess().PeakWorkingSet64 / (double)(1 << 30);

    /// <summary>Times the stages by the reports between them.</summary>
    private sealed class Stages : IProgress<SynthesisProgress>
    {
        private readonly Stopwatch _watch = Stopwatch.StartNew();
        private SynthesisStage _current = SynthesisStage.T3;

        public Dictionary<SynthesisStage, double> Seconds { get; } = [];

        public void Report(SynthesisProgress value)
        {
            // A stage reports while it works or, the short ones, as they begin.
            var finished = value.Stage is SynthesisStage.T3 or SynthesisStage.S3Gen ? value.Stage : _current;
            Seconds[finished] = Seconds.GetValueOrDefault(finished) + _watch.Elapsed.TotalSeconds;
            _watch.Restart();
            _current = value.Stage;
        }
    }
}
