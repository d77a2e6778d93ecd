using System.Diagnostics;
using System.Globalization;
using static Chatterbox.Benchmarks.Report;

namespace Chatterbox.Benchmarks;

/// <summary>Every part that a listener waits for, at full size, beside the Python reference on the same machine in the same run.</summary>
internal static class TableBenchmark
{
    // What one NVIDIA H200 is to reach, one request at a time.
    private static readonly Row[] GpuRows =
    [
        new("T3 English, a token of 250, prefill included", "t3 english token with prefill", "ms", 1.2, 0.5),
        new("T3 English, a token after the first", "t3 english token", "ms"),
        new("T3 Turbo, a token of 250, prefill included", "t3 turbo token with prefill", "ms", 0.8, 0.3),
        new("T3 Turbo, a token after the first", "t3 turbo token", "ms"),
        new("T3 Nano, a token of 250, prefill included", "t3 nano token with prefill", "ms"),
        new("flow, 10 s, 10 steps with CFG", "standard tokens to mel", "ms", 60, 25),
        new("flow, 10 s, mean flow, 2 steps", "meanflow tokens to mel", "ms", 12, 5),
        new("vocoder, 10 s", "standard vocoder", "ms", 6, 3),
        new("watermark, 10 s", "standard watermark", "ms", 2, 1),
        new("voice, 10 s recording", "standard voice", "ms", 20, 10),
        new("text in, 10 s of audio out, English", "speech english", "ms", 400, 165),
        new("text in, 10 s of audio out, Turbo", "speech turbo", "ms", 240, 100),
        new("process start to loaded, English", "start english loaded", "s"),
        new("process start to warm, English", "start english warm", "s", 8, 4),
        new("  the first time, its kernels compiled", "start english first", "s"),
        new("GPU memory, English, ready", "memory english ready", "GiB", 2.2, 1.6),
        new("GPU memory, English, after 12 speeches", "memory english after", "GiB", 2.2, 1.6),
        new("GPU memory, English, and a voice made", "memory english with a voice made", "GiB", 2.2, 1.6),
        new("  (CUDA's empty context beside it)", "memory english empty", "GiB"),
    ];

    // What eight cores with AVX-512 are to reach.
    private static readonly Row[] CpuRows =
    [
        new("text in, 10 s of audio out, Nano", "speech nano", "ms", 2000, 1111),
        new("  T3, a token of 250, prefill included", "t3 nano token with prefill", "ms", 3, 1.5),
        new("  flow, mean flow, 2 steps", "meanflow tokens to mel", "ms"),
        new("  vocoder", "meanflow vocoder", "ms"),
        new("  watermark", "meanflow watermark", "ms"),
        new("  memory, resident", "memory nano resident", "GiB", 1.0, 0.6),
        new("text in, 10 s of audio out, Turbo", "speech turbo", "ms", 5000, 2500),
        new("  T3, a token of 250, prefill included", "t3 turbo token with prefill", "ms"),
        new("text in, 10 s of audio out, English", "speech english", "ms", 14286, 6667),
        new("  T3, a token of 250, prefill included", "t3 english token with prefill", "ms"),
        new("  flow, 10 steps with CFG", "standard tokens to mel", "ms"),
    ];

    private static readonly string[][] CpuParts =
    [
        ["synthesis", "nano"],
        ["synthesis", "turbo"],
        ["synthesis", "english"],
    ];

    private static readonly string[][] GpuParts =
    [
        ["t3", "english"],
        ["t3", "turbo"],
        ["t3", "nano"],
        ["voice", "standard"],
        ["voice", "meanflow"],
        ["speech", "english"],
        ["speech", "turbo"],
        ["start", "english"],
    ];

    /// <param name="device">Where; null for the best there is.</param>
    /// <param name="withReference">True to run the Python reference too, where it is installed.</param>
    public static int Run(string? device, bool withReference)
    {
        device ??= ModelOptions.BestDevice();
        var onCpu = device == "cpu";
        var (rows, parts, models) = onCpu
            ? (CpuRows, CpuParts, new[] { "nano", "turbo", "english" })
            : (GpuRows, GpuParts, ["english", "turbo"]);
        var here = new Dictionary<string, double>();
        var reference = new Dictionary<string, double>();
        var failed = false;
        if (withReference && !PythonHas("chatterbox"))
        {
            Console.WriteLine("The Python reference is left out: `python3 -c 'import chatterbox'` fails here.");
            withReference = false;
        }

        if (withReference)
        {
            failed |= !Measure(device, "python3", [Path.Combine(AppContext.BaseDirectory, "reference.py"), device, .. models], reference);
        }

        // A row is told as soon as it is known: the whole takes minutes, and may be cut off.
        foreach (var part in parts)
        {
            var known = here.Keys.ToHashSet();
            failed |= !Measure(device, Environment.ProcessPath!, onCpu ? part : [.. part, device], here);
            Tell(rows.Where(row => here.ContainsKey(row.Name) && !known.Contains(row.Name)));
        }

        Console.WriteLine($"\n| part, on {device} | reference | here | ratio | must | goal |\n| --- | ---: | ---: | ---: | ---: | ---: |");
        Tell(rows);
        return failed ? 1 : 0;

        void Tell(IEnumerable<Row> some)
        {
            foreach (var row in some)
            {
                var (theirs, ours) = (Value(reference, row.Name), Value(here, row.Name));
                Print(
                    $"| {row.Part} | {Show(theirs, row.Unit)} | {Show(ours, row.Unit)} | {theirs / ours:0.0} | {Show(row.Must, row.Unit)} | {Show(row.Goal, row.Unit)} |"
                );
            }
        }
    }

    private static bool PythonHas(string module)
    {
        try
        {
            using var python = Process.Start(new ProcessStartInfo("python3", ["-c", $"import {module}"]) { RedirectStandardError = true })!;
            python.StandardError.ReadToEnd();
            python.WaitForExit();
            return python.ExitCode == 0;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return false; // no Python at all
        }
    }

    /// <summary>Runs a process that records what it measures.</summary>
    private static bool Measure(string device, string program, string[] arguments, Dictionary<string, double> values)
    {
        var file = Path.GetTempFileName();
        var watch = Stopwatch.StartNew();
        using (
            var process = Process.Start(
                new ProcessStartInfo(program, arguments) { Environment = { [RecordFile] = file, ["DEVICE"] = device } }
            )!
        )
        {
            process.WaitForExit();
            Print(
                $"[{string.Join(' ', arguments.Select(Path.GetFileName))}: {watch.Elapsed.TotalSeconds:0} s{(process.ExitCode == 0 ? "" : $", failed with {process.ExitCode}")}]"
            );
            foreach (var fields in File.ReadLines(file).Select(line => line.Split('\t')))
            {
                values[fields[0]] = double.Parse(fields[1], CultureInfo.InvariantCulture);
            }

            File.Delete(file);
            return process.ExitCode == 0;
        }
    }

    private static double? Value(Dictionary<string, double> values, string name) => values.TryGetValue(name, out var value) ? value : null;

    private static string Show(double? value, string unit) =>
        value is { } number
            ? string.Create(
                CultureInfo.InvariantCulture,
                $"{number.ToString(number < 10 ? "0.00" : "0", CultureInfo.InvariantCulture)} {unit}"
            )
            : "";

    /// <param name="Part">For people.</param>
    /// <param name="Name">What the measurements call it.</param>
    /// <param name="Unit">Of the values.</param>
    /// <param name="Must">What is to be reached.</param>
    /// <param name="Goal">What is hoped for.</param>
    private sealed record Row(string Part, string Name, string Unit, double? Must = null, double? Goal = null);
}
