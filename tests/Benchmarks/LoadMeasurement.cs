using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;

namespace Chatterbox.Benchmarks;

/// <summary>One row of the load benchmark: some seconds to fill the service, the measured window, and a wait for the first audio of
/// what was asked for in it.</summary>
internal sealed class LoadMeasurement(Process service, HttpClient[] clients, string model, LoadKind kind)
{
    private static readonly TimeSpan LongestDrain = TimeSpan.FromSeconds(15),
        Sample = TimeSpan.FromMilliseconds(100);

    private readonly ConcurrentQueue<LoadAnswer> _answers = new();
    private readonly CancellationTokenSource _noMore = new(),
        _disconnect = new();

    /// <summary>Measures the row.</summary>
    public async Task<LoadRow> RunAsync()
    {
        var listening = kind.IsOpen ? ArriveAsync() : Task.WhenAll(Enumerable.Range(0, (int)kind.Load).Select(ListenAsync));
        await Task.Delay(TimeSpan.FromSeconds(Math.Max(2, kind.Options.Seconds / 5)));
        using var gpu = NvmlGpu.Open(kind.Options.Device);
        var (from, before, cpuBefore) = (Stopwatch.GetTimestamp(), await ServiceMetricsOf(clients[0]), CpuTime());
        var (busy, memory, samples) = (0.0, 0L, 0);
        while (Stopwatch.GetElapsedTime(from).TotalSeconds < kind.Options.Seconds)
        {
            await Task.Delay(Sample);
            if (gpu is not null)
            {
                (busy, memory, samples) = (busy + gpu.BusyShare(), Math.Max(memory, gpu.MemoryUsed()), samples + 1);
            }
        }

        var (to, after, cpuAfter) = (Stopwatch.GetTimestamp(), await ServiceMetricsOf(clients[0]), CpuTime());
        await _noMore.CancelAsync();
        _disconnect.CancelAfter(LongestDrain);
        await listening;
        service.Refresh();
        var seconds = Stopwatch.GetElapsedTime(from, to).TotalSeconds;
        double Change(string metric) => after.GetValueOrDefault(metric) - before.GetValueOrDefault(metric);
        double? Mean(string histogram) => Change($"{histogram}_count") is > 0 and var count ? Change($"{histogram}_sum") / count : null;
        var asked = _answers.Where(answer => answer.Began >= from && answer.Began < to).ToList();
        return new LoadRow
        {
            Name = kind.Name,
            Requests = asked.Count,
            Refused = asked.Count(answer => answer.Outcome == LoadOutcome.Refused),
            Failed = asked.Count(answer => answer.Outcome == LoadOutcome.Failed),
            First = [.. asked.Select(answer => answer.First).OfType<double>().Order()],
            Dry = asked.Count(answer => answer.Dry > 0.001),
            DrySeconds = asked.Sum(answer => answer.Dry),
            RealTime = Change("chatterbox_audio_seconds_total") / seconds,
            Rows = Mean("chatterbox_step_rows"),
            StepSeconds = Mean("chatterbox_step_duration_seconds"),
            Voiced = Mean("chatterbox_voice_batch"),
            GpuBusy = samples > 0 ? busy / samples : null,
            GpuMemory = memory,
            HostCores = (cpuAfter - cpuBefore) / seconds,
            HostMemory = service.WorkingSet64,
        };
    }

    private async Task ListenAsync(int index)
    {
        var listener = new LoadListener(clients[index % clients.Length], model, kind, seed: index);
        while (!_noMore.IsCancellationRequested)
        {
            _answers.Enqueue(await listener.AskAsync(_disconnect.Token));
        }
    }

    private async Task ArriveAsync()
    {
        var random = new Random(1);
        var (answers, next) = (new List<Task>(), 0.0);
        var began = Stopwatch.GetTimestamp();
        while (!_noMore.IsCancellationRequested)
        {
            next -= Math.Log(1 - random.NextDouble()) / kind.Load;
            if (next - Stopwatch.GetElapsedTime(began).TotalSeconds is > 0 and var wait)
            {
                await Task.Delay(TimeSpan.FromSeconds(wait), CancellationToken.None);
            }

            var listener = new LoadListener(clients[answers.Count % clients.Length], model, kind, seed: answers.Count);
            answers.Add(AskAsync(listener));
        }

        await Task.WhenAll(answers);
        async Task AskAsync(LoadListener listener) => _answers.Enqueue(await listener.AskAsync(_disconnect.Token));
    }

    private double CpuTime()
    {
        service.Refresh();
        return service.TotalProcessorTime.TotalSeconds;
    }

    /// <summary>The service's counters and histograms, added up over their labels.</summary>
    private static async Task<Dictionary<string, double>> ServiceMetricsOf(HttpClient http)
    {
        var text = await http.GetStringAsync(new Uri("/metrics", UriKind.Relative));
        return text.Split('\n')
            .Where(line => line.StartsWith("chatterbox_", StringComparison.Ordinal))
            .Select(line => line.Split(' '))
            .GroupBy(parts => parts[0].Split('{')[0], parts => double.Parse(parts[1], CultureInfo.InvariantCulture))
            .ToDictionary(sum => sum.Key, sum => sum.Sum());
    }
}

/// <summary>What a row has shown.</summary>
internal sealed record LoadRow
{
    /// <summary>First lines of the table.</summary>
    public const string Header =
        "| row | requests | refused | failed | first audio p50 / p95 / p99 | ran dry | × real time | rows a step | ms a step | voiced at once | GPU busy, GiB | host cores, GiB |\n"
        + "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |";

    /// <summary>First line of the CSV.</summary>
    public const string CsvHeader =
        "row,requests,refused,failed,first_p50_s,first_p95_s,first_p99_s,dry,dry_s,real_time,step_rows,step_s,voice_batch,gpu_busy,gpu_bytes,host_cores,host_bytes";

    private const double GiB = 1L << 30;

    /// <summary>What was measured.</summary>
    public required string Name { get; init; }

    /// <summary>Requests of the window.</summary>
    public required int Requests { get; init; }

    /// <summary>Those for which the queue was full.</summary>
    public required int Refused { get; init; }

    /// <summary>Those that the service failed.</summary>
    public required int Failed { get; init; }

    /// <summary>Seconds to first audio, ascending.</summary>
    public required double[] First { get; init; }

    /// <summary>Listeners whose playback stalled.</summary>
    public required int Dry { get; init; }

    /// <summary>Seconds for which it did, all together.</summary>
    public required double DrySeconds { get; init; }

    /// <summary>Seconds of audio a second.</summary>
    public required double RealTime { get; init; }

    /// <summary>Mean sequences a step of T3.</summary>
    public required double? Rows { get; init; }

    /// <summary>Mean seconds of a step.</summary>
    public required double? StepSeconds { get; init; }

    /// <summary>Mean streams voiced at once.</summary>
    public required double? Voiced { get; init; }

    /// <summary>Share of the time in which the GPU ran a kernel.</summary>
    public required double? GpuBusy { get; init; }

    /// <summary>Bytes in use, at most.</summary>
    public required long GpuMemory { get; init; }

    /// <summary>Processor time of the service a second.</summary>
    public required double HostCores { get; init; }

    /// <summary>Resident bytes of the service.</summary>
    public required long HostMemory { get; init; }

    /// <summary>The row of the CSV.</summary>
    public string ToCsv() =>
        string.Create(
            CultureInfo.InvariantCulture,
            $"{Name},{Requests},{Refused},{Failed},{Percentile(50):0.0000},{Percentile(95):0.0000},{Percentile(99):0.0000},{Dry},{DrySeconds:0.000},{RealTime:0.00},{Rows:0.00},{StepSeconds:0.000000},{Voiced:0.00},{GpuBusy:0.000},{GpuMemory},{HostCores:0.00},{HostMemory}"
        );

    /// <summary>The row of the table.</summary>
    public override string ToString() =>
        string.Create(
            CultureInfo.InvariantCulture,
            $"| {Name} | {Requests} | {Refused} | {Failed} | {1000 * Percentile(50):0} / {1000 * Percentile(95):0} / {1000 * Percentile(99):0} ms | {Dry} ({DrySeconds:0.0} s) | {RealTime:0.0} | {Rows:0.0} | {1000 * StepSeconds:0.00} | {Voiced:0.0} | {100 * GpuBusy:0} %, {GpuMemory / GiB:0.0} | {HostCores:0.0}, {HostMemory / GiB:0.0} |"
        );

    private double Percentile(int percent) =>
        First.Length == 0 ? double.NaN : First[Math.Min(First.Length - 1, First.Length * percent / 100)];
}
