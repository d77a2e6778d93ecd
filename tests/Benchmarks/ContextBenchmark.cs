using System.Diagnostics;
using Chatterbox.HiFT;
using Chatterbox.Models;
using Chatterbox.Ops;
using Chatterbox.S3Gen;
using Chatterbox.Weights;
using static Chatterbox.Benchmarks.Report;
using static TorchSharp.torch;

namespace Chatterbox.Benchmarks;

/// <summary>What S3Gen's passes cost for what they do not see, at full size with synthetic weights: the mel of speech in chunks
/// against the whole's over left contexts, that of the first chunk over how much of the prompt it sees, and the time of a pass.</summary>
internal static class ContextBenchmark
{
    private const int PromptTokens = 250;
    private const int FirstChunk = 8,
        Repetitions = 3;

    /// <param name="variant">standard or meanflow.</param>
    /// <param name="device">Where; null for the best there is.</param>
    /// <param name="tokens">Speech tokens of the speech.</param>
    public static void Run(string variant, string? device, int tokens)
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var place = Devices.Find(device);
        var (file, config) = variant == "meanflow" ? ("s3gen_meanflow", S3GenConfig.MeanFlow) : ("s3gen", S3GenConfig.Standard);
        using var store = new WeightStore(SyntheticTensors.FullSize(file), place);
        var precision = new ModelOptions().EffectivePrecision;
        var s3gen = new S3GenModel(config, store.Root["flow"], TorchOps.Plain, precision);
        var lookahead = new HiFTGenerator(new(), store.Root["mel2wav"], TorchOps.Plain, precision).Lookahead;
        var random = new Random(1);
        int[] Tokens(int count) => [.. Enumerable.Range(0, count).Select(_ => random.Next(config.SpeechTokens))];
        var voice = new S3GenPrompt(
            Tokens(PromptTokens),
            [.. Enumerable.Range(0, 2 * PromptTokens * 80).Select(_ => (float)(-6 + (3 * random.NextDouble())))],
            [.. Enumerable.Range(0, 192).Select(i => MathF.Cos(i))]
        );
        var speech = Tokens(tokens);
        Print($"{variant} on {place}: {tokens} tokens, prompt of {PromptTokens}");
        var (whole, _) = Speak(leftContext: tokens, chunk: tokens);
        Print(
            $"\n| prompt that the first chunk sees, tokens | relative error | log-spectral distance, dB | worst frame, dB | its pass, ms |\n| ---: | ---: | ---: | ---: | ---: |"
        );
        foreach (var prompt in new[] { 25, 50, 75, 125, 175, PromptTokens })
        {
            var (mel, seconds) = Begin(prompt);
            Print($"| {(prompt == PromptTokens ? "all" : prompt)} | {Compare(mel, seconds)} |");
        }

        foreach (var chunk in new[] { 50, 128, 256 })
        {
            Print(
                $"\n| chunks of {chunk}, left context, tokens | relative error | log-spectral distance, dB | worst frame, dB | a pass, ms |\n| ---: | ---: | ---: | ---: | ---: |"
            );
            foreach (var leftContext in new[] { 0, 25, 50, 100, 200, 400, tokens })
            {
                var (mel, seconds) = Speak(leftContext, chunk);
                Print($"| {(leftContext == tokens ? "all" : leftContext)} | {Compare(mel, seconds)} |");
            }
        }

        string Compare(Tensor mel, double seconds)
        {
            using var inner = NewDisposeScope();
            var same = whole.narrow(2, 0, mel.size(2));
            var error = ((mel - same).norm() / same.norm()).item<float>();

            // The mel is the natural logarithm of magnitudes.
            var distances = 20 / Math.Log(10) * (mel - same).square().mean([1]).sqrt();
            return $"{error:0.0000} | {distances.mean().item<float>():0.00} | {distances.max().item<float>():0.00} | {seconds * 1000:0.0}";
        }

        // The mel that is the first chunk's, and the median time of its pass.
        (Tensor Mel, double Seconds) Begin(int prompt)
        {
            using var inner = NewDisposeScope();
            var known = FirstChunk + (lookahead / config.Encoder.Upsampling) + config.Encoder.Lookahead;
            var (mel, times) = (default(Tensor), new List<double>());
            for (var repetition = 0; repetition < Repetitions; repetition++)
            {
                using var noise = new NoiseSource(1);
                using var stream = s3gen.OpenStream(voice, noise, leftContext: 0, prompt);
                var watch = Stopwatch.StartNew();
                mel = stream.Next(speech[..known], from: 0, last: false);
                _ = mel.sum().item<float>();
                times.Add(watch.Elapsed.TotalSeconds);
            }

            return (mel!.narrow(2, 0, mel.size(2) - lookahead).MoveToOuterDisposeScope(), Median(times));
        }

        // The mel as it becomes sound, [1, bands, frames], and the median time of passes but the first and the last.
        (Tensor Mel, double Seconds) Speak(int leftContext, int chunk)
        {
            using var inner = NewDisposeScope();
            using var noise = new NoiseSource(1);
            using var stream = s3gen.OpenStream(voice, noise, leftContext);
            var (sound, from, times) = (new List<Tensor>(), 0L, new List<double>());
            for (var known = chunk; from < 2 * tokens; known = Math.Min(known + chunk, tokens))
            {
                var watch = Stopwatch.StartNew();
                var mel = stream.Next(speech[..Math.Min(known, tokens)], from, last: known >= tokens);
                _ = mel.sum().item<float>();
                times.Add(watch.Elapsed.TotalSeconds);
                var made = known >= tokens ? mel.shape[2] : Math.Max(0, mel.shape[2] - lookahead);
                sound.Add(mel.narrow(2, 0, made));
                from += made;
            }

            return (cat([.. sound], 2).MoveToOuterDisposeScope(), Median(times.Count > 2 ? times[1..^1] : times));
        }
    }
}
