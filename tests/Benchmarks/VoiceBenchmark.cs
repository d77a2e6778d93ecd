using System.Diagnostics;
using Chatterbox.Audio;
using Chatterbox.HiFT;
using Chatterbox.Models;
using Chatterbox.Ops;
using Chatterbox.Ops.Cuda;
using Chatterbox.S3Gen;
using Chatterbox.Voices;
using Chatterbox.Watermark;
using Chatterbox.Weights;
using TorchSharp;
using static Chatterbox.Benchmarks.Report;
using static TorchSharp.torch;

namespace Chatterbox.Benchmarks;

/// <summary>Times what comes behind T3, at full size with synthetic weights: 10 s of speech for a 10 s prompt. Medians after a
/// warm-up, each until the result is there.</summary>
internal static class VoiceBenchmark
{
    private const int Repetitions = 15;
    private const int Tokens = 250, Frames = 2 * Tokens;

    public static void Run(string variant, string? device)
    {
        var place = Devices.Find(device);
        var precision = place.type == DeviceType.CUDA ? Precision.Fast : Precision.Full;
        var (file, config) = variant == "meanflow" ? ("s3gen_meanflow", S3GenConfig.MeanFlow) : ("s3gen", S3GenConfig.Standard);
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var store = new WeightStore(SyntheticTensors.FullSize(file), place);
        using var ve = new WeightStore(SyntheticTensors.FullSize("ve"), place);
        using var perth = new WeightStore(SyntheticTensors.FullSize("perth_net"), place);
        var s3gen = new S3GenModel(config, store.Root["flow"], TorchOps.Plain, precision);
        var hift = new HiFTGenerator(new(), store.Root["mel2wav"], TorchOps.Plain, precision);
        var speakerEncoder = new SpeakerEncoder(new(), ve.Root);
        var reference = new ReferenceEncoder(new(), store.Root, TorchOps.Plain);
        var voices = new VoiceBuilder(VoiceConfig.Llama, speakerEncoder, reference);
        var watermarker = new PerthWatermarker(new(), perth.Root);
        Print($"{variant} on {place}: flow on {s3gen.Flow.WhyNotFused ?? "fused kernels"}, vocoder on {hift.WhyNotFused ?? "fused kernels"}");

        var voice = new S3GenPrompt(
            [.. Enumerable.Range(0, Tokens).Select(i => 37 * i % 6561)], [.. Enumerable.Range(0, Frames * 80).Select(i => -6 + MathF.Sin(i))],
            [.. Enumerable.Range(0, 192).Select(i => MathF.Cos(i))]);
        int[] spoken = [.. Enumerable.Range(0, Tokens).Select(i => 91 * i % 6561)];
        using var noise = new NoiseSource(1);
        var mel = s3gen.Generate(spoken, voice, noise);
        var samples = hift.Generate(mel, noise);
        var marked = samples.cpu().data<float>().ToArray();
        var recording = FullSize.Recording();
        Time("encoder", () => s3gen.Project(s3gen.Encode([.. voice.SpeechTokens, .. spoken])));
        Time("tokens to mel", () => s3gen.Generate(spoken, voice, noise));
        var f0 = Time("pitch", () => hift.PredictF0(mel));
        var drawn = Time("vocoder's noise", () => hift.DrawNoise(noise, 1, Frames));
        var source = Time("source", () => hift.MakeSource(f0, drawn));
        Time("decoder", () => hift.Decode(mel, source));
        Time("vocoder", () => hift.Generate(mel, noise));
        Time("watermark", () => watermarker.Mark(marked, 24000));
        var signal = Time("  there, at 32 kHz", () => Resampler.Resample(HostCopies.Place(marked, place), 24000, 32000));
        var (spectrum, net) = (new PerthSpectrum(new(), perth.Root["ap"]), new PerthNet(new(), perth.Root));
        var bins = Time("  spectrum", () => spectrum.Analyse(signal.unsqueeze(0)));
        var magnitude = Time("  magnitude", () => spectrum.Magnitude(bins));
        Time("  network", () => net.Encode(magnitude));
        var back = Time("  samples", () => spectrum.Synthesize(bins));
        Time("  back, at 24 kHz", () => HostCopies.Read(Resampler.Resample(back[0], 32000, 24000)));
        Time("voice", () => voices.Build(recording));
        var given = Time("  upload", () => HostCopies.Place(recording.Samples, place));
        var samples24 = Time("  48 to 24 kHz", () => Resampler.Resample(given, 48000, 24000));
        var heard = Time("  24 to 16 kHz", () => Resampler.Resample(samples24, 24000, 16000));
        Time("  silence", () => SilenceTrimmer.Bounds(HostCopies.Read(heard)));
        Time("  voice encoder", () => speakerEncoder.Forward(heard));
        Time("  speech tokens, T3", () => reference.SpeechTokenizer.Forward(heard, 150));
        Time("  speech tokens, S3Gen", () => reference.SpeechTokenizer.Forward(heard));
        Time("  filter bank", () => new KaldiFbank(80, store.Root).Forward(heard));
        var camPlus = new CamPlus(new(), store.Root["speaker_encoder"]);
        var fbank = new KaldiFbank(80, store.Root).Forward(heard);
        Time("  x-vector", () => camPlus.Forward(fbank));
        Time("  S3Gen's side", () => reference.Forward(samples24));

        T Time<T>(string what, Func<T> work)
        {
            var times = new List<double>();
            T result = default!;
            for (var i = 0; i < Repetitions + 2; i++)
            {
                Synchronize();
                var watch = Stopwatch.StartNew();
                result = work();
                Synchronize();
                if (i >= 2)
                {
                    times.Add(watch.Elapsed.TotalMilliseconds);
                }
            }

            Record($"{variant} {what}", Median(times));
            Print($"  {what} {Median(times):0.00} ms");
            return result;
        }

        void Synchronize()
        {
            if (place.type == DeviceType.CUDA)
            {
                cuda.synchronize(place);
            }
        }
    }
}
