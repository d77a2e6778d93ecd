using System.Buffers;
using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using Chatterbox.Audio;
using Chatterbox.Audio.Mp3;
using static Chatterbox.Benchmarks.Report;

namespace Chatterbox.Benchmarks;

/// <summary>What each format costs in this process, next to ffmpeg encoding the same: how soon the first byte of a stream comes, processor
/// time, and bytes. The two alternate, so that the machine's other load falls on both.</summary>
internal static partial class EncoderBenchmark
{
    private const int Repetitions = 9;
    private const int ChunkSamples = SpeechResult.SampleRate * 48 / 100;
    private const int Seconds = 20;

    private static readonly (string Name, string[] Ffmpeg)[] Formats =
    [
        ("mp3", ["-c:a", "libmp3lame", "-b:a", "128k", "-reservoir", "0", "-write_xing", "0", "-id3v2_version", "0", "-f", "mp3"]),
        ("opus", ["-c:a", "libopus", "-b:a", "64k", "-frame_duration", "20", "-page_duration", "20000", "-f", "ogg"]),
        ("flac", ["-c:a", "flac", "-sample_fmt", "s16", "-frame_size", "1152", "-f", "flac"]),
        ("wav", ["-f", "wav"]),
        ("ulaw", ["-ar", "8000", "-f", "mulaw"]),
        ("pcm_16000", ["-ar", "16000", "-f", "s16le"]),
    ];

    /// <summary>Prints a row for each format.</summary>
    public static async Task Run()
    {
        var samples = Speech();
        using var codecs = new AudioCodecs();
        Print($"{"format", -12} {"in process", 34} {"ffmpeg", 34}");
        Print($"{"", -12} {"first byte", 12} {"ms CPU/s", 10} {"kbit/s", 10} {"first byte", 12} {"ms CPU/s", 10} {"kbit/s", 10}");
        foreach (var (name, ffmpeg) in Formats)
        {
            var format = AudioFormat.Parse(name);
            await Compare(
                name,
                ffmpeg,
                (blocks, cancellationToken) => codecs.Encode(blocks, format, cancellationToken: cancellationToken),
                samples
            );
        }

        await Compare("mp3, own", Formats[0].Ffmpeg, (blocks, _) => Own(blocks), samples);
        await Compare(
            "speed 1.5",
            ["-af", "atempo=1.5", "-f", "s16le"],
            (blocks, cancellationToken) => codecs.Encode(blocks, AudioFormat.Parse("pcm"), 1.5, cancellationToken: cancellationToken),
            samples
        );
    }

    private static async Task Compare(
        string name,
        string[] ffmpeg,
        Func<IAsyncEnumerable<ReadOnlyMemory<float>>, CancellationToken, IAsyncEnumerable<ReadOnlyMemory<byte>>> encode,
        float[] samples
    )
    {
        var (ours, theirs) = (new List<Cost>(), new List<Cost>());
        for (var repetition = 0; repetition <= Repetitions; repetition++)
        {
            ours.Add(await Measure(encode, samples));
            theirs.Add(await MeasureFfmpeg(ffmpeg, samples));
        }

        Print($"{name, -12} {Row(ours)} {Row(theirs)}");
    }

    private static string Row(List<Cost> costs)
    {
        var warm = costs[1..]; // the first compiles, and reads the program from the disk
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{1000 * Median(warm.ConvertAll(cost => cost.FirstByte)), 9:0.00} ms {1000 * Median(warm.ConvertAll(cost => cost.Processor)) / Seconds, 10:0.00} "
                + $"{warm[0].Bytes * 8 / 1000.0 / Seconds, 10:0.0}"
        );
    }

    private static async Task<Cost> Measure(
        Func<IAsyncEnumerable<ReadOnlyMemory<float>>, CancellationToken, IAsyncEnumerable<ReadOnlyMemory<byte>>> encode,
        float[] samples
    )
    {
        using var own = Process.GetCurrentProcess();
        own.Refresh();
        var (processor, clock, first, bytes) = (own.TotalProcessorTime, Stopwatch.StartNew(), (double?)null, 0L);
        await foreach (var block in encode(Chunks(samples), CancellationToken.None))
        {
            first ??= clock.Elapsed.TotalSeconds;
            bytes += block.Length;
        }

        own.Refresh();
        return new Cost(first ?? 0, (own.TotalProcessorTime - processor).TotalSeconds, bytes);
    }

    private static async Task<Cost> MeasureFfmpeg(string[] encoding, float[] samples)
    {
        var start = new ProcessStartInfo("ffmpeg") { RedirectStandardInput = true, RedirectStandardOutput = true };
        string[] input =
        [
            "-hide_banner",
            "-loglevel",
            "error",
            "-probesize",
            "32",
            "-analyzeduration",
            "0",
            "-f",
            "f32le",
            "-ar",
            "24000",
            "-ac",
            "1",
            "-i",
            "pipe:0",
        ];
        foreach (var argument in (string[])[.. input, .. encoding, "-flush_packets", "1", "pipe:1"])
        {
            start.ArgumentList.Add(argument);
        }

        var (processor, clock) = (ProcessorSecondsOfEnded(), Stopwatch.StartNew());
        using var process = Process.Start(start)!;
        var reading = Task.Run(async () =>
        {
            var (first, bytes, buffer) = ((double?)null, 0L, new byte[16384]);
            for (int read; (read = await process.StandardOutput.BaseStream.ReadAsync(buffer)) > 0; bytes += read)
            {
                first ??= clock.Elapsed.TotalSeconds;
            }

            return (First: first ?? 0, Bytes: bytes);
        });
        await foreach (var chunk in Chunks(samples))
        {
            await process.StandardInput.BaseStream.WriteAsync(MemoryMarshal.AsBytes(chunk.Span).ToArray());
            await process.StandardInput.BaseStream.FlushAsync();
        }

        process.StandardInput.Close();
        var (firstByte, count) = await reading;
        await process.WaitForExitAsync();
        return new Cost(firstByte, ProcessorSecondsOfEnded() - processor, count);
    }

    private static async IAsyncEnumerable<ReadOnlyMemory<byte>> Own(IAsyncEnumerable<ReadOnlyMemory<float>> blocks)
    {
        using var encoder = new Mp3Encoder(SpeechResult.SampleRate, 128_000);
        var output = new ArrayBufferWriter<byte>();
        await foreach (var block in blocks)
        {
            encoder.Encode(block.Span, output);
            yield return output.WrittenMemory;
            output.ResetWrittenCount();
        }
    }

    private static async IAsyncEnumerable<ReadOnlyMemory<float>> Chunks(float[] samples)
    {
        await Task.Yield();
        for (var i = 0; i < samples.Length; i += ChunkSamples)
        {
            yield return samples.AsMemory(i, Math.Min(ChunkSamples, samples.Length - i));
        }
    }

    /// <summary>Processor time of all processes that this one has started and that have ended.</summary>
    private static double ProcessorSecondsOfEnded()
    {
        const int Children = -1;
        Span<long> usage = stackalloc long[18]; // rusage: user and system time, each in seconds and microseconds, and fourteen counts
        return GetResourceUsage(Children, usage) == 0
            ? usage[0] + usage[2] + ((usage[1] + usage[3]) / 1e6)
            : throw new InvalidOperationException("getrusage failed.");
    }

    [LibraryImport("libc", EntryPoint = "getrusage")]
    private static partial int GetResourceUsage(int whose, Span<long> usage);

    private static float[] Speech()
    {
        var clip = AudioFile.Load(Path.Combine(AppContext.BaseDirectory, "librispeech_6930-75918-0001_14s.wav"));
        var speech = Resampler.Resample(clip.Samples.Span, clip.SampleRate, SpeechResult.SampleRate);
        return [.. Enumerable.Range(0, Seconds * SpeechResult.SampleRate).Select(i => speech[i % speech.Length])];
    }

    private sealed record Cost(double FirstByte, double Processor, long Bytes);
}
