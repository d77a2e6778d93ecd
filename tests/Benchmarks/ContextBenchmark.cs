using System.Diagnostics;
using System.Globalization;
using Chatterbox.Ops;
using Chatterbox.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace Chatterbox.Benchmarks;

/// <summary>What the left context of S3Gen's passes costs: the mel of speech in chunks against the whole's, and the time of a pass.</summary>
internal static class ContextBenchmark
{
    private const int Chunk = 50;

    /// <param name="folder">A checkpoint.</param>
    /// <param name="device">Where; null for the best there is.</param>
    /// <param name="tokens">Speech tokens of the speech.</param>
    public static void Run(string folder, string? device, int tokens)
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var place = new torch.Device(device ?? ModelOptions.BestDevice());
        var checkpoint = Checkpoint.Open(folder);
        using var store = new WeightStore(Checkpoint.OpenFile(checkpoint.S3GenPath), place);
        var networks = new S3GenNetworks(checkpoint.Config, store.Root, TorchOps.Plain, new ModelOptions().PrecisionOn(place));
        var voice = checkpoint.ReadVoice()!.S3Gen;
        var random = new Random(1);
        int[] speech = [.. Enumerable.Range(0, tokens).Select(_ => random.Next(checkpoint.Config.S3Gen.SpeechTokens))];
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{checkpoint.Config.Name} on {place}: {tokens} tokens, prompt of {voice.SpeechTokens.Count}, chunks of {Chunk}"));
        Console.WriteLine("| left context, tokens | mel error | worst frame | a pass, s |");
        Console.WriteLine("| ---: | ---: | ---: | ---: |");
        var (whole, _) = Speak(leftContext: tokens, chunk: tokens);
        foreach (var leftContext in new[] { 0, 25, 50, 100, 200, tokens })
        {
            var (mel, seconds) = Speak(leftContext, Chunk);
            var error = ((mel - whole).norm() / whole.norm()).item<float>();
            var worst = ((mel - whole).norm(1) / whole.norm(1)).max().item<float>();
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| {(leftContext == tokens ? "all" : leftContext)} | {error:0.000} | {worst:0.00} | {seconds:0.000} |"));
        }

        // The mel as it becomes sound, [1, bands, frames], and the time of the longest pass but the first.
        (Tensor Mel, double Seconds) Speak(int leftContext, int chunk)
        {
            using var inner = NewDisposeScope();
            using var noise = new NoiseSource(1);
            using var stream = networks.S3Gen.OpenStream(voice, noise, leftContext);
            var (sound, from, longest) = (new List<Tensor>(), 0L, 0.0);
            for (var known = chunk; from < 2 * tokens; known = Math.Min(known + chunk, tokens))
            {
                var watch = Stopwatch.StartNew();
                var mel = stream.Next(speech[..known], from, last: known == tokens);
                _ = mel.sum().item<float>();
                longest = from == 0 ? longest : Math.Max(longest, watch.Elapsed.TotalSeconds);
                var made = known == tokens ? mel.shape[2] : Math.Max(0, mel.shape[2] - networks.HiFT.Lookahead);
                sound.Add(mel.narrow(2, 0, made));
                from += made;
            }

            return (cat([.. sound], 2).MoveToOuterDisposeScope(), longest);
        }
    }
}
