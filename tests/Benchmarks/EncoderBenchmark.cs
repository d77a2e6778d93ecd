using System.Diagnostics;
using Chatterbox.Audio;
using Chatterbox.Service.Hosting;
using Chatterbox.Service.Streaming;
using Microsoft.Extensions.Options;
using static Chatterbox.Benchmarks.Report;

namespace Chatterbox.Benchmarks;

/// <summary>What each encoder costs the first chunk of a stream: how soon a byte of it comes out, and how much of it stays in until
/// more goes in.</summary>
internal static class EncoderBenchmark
{
    private const int Repetitions = 15;
    private const int ChunkSamples = SpeechResult.SampleRate * 48 / 100;

    private static readonly TimeSpan Silence = TimeSpan.FromMilliseconds(400);     // then nothing more comes out

    public static async Task Run()
    {
        using var ffmpeg = NewEncoder();
        if (!ffmpeg.IsAvailable)
        {
            Print($"ffmpeg is not installed: there are no encoders to measure");
            return;
        }

        foreach (var format in AudioFormat.All.Where(format => format.Encoding is not null))
        {
            await Encode(ffmpeg, format);
            var (started, waiting, heard) = (new List<double>(), new List<double>(), 0.0);
            for (var repetition = 0; repetition < Repetitions; repetition++)
            {
                using (var fresh = NewEncoder())
                {
                    started.Add((await Encode(fresh, format)).First);
                }

                (var first, heard) = await Encode(ffmpeg, format);
                waiting.Add(first);
            }

            Print($"{format.Name,-5} first byte {1000 * Median(waiting):0.0} ms behind the first samples, {1000 * Median(started):0} ms where ffmpeg starts with them; of 480 ms, {1000 * heard:0} ms are heard before more goes in");
        }
    }

    private static FfmpegEncoder NewEncoder() => new(Options.Create(new ServiceOptions()));

    /// <summary>Encodes one chunk, and leaves the encoder waiting for another.</summary>
    /// <returns>Seconds from the first samples to the first byte, and seconds of sound in all that came.</returns>
    private static async Task<(double First, double Heard)> Encode(FfmpegEncoder ffmpeg, AudioFormat format)
    {
        using var enough = new CancellationTokenSource();
        var (fed, first) = (0L, (double?)null);
        using var bytes = new MemoryStream();
        try
        {
            await foreach (var block in format.Encode(Chunk(), begun: Task.CompletedTask, speed: 1, ffmpeg, enough.Token))
            {
                first ??= Stopwatch.GetElapsedTime(fed).TotalSeconds;
                bytes.Write(block.Span);
                enough.CancelAfter(Silence);
            }
        }
        catch (OperationCanceledException) when (enough.IsCancellationRequested)
        {
            // All that comes has come.
        }

        bytes.Position = 0;
        return (first!.Value, AudioFile.Load(bytes).Duration.TotalSeconds);

        async IAsyncEnumerable<float[]> Chunk()
        {
            await Task.Yield();
            fed = Stopwatch.GetTimestamp();
            yield return [.. Enumerable.Range(0, ChunkSamples).Select(i => 0.4f * MathF.Sin(i / 15f))];
            await Task.Delay(Timeout.Infinite, enough.Token);
        }
    }
}
