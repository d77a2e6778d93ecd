using System.Diagnostics;
using System.Globalization;
using static Chatterbox.Benchmarks.Report;

namespace Chatterbox.Benchmarks;

/// <summary>From the start of a process until a model is loaded, and until it is warm, as the service makes it; the first speech
/// then shows what was still left to be made.</summary>
internal static class StartBenchmark
{
    private const int Repetitions = 2,
        LoadRepetitions = 7;
    private const string Loaded = "loaded",
        Warm = "warm";

    /// <summary>Starts processes, one after the other; each begins with <see cref="Begin"/>. The checkpoint has been read before; the
    /// first has to compile the kernels, and is told apart.</summary>
    public static void Run(string variant, string? device)
    {
        var folder = FullSize.Checkpoint(variant);
        foreach (var file in Directory.GetFiles(folder))
        {
            using var stream = File.OpenRead(file);
            stream.CopyTo(Stream.Null);
        }

        var kernels = Directory.CreateTempSubdirectory("kernels-").FullName;
        var first = Start(folder, device, kernels);
        var starts = Enumerable.Range(0, Repetitions).Select(_ => Start(folder, device, kernels)).ToList();
        Directory.Delete(kernels, recursive: true);
        Record($"start {variant} first", first[Warm]);
        Print($"  process start to warm, the first time, kernels compiled: {first[Warm]:0.00} s");
        foreach (var state in new[] { Loaded, Warm })
        {
            var times = starts.ConvertAll(start => start[state]);
            Record($"start {variant} {state}", Median(times));
            Print($"  process start to {state}: {Median(times):0.00} s, from {times.Min():0.00} to {times.Max():0.00}");
        }

        // By turns, so that the machine's other load falls on both.
        var loads = Enumerable
            .Range(0, LoadRepetitions)
            .Select(_ => (Checked: Load(folder, device, selfCheck: true), Bare: Load(folder, device, selfCheck: false)))
            .ToList();
        Print(
            $"  loading in a fresh process: {Median(loads.ConvertAll(load => load.Checked)):0.000} s with the self-check, {Median(loads.ConvertAll(load => load.Bare)):0.000} s without"
        );
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
        Console.WriteLine(Loaded);
        model.WarmUp();
        var warmUp = Lap();
        Console.WriteLine(Warm);
        double[] speech = [Speak(), Speak()];
        ChatterboxModel.Load(folder, new ModelOptions { Device = device }).Dispose();
        Print(
            $"    runtime {runtime:0.00} s, libtorch and GPU {torch:0.00} s, load {load:0.00} s (a second one {Lap():0.00} s), warm-up {warmUp:0.00} s; first speech {speech[0]:0.00} s, second {speech[1]:0.00} s"
        );

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

    /// <summary>The process whose load is measured: prints its seconds.</summary>
    public static void BeginLoad(string folder, string? device, bool selfCheck)
    {
        using var torchReady = TorchSharp.torch.zeros(1, device: Devices.Find(device));
        var watch = Stopwatch.StartNew();
        using var model = ChatterboxModel.Load(folder, new ModelOptions { Device = device, SelfCheck = selfCheck });
        Console.WriteLine(watch.Elapsed.TotalSeconds.ToString(CultureInfo.InvariantCulture));
    }

    /// <summary>Seconds that a model takes to load in a fresh process.</summary>
    private static double Load(string folder, string? device, bool selfCheck)
    {
        string[] arguments = ["load-time-host", folder, selfCheck ? "true" : "false", .. device is null ? [] : new[] { device }];
        using var process = Process.Start(new ProcessStartInfo(Environment.ProcessPath!, arguments) { RedirectStandardOutput = true })!;
        var seconds = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return double.Parse(seconds, CultureInfo.InvariantCulture);
    }

    /// <summary>When a process was where, in seconds since it was started.</summary>
    private static Dictionary<string, double> Start(string folder, string? device, string kernels)
    {
        var info = new ProcessStartInfo(Environment.ProcessPath!)
        {
            ArgumentList = { "start-host", folder },
            Environment = { ["CHATTERBOX_KERNEL_CACHE"] = kernels },
            RedirectStandardOutput = true,
        };
        if (device is not null)
        {
            info.ArgumentList.Add(device);
        }

        var watch = Stopwatch.StartNew();
        using var process = Process.Start(info)!;
        var times = new Dictionary<string, double>();
        while (process.StandardOutput.ReadLine() is { } line)
        {
            if (line is Loaded or Warm)
            {
                times[line] = watch.Elapsed.TotalSeconds;
            }
            else
            {
                Console.WriteLine(line);
            }
        }

        process.WaitForExit();
        return times.Count == 2
            ? times
            : throw new InvalidOperationException($"The process ended with {process.ExitCode} before it was ready.");
    }
}
