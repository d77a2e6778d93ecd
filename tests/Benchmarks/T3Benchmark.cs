using System.Diagnostics;
using Chatterbox.Models;
using Chatterbox.Ops;
using Chatterbox.T3;
using Chatterbox.T3.Fused;
using Chatterbox.Weights;
using TorchSharp;
using static Chatterbox.Benchmarks.Report;
using static TorchSharp.torch;

namespace Chatterbox.Benchmarks;

/// <summary>Times T3 at full size with synthetic weights: the prefill, and a speech token with everything that belongs to
/// it. Medians, after a warm-up. Synthetic weights hardly ever say stop, so the number of tokens is the one asked for.</summary>
internal static class T3Benchmark
{
    private const int Tokens = 250,
        Repetitions = 5;
    private const long CacheBytes = 64L << 30;

    private static readonly int[] Batches = [1, 2, 4, 8, 16, 32, 64, 128, 256];

    public static void Run(string variant, string? device)
    {
        var (file, config, textTokens) = variant switch
        {
            "english" => ("t3_cfg", T3Config.English, 40),
            "multilingual" => ("t3_mtl23ls_v2", T3Config.Multilingual, 40),
            "turbo" => ("t3_turbo_v1", T3Config.Turbo, 21),
            _ => ("t3_nano_v1", T3Config.Nano, 21),
        };
        var place = Devices.Find(device);
        var watch = Stopwatch.StartNew();
        using var store = new WeightStore(
            SyntheticTensors.FullSize(file),
            place,
            place.type == DeviceType.CUDA ? ScalarType.BFloat16 : ScalarType.Float32
        );
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var model = new T3Model(config, store.Root, TorchOps.Of(place));
        Print(
            $"{variant} on {place}: loaded in {watch.Elapsed.TotalSeconds:0.0} s, {(model.NotFusedReason is { } reason ? $"plain operations, because {reason}" : "fused kernels")}"
        );

        var voice = new T3Prompt(
            [.. Enumerable.Range(0, 256).Select(i => (float)Math.Sin(i) / 16)],
            [.. Enumerable.Range(0, config.PromptTokens).Select(i => i * 37 % 6561)]
        );
        int[] text = [.. Enumerable.Range(0, textTokens).Select(k => ((7 * k) % 600) + 20)];
        using var alone = model.CreateDecoder();
        var (prefill, token, total) = Measure(alone, text, voice);
        Record($"t3 {variant} token", token);
        Record($"t3 {variant} token with prefill", total / Tokens);
        Print($"  to the first token {prefill:0.00} ms, a token {token:0.000} ms, {Tokens} tokens {total:0.0} ms");
        if (model.NotFusedReason is not null)
        {
            return;
        }

        using var decoder = new FusedT3Decoder(model, BatchArguments.MostSequences, CacheBytes);
        if (decoder.SingleUnsupportedReason is null)
        {
            decoder.UsesSingleStep = false;
            Print($"  a step as a graph of kernels and not as one: a token {Measure(decoder, text, voice).Token:0.000} ms");
            decoder.UsesSingleStep = true;
        }

        foreach (var sequences in Batches.Where(sequences => sequences <= decoder.Capacity))
        {
            var step = MeasureBatch(decoder, sequences, text, voice);
            Record($"t3 {variant} step of {sequences}", step);
            Print(
                $"  {sequences} sequences: a step {step:0.000} ms, {sequences * 1000 / SpeechResult.TokensPerSecond / step:0} x real time"
            );
        }
    }

    /// <summary>Milliseconds of a step of so many sequences, around their two-hundredth speech token.</summary>
    private static double MeasureBatch(FusedT3Decoder decoder, int count, int[] text, T3Prompt voice)
    {
        const int WarmUp = 150,
            Steps = 100;
        var noises = Enumerable.Range(0, count).Select(seed => new NoiseSource(seed)).ToArray();
        var sequences = noises
            .Select(noise => decoder.Start(text, voice, new SamplingOptions { MaxSpeechTokens = 400, Temperature = 2 }, noise))
            .ToArray();
        var watch = new Stopwatch();
        for (var step = 0; step < WarmUp + Steps; step++)
        {
            if (step == WarmUp)
            {
                watch.Restart();
            }

            decoder.Step(sequences);
        }

        var taken = watch.Elapsed.TotalMilliseconds / Steps;
        foreach (var part in (IEnumerable<IDisposable>)[.. sequences, .. noises])
        {
            part.Dispose();
        }

        return taken;
    }

    private static (double Prefill, double Token, double Total) Measure(IT3Decoder decoder, int[] text, T3Prompt voice)
    {
        var watch = new Stopwatch();
        var (prefills, tokens, totals) = (new List<double>(), new List<double>(), new List<double>());
        for (var seed = 0; totals.Count <= Repetitions; seed++)
        {
            using var noise = new NoiseSource(seed);
            watch.Restart();
            using var sequence = decoder.Start(text, voice, new SamplingOptions { MaxSpeechTokens = Tokens }, noise);
            decoder.Step(sequence);
            var prefill = watch.Elapsed.TotalMilliseconds;
            while (!sequence.Finished)
            {
                decoder.Step(sequence);
            }

            var total = watch.Elapsed.TotalMilliseconds;
            if (sequence.ReachedLimit) // some seeds say stop before
            {
                prefills.Add(prefill);
                tokens.Add((total - prefill) / (sequence.SpeechTokens.Count - 1));
                totals.Add(total);
            }
        }

        foreach (var times in new[] { prefills, tokens, totals })
        {
            times.RemoveAt(0); // warmed up
        }

        return (Median(prefills), Median(tokens), Median(totals));
    }
}
