using System.Diagnostics;
using TorchSharp;
using static Chatterbox.Benchmarks.Report;

namespace Chatterbox.Benchmarks;

/// <summary>Text in, 10 s of audio out, through the library's door, and the GPU memory that a model takes.</summary>
internal static class SpeechBenchmark
{
    private const int Repetitions = 11,
        MostSeeds = 100;

    public static void Run(string variant, string? device)
    {
        var folder = FullSize.Checkpoint(variant);
        var place = Devices.Find(device);
        var empty = GpuMemory.Begin(place);
        using var model = ChatterboxModel.Load(folder, new ModelOptions { Device = place.ToString() });
        var loaded = GpuMemory.Used(place);
        model.WarmUp();
        var warm = GpuMemory.Used(place);
        var voice = FullSize.LongPrompt(model.BuiltInVoice!);
        Print($"{variant} on {place}, prompt of {voice.S3Gen.SpeechTokens.Count / 25.0:0.0} s");
        var speeches = Enumerable
            .Range(0, MostSeeds)
            .Select(seed => Speak(seed, voice))
            .Where(speech => speech.ReachedLimit)
            .Take(Repetitions + 1)
            .ToList(); // some seeds say stop
        var times = speeches.Skip(1).Select(speech => speech.Milliseconds).ToList();
        var after = GpuMemory.Used(place);
        var made = model.CreateVoice(FullSize.Recording());
        Speak(0, made);
        var voiced = GpuMemory.Used(place);
        Record($"speech {variant}", Median(times));
        Print($"  text in, 10 s of audio out: {Median(times):0.0} ms, from {times.Min():0.0} to {times.Max():0.0}");
        if (place.type == DeviceType.CUDA)
        {
            double Own(long used) => (used - empty) / (double)(1 << 30);
            Record($"memory {variant} empty", empty / (double)(1 << 30));
            Record($"memory {variant} ready", Own(warm));
            Record($"memory {variant} after", Own(after));
            Record($"memory {variant} with a voice made", Own(voiced));
            Print($"  host memory: {Environment.WorkingSet / (double)(1 << 30):0.00} GiB resident");
            Print(
                $"  GPU memory beside CUDA's empty context of {empty / (double)(1 << 30):0.00} GiB, by the driver: {Own(loaded):0.00} GiB loaded, {Own(warm):0.00} warm, {Own(after):0.00} after {speeches.Count} speeches, {Own(voiced):0.00} once a voice was made too, and has spoken"
            );
        }

        (double Milliseconds, bool ReachedLimit) Speak(int seed, Voice voice)
        {
            var watch = Stopwatch.StartNew();
            var speech = model.Synthesize(FullSize.Text, voice, new SamplingOptions { Seed = seed, MaxSpeechTokens = FullSize.Tokens });
            return (watch.Elapsed.TotalMilliseconds, speech.ReachedLimit);
        }
    }
}
