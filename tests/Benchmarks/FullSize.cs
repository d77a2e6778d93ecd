using System.Diagnostics;
using Chatterbox.Audio;
using Chatterbox.Models;
using static Chatterbox.Benchmarks.Report;

namespace Chatterbox.Benchmarks;

/// <summary>What the measurements of whole models are made with.</summary>
internal static class FullSize
{
    /// <summary>Speech tokens of 10 s.</summary>
    public const int Tokens = 250;

    /// <summary>A sentence or two, as long as 10 s of speech.</summary>
    public const string Text =
        "The quick brown fox jumps over the lazy dog, and the lazy dog, who has seen many foxes jump, does not even lift his head.";

    /// <summary>A folder with a synthetic checkpoint, converted as for a GPU; made on first use, in the folder for temporary
    /// files.</summary>
    public static string Checkpoint(string variant)
    {
        var folder = Path.Combine(Path.GetTempPath(), "chatterbox-benchmarks", variant);
        if (!Directory.Exists(folder))
        {
            var (whole, unfinished) = ($"{folder}-whole", $"{folder}-unfinished");
            var watch = Stopwatch.StartNew();
            SyntheticCheckpoint.Write(variant, whole);
            var code = ConvertWeights
                .CommandLine.RunAsync(["convert", whole, "--out", unfinished, "--t3", "bf16", "--json"], new() { Output = TextWriter.Null })
                .GetAwaiter()
                .GetResult();
            if (code != 0)
            {
                throw new InvalidOperationException($"The synthetic checkpoint in {whole} could not be converted.");
            }

            Directory.Delete(whole, recursive: true);
            Directory.Move(unfinished, folder);
            Print($"{variant}: checkpoint written to {folder} in {watch.Elapsed.TotalSeconds:0.0} s");
        }

        return folder;
    }

    /// <summary>A voice with its prompt repeated until it is 10 s long.</summary>
    public static Voice LongPrompt(Voice voice)
    {
        var times = Tokens / voice.S3Gen.SpeechTokens.Count;
        return voice with
        {
            S3Gen = voice.S3Gen with
            {
                SpeechTokens = [.. Enumerable.Repeat(voice.S3Gen.SpeechTokens, times).SelectMany(tokens => tokens)],
                Mel = [.. Enumerable.Repeat(voice.S3Gen.Mel, times).SelectMany(mel => mel)],
            },
        };
    }

    /// <summary>10 s that sound like nobody, at 48 kHz.</summary>
    public static AudioClip Recording() =>
        new(
            Enumerable
                .Range(0, 480000)
                .Select(i => 0.3f * MathF.Sin(i * (0.01f + (0.002f * MathF.Sin(i / 9000f)))) * MathF.Sin(i / 3000f))
                .ToArray(),
            48000
        );
}
