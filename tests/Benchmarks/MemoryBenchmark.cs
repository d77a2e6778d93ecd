using System.Diagnostics;
using Chatterbox.HiFT;
using Chatterbox.Ops;
using Chatterbox.S3Gen;
using Chatterbox.Streaming;
using Chatterbox.T3;
using Chatterbox.Voices;
using Chatterbox.Watermark;
using Chatterbox.Weights;
using static Chatterbox.Benchmarks.Report;
using static TorchSharp.torch;

namespace Chatterbox.Benchmarks;

/// <summary>Where a GPU's memory goes, by the driver's count: what each network takes as it is loaded, and each kind of work as it
/// is done for the first time; and how long that takes, which is most of a start.</summary>
internal static class MemoryBenchmark
{
    private const double MiB = 1 << 20;

    public static void Run(string variant, string? device)
    {
        var checkpoint = Checkpoint.Open(FullSize.Checkpoint(variant));
        var (place, config) = (Devices.Find(device), checkpoint.Config);
        var precision = new ModelOptions().EffectivePrecision;
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var empty = GpuMemory.Begin(place);
        var before = empty;
        Print($"{variant} on {place}, MiB beside CUDA's empty context of {empty / MiB:0}, of the host's memory, seconds:");

        using var t3Weights = Open(checkpoint.T3Path, precision == Precision.Fast ? ScalarType.BFloat16 : ScalarType.Float32);
        using var decoder = Measure("T3 loaded", () => new T3Model(config.T3, t3Weights.Root, TorchOps.Plain).CreateDecoder());
        using var s3genWeights = Open(checkpoint.S3GenPath);
        var s3gen = Measure("S3Gen loaded", () => new S3GenModel(config.S3Gen, s3genWeights.Root["flow"], TorchOps.Plain, precision));
        var hift = Measure("vocoder loaded", () => new HiFTGenerator(config.HiFT, s3genWeights.Root["mel2wav"], TorchOps.Plain, precision));
        using var encoderWeights = Open(checkpoint.SpeakerEncoderPath);
        var speakerEncoder = Measure("voice encoder loaded", () => new SpeakerEncoder(config.Voices.SpeakerEncoder, encoderWeights.Root));
        using var watermarkWeights = Open(checkpoint.WatermarkPath);
        var watermarker = Measure("watermark loaded", () => new PerthWatermarker(config.Watermark, watermarkWeights.Root));

        var speechDecoder = new SpeechDecoder(config, s3gen, hift);
        var rehearsal = new ModelWarmUp(config, decoder, speechDecoder, watermarker);
        Measure("pieces of all lengths spoken", () => Do(rehearsal.SpeakAllLengths));
        Measure("and again", () => Do(rehearsal.SpeakAllLengths));
        Measure("pace measured", rehearsal.MeasurePace);
        var voice = FullSize.LongPrompt(checkpoint.ReadVoice()!);
        int[] text = [.. Enumerable.Range(0, 120).Select(i => (7 * i) % 600 + 20)];
        Measure("T3, 250 tokens", () => Speak(new() { Seed = 1, MaxSpeechTokens = FullSize.Tokens }));
        Measure("T3, 250 tokens of at most 1000", () => Speak(new() { Seed = 1 }, FullSize.Tokens));
        Measure("T3, 1000 tokens", () => Speak(new() { Seed = 1 }));
        using var noise = new NoiseSource(1);
        var sounds = Enumerable.Range(0, FullSize.Tokens).Select(i => 91 * i % 6561).ToArray();
        for (var i = 1; i <= 2; i++)
        {
            Measure("10 s of sound", () => watermarker.Mark(speechDecoder.SpeakText(sounds, voice.S3Gen, noise), SpeechResult.SampleRate));
        }

        var reference = Measure(
            "loaded what hears a recording",
            () => new ReferenceEncoder(config.Voices.Reference, s3genWeights.Root, TorchOps.Plain)
        );
        for (var i = 1; i <= 3; i++)
        {
            Measure($"voice {i} made", () => new VoiceBuilder(config.Voices, speakerEncoder, reference).Build(FullSize.Recording()));
        }

        WeightStore Open(string path, ScalarType dtype = ScalarType.Float32) => new(Checkpoint.OpenFile(path), place, dtype);

        int Speak(SamplingOptions sampling, int most = int.MaxValue)
        {
            using var noise = new NoiseSource(1);
            using var sequence = decoder.Start(text, voice.T3, sampling, noise);
            while (!sequence.Finished && sequence.SpeechTokens.Count < most)
            {
                decoder.Step(sequence);
            }

            return sequence.SpeechTokens.Count;
        }

        static int Do(Action work)
        {
            work();
            return 0;
        }

        T Measure<T>(string what, Func<T> work)
        {
            var watch = Stopwatch.StartNew();
            var result = work();
            var now = GpuMemory.Used(place);
            Print(
                $"  {what}: {(now - before) / MiB:+0;-0;0} = {(now - empty) / MiB:0}, {Environment.WorkingSet / MiB:0}, {watch.Elapsed.TotalSeconds:0.00}"
            );
            before = now;
            return result;
        }
    }
}
