using System.Diagnostics;
using Chatterbox.Models;
using Chatterbox.Ops;
using Chatterbox.T3;
using Chatterbox.Weights;
using TorchSharp;
using static Chatterbox.Benchmarks.Report;
using static TorchSharp.torch;

namespace Chatterbox.Benchmarks;

/// <summary>Times T3 at full size with synthetic weights: the prefill, and a speech token with everything that belongs to
/// it. Medians, after a warm-up. Synthetic weights hardly ever say stop, so the number of tokens is the one asked for.</summary>
internal static class T3Benchmark
{
    private const int Tokens = 250, Repetitions = 5;

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
        using var store = new WeightStore(SyntheticTensors.FullSize(file), place, place.type == DeviceType.CUDA ? ScalarType.BFloat16 : ScalarType.Float32);
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var model = new T3Model(config, store.Root, TorchOps.Plain);
        Print($"{variant} on {place}: loaded in {watch.Elapsed.TotalSeconds:0.0} s, {(model.WhyNotFused is { } reason ? $"plain operations, because {reason}" : "fused kernels")}");

        var voice = new T3Prompt([.. Enumerable.Range(0, 256).Select(i => (float)Math.Sin(i) / 16)], [.. Enumerable.Range(0, config.PromptTokens).Select(i => i * 37 % 6561)]);
        int[] text = [.. Enumerable.Range(0, textTokens).Select(k => ((7 * k) % 600) + 20)];
        var (prefills, tokens, totals) = (new List<double>(), new List<double>(), new List<double>());
        for (var seed = 0; totals.Count <= Repetitions; seed++)
        {
            using var noise = new NoiseSource(seed);
            using var decoder = new T3Decoder(model);
            watch.Restart();
            using var sequence = decoder.Start(text, voice, new SamplingOptions { MaxSpeechTokens = Tokens }, noise);
            decoder.Step(sequence);
            var prefill = watch.Elapsed.TotalMilliseconds;
            while (!sequence.Finished)
            {
                decoder.Step(sequence);
            }

            var total = watch.Elapsed.TotalMilliseconds;
            if (sequence.ReachedLimit)    // some seeds say stop before
            {
                prefills.Add(prefill);
                tokens.Add((total - prefill) / (sequence.SpeechTokens.Count - 1));
                totals.Add(total);
            }
        }

        foreach (var times in new[] { prefills, tokens, totals })
        {
            times.RemoveAt(0);    // warmed up
        }

        Record($"t3 {variant} token", Median(tokens));
        Record($"t3 {variant} token with prefill", Median(totals) / Tokens);
        Print($"  to the first token {Median(prefills):0.00} ms, a token {Median(tokens):0.000} ms, {Tokens} tokens {Median(totals):0.0} ms");
    }
}
