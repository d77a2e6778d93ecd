using System.Diagnostics;
using Chatterbox.Audio;
using static Chatterbox.Benchmarks.Report;

namespace Chatterbox.Benchmarks;

/// <summary>Loads a checkpoint, makes a voice and speaks once; prints what each took and the peak of memory.</summary>
internal static class SynthesisBenchmark
{
    private const string Text = "The quick brown fox jumps over the lazy dog.";

    /// <param name="folder">A checkpoint.</param>
    /// <param name="recording">Of whom the voice is made; null for the checkpoint's own.</param>
    /// <param name="tokens">The most speech tokens, 25 a second.</param>
    public static void Run(string folder, string? recording, int tokens)
    {
        var bytes = Directory.GetFiles(folder).Sum(file => new FileInfo(file).Length);
        var watch = Stopwatch.StartNew();
        using var model = ChatterboxModel.Load(folder, new ModelOptions { Device = Environment.GetEnvironmentVariable("DEVICE") });
        Print($"load: {watch.Elapsed.TotalSeconds:0.00} s for {bytes / 1e9:0.00} GB, peak resident memory {PeakBytes() / 1e9:0.00} GB, {PeakBytes() / (double)bytes:0.00} of the checkpoint");

        var voice = model.BuiltInVoice!;
        if (recording is not null)
        {
            var clip = AudioFile.Load(recording);
            watch.Restart();
            voice = model.CreateVoice(clip);
            Print($"voice: {watch.Elapsed.TotalSeconds:0.00} s for {clip.Duration.TotalSeconds:0.0} s of recording");
        }

        var stages = new Stages();
        var speech = model.Synthesize(Text, voice, new SamplingOptions { Seed = 1, MaxSpeechTokens = tokens }, progress: stages);
        Print($"speech: {speech.SpeechTokens.Count} tokens, {speech.Duration.TotalSeconds:0.00} s of speech");
        foreach (var (stage, seconds) in stages.Seconds)
        {
            Print($"  {stage}: {seconds:0.00} s");
        }

        Print($"peak resident memory at the end: {PeakBytes() / 1e9:0.00} GB");
    }

    private static long PeakBytes() => Process.GetCurrentProcess().PeakWorkingSet64;

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
