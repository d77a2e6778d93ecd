using System.Diagnostics;
using Chatterbox.Audio;
using Chatterbox.HiFT;
using Chatterbox.Models;
using Chatterbox.Ops;
using Chatterbox.Ops.Cuda;
using Chatterbox.S3Gen;
using Chatterbox.Streaming;
using Chatterbox.Voices;
using Chatterbox.Watermark;
using Chatterbox.Weights;
using TorchSharp;
using static Chatterbox.Benchmarks.Report;
using static TorchSharp.torch;

namespace Chatterbox.Benchmarks;

/// <summary>Times what comes behind T3, at full size with synthetic weights: 10 s of speech for a 10 s prompt. Medians after a
/// warm-up, each until the result is there; beside it, how long the host was busy with it.</summary>
internal static class VoiceBenchmark
{
    private const int Repetitions = 15;
    private const int Tokens = 250,
        Frames = 2 * Tokens,
        FirstTokens = 8;

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
        var watermarker = new PerthWatermarker(new(), perth.Root, precision);
        Print(
            $"{variant} on {place}: flow on {s3gen.Flow.NotFusedReason ?? "fused kernels"}, vocoder on {hift.NotFusedReason ?? "fused kernels"}, watermark on {watermarker.NotFusedReason ?? "fused kernels"}"
        );

        var voice = new S3GenPrompt(
            [.. Enumerable.Range(0, Tokens).Select(i => 37 * i % 6561)],
            [.. Enumerable.Range(0, Frames * 80).Select(i => -6 + MathF.Sin(i))],
            [.. Enumerable.Range(0, 192).Select(i => MathF.Cos(i))]
        );
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
        var given24 = Time("  upload", () => HostTransfers.Place(marked, place));
        var signal = Time("  24 to 32 kHz", () => Resampler.Resample(given24, 24000, 32000));
        var marked24 = Time("  all but the copies", () => watermarker.Mark(given24, 24000));
        Time("  32 to 24 kHz", () => Resampler.Resample(signal, 32000, 24000));
        Time("  download", () => HostTransfers.Read(marked24));
        Pass(voice, spoken);
        Time("voice", () => voices.Build(recording));
        var given = Time("  upload", () => HostTransfers.Place(recording.Samples.Span, place));
        var samples24 = Time("  48 to 24 kHz", () => Resampler.Resample(given, 48000, 24000));
        var heard = Time("  24 to 16 kHz", () => Resampler.Resample(samples24, 24000, 16000));
        Time("  silence", () => SilenceTrimmer.Bounds(HostTransfers.Read(heard)));
        Time("  voice encoder", () => speakerEncoder.Forward(heard));
        Time("  speech tokens, T3", () => reference.SpeechTokenizer.Forward(heard, 150));
        Time("  speech tokens, S3Gen", () => reference.SpeechTokenizer.Forward(heard));
        Time("  filter bank", () => new KaldiFbank(80, store.Root).Forward(heard));
        var camPlus = new CamPlus(new(), store.Root["speaker_encoder"]);
        var fbank = new KaldiFbank(80, store.Root).Forward(heard);
        Time("  x-vector", () => camPlus.Forward(fbank));
        Time("  S3Gen's side", () => reference.Forward(samples24));

        // A stream's first pass, by parts, and as one.
        void Pass(S3GenPrompt voice, int[] spoken)
        {
            var variant = config == S3GenConfig.Standard ? ChatterboxConfig.English : ChatterboxConfig.Turbo;
            var speechDecoder = new SpeechDecoder(variant, s3gen, hift);
            ChunkAssembler Open() => new(variant, speechDecoder, watermarker, voice, seed: 1, new());
            using var first = Open();
            int[] known = spoken[..(first.Lag + FirstTokens)];
            Time(
                "first pass of a stream",
                () =>
                {
                    using var assembler = Open();
                    return assembler.Next(known, last: false, CancellationToken.None);
                }
            );
            Time(
                "  opened",
                () =>
                {
                    using var assembler = Open();
                    return assembler.Lag;
                }
            );
            Time(
                "  encoder",
                () =>
                    s3gen.Project(s3gen.Encode([.. voice.SpeechTokens.TakeLast(new ChunkOptions().FirstPrompt), .. known], complete: false))
            );
            using var melNoise = new NoiseSource(1);
            var mel = Time(
                "  tokens to mel",
                () =>
                {
                    using var stream = s3gen.OpenStream(voice, melNoise, leftContext: FirstTokens, new ChunkOptions().FirstPrompt);
                    return stream.Next(known, from: 0, last: false).clone();
                }
            );
            var piece = Time(
                "  vocoder",
                () =>
                {
                    using var stream = hift.OpenStream(melNoise);
                    return stream.Next(mel, last: false);
                }
            );
            Time(
                "  watermark",
                () =>
                {
                    using var stream = watermarker.OpenStream(24000);
                    return HostTransfers.Read(stream.Next(piece.squeeze(0), last: false));
                }
            );
        }

        T Time<T>(string what, Func<T> work)
        {
            var (times, launches) = (new List<double>(), new List<double>());
            T result = default!;
            for (var i = 0; i < Repetitions + 2; i++)
            {
                Synchronize();
                var watch = Stopwatch.StartNew();
                result = work();
                var launched = watch.Elapsed.TotalMilliseconds;
                Synchronize();
                if (i >= 2)
                {
                    times.Add(watch.Elapsed.TotalMilliseconds);
                    launches.Add(launched);
                }
            }

            Record($"{variant} {what}", Median(times));
            Print($"  {what} {Median(times):0.00} ms (the host {Median(launches):0.00})");
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
