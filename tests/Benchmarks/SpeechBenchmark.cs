using System.Diagnostics;
using TorchSharp;
using static Chatterbox.Benchmarks.Report;

namespace Chatterbox.Benchmarks;

/// <summary>Text in, 10 s of audio out, through the library's door, and the GPU memory that a model takes.</summary>
internal static class SpeechBenchmark
{
    private const int Repetitions = 11;

    public static void Run(string variant, string? device)
    {
        var folder = FullSize.Checkpoint(variant);
        var place = Devices.Find(device);
        var empty = GpuMemory.Begin(place);
        using var model = ChatterboxModel.Load(folder, new ModelOptions { Device = place.ToString() });
        var voice = model.CreateVoice(FullSize.Recording());
        Print($"{variant} on {place}, prompt of {voice.S3Gen.SpeechTokens.Count / 25.0:0.0} s");
        Speak(0);
        var ready = GpuMemory.Used(place);
        var times = Enumerable.Range(1, Repetitions).Select(Speak).ToList();
        var after = GpuMemory.Used(place);
        Record($"speech {variant}", Median(times));
        Print($"  text in, 10 s of audio out: {Median(times):0.0} ms, from {times.Min():0.0} to {times.Max():0.0}");
        if (place.type == DeviceType.CUDA)
        {
            const double GiB = 1 << 30;
            Record($"memory {variant} empty", empty / GiB);
            Record($"memory {variant} ready", (ready - empty) / GiB);
            Record($"memory {variant} after", (after - empty) / GiB);
            Print($"  GPU memory, by the driver: {(ready - empty) / GiB:0.00} GiB ready, {(after - empty) / GiB:0.00} GiB after, beside the {empty / GiB:0.00} GiB of CUDA's empty context");
        }

        double Speak(int seed)
        {
            var watch = Stopwatch.StartNew();
            var speech = model.Synthesize(FullSize.Text, voice, new SamplingOptions { Seed = seed, MaxSpeechTokens = FullSize.Tokens });
            var milliseconds = watch.Elapsed.TotalMilliseconds;
            return speech.SpeechTokens.Count > FullSize.Tokens - 10
                ? milliseconds
                : throw new InvalidOperationException($"Seed {seed} said stop after {speech.SpeechTokens.Count} tokens: no 10 s of speech.");
        }
    }
}
