using System.Diagnostics;
using System.Globalization;
using static Chatterbox.Benchmarks.Report;

namespace Chatterbox.Benchmarks;

/// <summary>From the start of a process until a model is ready, and what follows: its first speech makes what is only made
/// when it is needed, the second shows what that was.</summary>
internal static class StartBenchmark
{
    private const int Repetitions = 3;
    private const string Ready = "ready";

    /// <summary>Starts processes, one after the other; each begins with <see cref="Begin"/>. The checkpoint has been read before.</summary>
    public static void Run(string variant, string? device)
    {
        var folder = FullSize.Checkpoint(variant);
        foreach (var file in Directory.GetFiles(folder))
        {
            using var stream = File.OpenRead(file);
            stream.CopyTo(Stream.Null);
        }

        var times = Enumerable.Range(0, Repetitions).Select(_ => Start(folder, device)).ToList();
        Record($"start {variant}", Median(times));
        Print($"  process start to ready: {Median(times):0.00} s, from {times.Min():0.00} to {times.Max():0.00}");
    }

    /// <summary>The process whose start is measured.</summary>
    public static void Begin(string folder, string? device)
    {
        var runtime = (DateTime.Now - Process.GetCurrentProcess().StartTime).TotalSeconds;
        var watch = Stopwatch.StartNew();
        using var torchReady = TorchSharp.torch.zeros(1, device: Devices.Find(device));
        var torch = Lap();
        using var model = ChatterboxModel.Load(folder, new ModelOptions { Device = device });
        var load = Lap();
        Console.WriteLine(Ready);
        double[] speech = [Speak(), Speak()];
        ChatterboxModel.Load(folder, new ModelOptions { Device = device }).Dispose();
        Print($"    runtime {runtime:0.00} s, libtorch and GPU {torch:0.00} s, load {load:0.00} s (a second one, its kernels compiled, {Lap():0.00} s); first speech {speech[0]:0.00} s, second {speech[1]:0.00} s");

        double Speak()
        {
            model.Synthesize(FullSize.Text, model.BuiltInVoice!, new SamplingOptions { Seed = 1, MaxSpeechTokens = FullSize.Tokens });
            return Lap();
        }

        double Lap()
        {
            var seconds = watch.Elapsed.TotalSeconds;
            watch.Restart();
            return seconds;
        }
    }

    private static double Start(string folder, string? device)
    {
        var info = new ProcessStartInfo(Environment.ProcessPath!) { ArgumentList = { "start-host", folder }, RedirectStandardOutput = true };
        if (device is not null)
        {
            info.ArgumentList.Add(device);
        }

        var watch = Stopwatch.StartNew();
        using var process = Process.Start(info)!;
        double? ready = null;
        while (process.StandardOutput.ReadLine() is { } line)
        {
            if (line == Ready)
            {
                ready = watch.Elapsed.TotalSeconds;
            }
            else
            {
                Console.WriteLine(line);
            }
        }

        process.WaitForExit();
        return ready ?? throw new InvalidOperationException(string.Create(CultureInfo.InvariantCulture, $"The process ended with {process.ExitCode} before it was ready."));
    }
}
