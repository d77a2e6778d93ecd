using Chatterbox.Engine;
using Chatterbox.HiFT;
using Chatterbox.Models;
using Chatterbox.Ops;
using Chatterbox.S3Gen;
using Chatterbox.Tests.Models;
using Chatterbox.Tests.Parity;
using Chatterbox.Weights;
using Microsoft.Extensions.Logging.Abstractions;

namespace Chatterbox.Tests.Streaming;

/// <summary>Speech by the chunk on fused kernels, at full size: against the plain operations, with T3 beside the passes, and
/// beside another model.</summary>
public sealed class StreamOnGpuTests
{
    private const string Text = "The quick brown fox jumps over the lazy dog.";
    private const double MelBound = 4e-3; // as of the whole
    private const double SpectrumBound = 4e-3;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Theory, InlineData("s3gen"), InlineData("s3gen_meanflow")]
    public void Passes_on_fused_kernels_are_as_on_the_plain_operations(string file)
    {
        var device = Gpu.Required();
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var (fused, plain) = (Passes(Precision.Fast), Passes(Precision.Full));
        for (var pass = 0; pass < plain.Count; pass++)
        {
            Assert.Equal(plain[pass].shape, fused[pass].shape);
            var error = Close.RelativeError(plain[pass], fused[pass]);
            Close.Report($"{file}, pass {pass} of {plain[pass].shape[2]} frames: mel error {error:E2} (bound {MelBound:E0})");
            Assert.InRange(error, 0, MelBound);
        }

        List<Tensor> Passes(Precision precision)
        {
            var config = file == "s3gen" ? S3GenConfig.Standard : S3GenConfig.MeanFlow;
            using var store = new WeightStore(SyntheticTensors.FullSize(file), device);
            var model = new S3GenModel(config, store.Root["flow"], TorchOps.Plain, precision);
            Assert.Equal(precision == Precision.Full, model.Flow.NotFusedReason is not null);
            var voice = SyntheticCheckpoint.MakeVoice(ChatterboxConfig.English).S3Gen;
            int[] tokens = [.. Enumerable.Range(0, 200).Select(i => 91 * i % config.SpeechTokens)];
            using var noise = new NoiseSource(1);
            using var stream = model.OpenStream(voice, noise, leftContext: 50);
            (int Known, int From, bool Last)[] passes = [(23, 0, false), (60, 20, false), (130, 100, false), (200, 240, true)];
            return [.. passes.Select(pass => stream.Next(tokens[..pass.Known], pass.From, pass.Last, Cancel).cpu())];
        }
    }

    [Fact]
    public void Pieces_of_the_fused_vocoder_joined_are_the_whole()
    {
        var device = Gpu.Required();
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var store = new WeightStore(SyntheticTensors.FullSize("s3gen"), device);
        var hift = new HiFTGenerator(new(), store.Root["mel2wav"], TorchOps.Plain, Precision.Fast);
        Assert.Null(hift.NotFusedReason);
        var mel = (randn([1, 80, 150], generator: new Generator(4)) - 5).to(device);
        var (whole, joined) = (Joined(150), Joined(40, 41, 90, 150));
        Assert.Equal(whole.shape, joined.shape);

        // The synthetic network makes some thousand times as much of a rounding error: magnitudes are what is heard.
        var error = Close.RelativeError(Spectrum(whole), Spectrum(joined));
        Close.Report($"joined: spectrum {error:E2} (bound {SpectrumBound:E0}), samples {Close.RelativeError(whole, joined):E2}");
        Assert.InRange(error, 0, SpectrumBound);

        Tensor Joined(params int[] known)
        {
            using var noise = new NoiseSource(3);
            using var stream = hift.OpenStream(noise);
            return cat([.. known.Select(end => stream.Next(mel[.., .., (int)stream.Frames..end], last: end == 150))], 1).cpu();
        }
    }

    [Theory, InlineData("nano"), InlineData("tiny")]
    public async Task T3_beside_the_passes_changes_no_sample(string name)
    {
        Gpu.Required();
        using var model = Load(name);
        await using var engine = new SpeechEngine([() => Load(name)], new() { GuardQuality = false }, NullLogger<SpeechEngine>.Instance);
        foreach (
            var chunks in new[]
            {
                new ChunkOptions { FirstTokens = 4 },
                new()
                {
                    FirstTokens = 8,
                    MostTokens = 8,
                    LeftContext = 20,
                },
            }
        )
        {
            // In the engine T3 goes ahead from the second chunk on. Synthetic weights say stop where rounding has them do so: a seed that
            // is not over then.
            var (seed, expected) = Enumerable
                .Range(5, 20)
                .Select(seed => (seed, Speak(model, seed, chunks)))
                .First(speech => speech.Item2.Count > 2);
            for (var i = 0; i < 3; i++)
            {
                var request = new SpeechRequest
                {
                    Pieces = [Text],
                    Sampling = new() { Seed = seed, MaxSpeechTokens = 150 },
                    Chunks = chunks,
                };
                Assert.Equal(
                    expected,
                    (await engine.StreamAsync(request, Cancel).ToListAsync(Cancel)).Select(chunk => chunk.Samples.ToArray())
                );
            }
        }
    }

    [Fact]
    public async Task Streams_of_two_models_that_share_a_GPU_and_S3Gen_are_as_alone()
    {
        Gpu.Required();
        var parts = new SharedParts();
        using var first = Load("nano", parts);
        using var second = Load("nano", parts);
        var chunks = new ChunkOptions { FirstTokens = 8 };
        var alone = Enumerable.Range(0, 3).Select(seed => Speak(first, seed, chunks)).ToList();

        var both = await Task.WhenAll(
            new[] { first, second }.Select(model =>
                Task.Factory.StartNew(
                    () => Enumerable.Range(0, 3).Select(seed => Speak(model, seed, chunks)).ToList(),
                    Cancel,
                    TaskCreationOptions.LongRunning,
                    TaskScheduler.Default
                )
            )
        );
        Assert.Equal(alone, both[0]);
        Assert.Equal(alone, both[1]);
    }

    [Fact]
    public void Warming_up_and_streaming_leave_nothing_behind()
    {
        Gpu.Required();
        using var model = Load("nano");
        model.WarmUp();
        SpeakInManySizes(); // graphs are kept, one for each bucket of lengths
        var before = LiveTensors.Settled();
        SpeakInManySizes();
        Assert.Equal(before, Tensor.TotalCount);

        void SpeakInManySizes()
        {
            for (var seed = 0; seed < 10; seed++)
            {
                Speak(model, seed, new() { FirstTokens = 4 + seed });
            }
        }
    }

    private static ChatterboxModel Load(string name, SharedParts? parts = null) =>
        ChatterboxModel.Load(TinyCheckpoint.FolderOf(name), new ModelOptions { Device = "cuda", SharedParts = parts });

    private static List<float[]> Speak(ChatterboxModel model, int seed, ChunkOptions options)
    {
        using var stream = model.OpenStream(Text, model.BuiltInVoice!, new() { Seed = seed, MaxSpeechTokens = 150 }, options);
        var chunks = new List<float[]>();
        while (!stream.IsOver)
        {
            chunks.Add(stream.NextChunk(Cancel).ToArray());
        }

        return chunks;
    }

    private static Tensor Spectrum(Tensor samples) => stft(samples, 256, 64, 256, hann_window(256), return_complex: true).abs();
}
