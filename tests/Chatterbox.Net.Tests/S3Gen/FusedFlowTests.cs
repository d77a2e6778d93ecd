using Chatterbox.Models;
using Chatterbox.Ops;
using Chatterbox.Ops.Cuda;
using Chatterbox.S3Gen;
using Chatterbox.Tests.Parity;
using Chatterbox.Weights;

namespace Chatterbox.Tests.S3Gen;

/// <summary>The flow on fused kernels against the plain operations, at full size: all of it is float32 there.</summary>
public sealed class FusedFlowTests : IDisposable
{
    private const double MelBound = 4e-3; // measured: 5e-4 to 1e-3; the Python reference in fp16: 4.8e-3

    private readonly Dictionary<string, (WeightStore Store, S3GenModel Model)> _built = [];

    public static TheoryData<string> Files => [.. Fixtures.All("s3gen"), .. Fixtures.All("s3gen-meanflow")];

    public static TheoryData<string, int, int> Lengths =>
        new()
        {
            { "s3gen", 1, 1 },
            { "s3gen", 1, 127 },
            { "s3gen", 1, 128 },
            { "s3gen", 2, 129 },
            { "s3gen", 1, 1000 },
            { "s3gen_meanflow", 1, 65 },
            { "s3gen_meanflow", 3, 300 },
        };

    [Theory, MemberData(nameof(Files))]
    public void Mel_is_close_to_the_reference(string path)
    {
        using var golden = Fixture.Open(path);
        var s3gen = Fast(
            golden.Name.EndsWith("meanflow", StringComparison.Ordinal) ? "s3gen_meanflow" : "s3gen",
            (int)golden.Integer("steps")
        );
        using var mode = inference_mode();
        using var noise = new NoiseSource(golden.Integer("seed_mel"));
        using var scope = NewDisposeScope();
        var voice = new S3GenPrompt(
            [.. golden["prompt_token"].to(ScalarType.Int32).flatten().data<int>()],
            [.. golden["prompt_feat"].flatten().data<float>()],
            [.. golden["xvector"].flatten().data<float>()]
        );
        var mel = s3gen.Generate(
            [.. golden["speech_tokens"].to(ScalarType.Int32).flatten().data<int>()],
            voice,
            noise,
            cancellationToken: TestContext.Current.CancellationToken
        );
        Close.Assert(golden, "mel", golden["mel"], mel, MelBound);
    }

    [Theory, MemberData(nameof(Lengths))]
    public void Any_length_is_as_the_plain_operations_have_it(string file, int rows, int frames)
    {
        var device = Gpu.Required();
        var config = file == "s3gen" ? S3GenConfig.Standard : S3GenConfig.MeanFlow;
        config = config with { Flow = config.Flow with { Steps = 2 } };
        var fused = Fast(file, 2).Flow;
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var store = new WeightStore(SyntheticTensors.FullSize(file), device);
        var plain = new S3GenModel(config, store.Root["flow"], TorchOps.Plain).Flow;
        var generator = new Generator(3);
        Tensor Draw(params long[] shape) => randn(shape, generator: generator).to(device);
        var (noise, conditions) = (
            Draw(rows, frames, 80),
            new FlowConditions(Draw(rows, frames, 80), Draw(rows, 80), Draw(rows, frames, 80))
        );
        var expected = plain.Integrate(noise, conditions);
        Assert.NotNull(plain.NotFusedReason);

        // The second time something else has been in the same buffers.
        Check(expected, fused.Integrate(noise, conditions));
        fused.Integrate(Draw(1, 1100, 80) * 100, new FlowConditions(Draw(1, 1100, 80), Draw(1, 80), Draw(1, 1100, 80)));
        Check(expected, fused.Integrate(noise, conditions));
    }

    [Theory, MemberData(nameof(Lengths))]
    public void Kernels_for_any_GPU_are_as_the_plain_operations_have_it(string file, int rows, int frames)
    {
        var device = Gpu.Required();
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var flows = new Flows(file, portable: true, device);
        var (plain, fused) = (flows.Plain, flows.Fused);
        var generator = new Generator(4);
        Tensor Draw(params long[] shape) => randn(shape, generator: generator).to(device);
        var (noise, conditions) = (
            Draw(rows, frames, 80),
            new FlowConditions(Draw(rows, frames, 80), Draw(rows, 80), Draw(rows, frames, 80))
        );
        Check(plain.Integrate(noise, conditions), fused.Integrate([new(noise, conditions)])[0]);
    }

    [Theory]
    [InlineData("s3gen", false)]
    [InlineData("s3gen", true)]
    [InlineData("s3gen_meanflow", false)]
    [InlineData("s3gen_meanflow", true)]
    public void A_mel_is_to_the_bit_the_same_alone_and_in_company(string file, bool portable)
    {
        var device = Gpu.Required();
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var flows = new Flows(file, portable, device);
        var (plain, fused) = (flows.Plain, flows.Fused);
        var generator = new Generator(6);
        Tensor Draw(params long[] shape) => randn(shape, generator: generator).to(device);
        FlowPass Pass(int frames) => new(Draw(1, frames, 80), new(Draw(1, frames, 80), Draw(1, 80), Draw(1, frames, 80)));
        var passes = new[] { 600, 130, 1, 513, 590, 64, 575, 1111, 640, 400, 65, 1000, 999, 320, 450, 577 }.Select(Pass).ToList();
        Assert.InRange(fused.Group(passes).Count(), 2, passes.Count - 1);
        var alone = passes.ConvertAll(pass => HostTransfers.Read(fused.Integrate([pass])[0]));
        Assert.Equal(alone, fused.Integrate(passes).Select(HostTransfers.Read));
        Assert.Equal(alone[..5], fused.Integrate(passes[..5]).Select(HostTransfers.Read));
        Check(plain.Integrate(passes[3].Noise, passes[3].Conditions), fused.Integrate(passes)[3]);
    }

    [Fact]
    public void Runs_leave_nothing_behind()
    {
        var device = Gpu.Required();
        var fused = Fast("s3gen_meanflow", 2).Flow;
        using var mode = inference_mode();
        long before = 0;
        for (var i = 0; i < 100; i++)
        {
            using var scope = NewDisposeScope();
            Tensor Draw(params long[] shape) => randn(shape, device: device);
            var frames = 1 + (37 * i % 1500);
            fused.Integrate(Draw(1, frames, 80), new FlowConditions(Draw(1, frames, 80), Draw(1, 80), Draw(1, frames, 80)));
            scope.Dispose();
            before = i == 50 ? LiveTensors.Settled() : before;
        }

        Assert.Equal(before, Tensor.TotalCount);
    }

    public void Dispose()
    {
        foreach (var (store, _) in _built.Values)
        {
            store.Dispose();
        }
    }

    private S3GenModel Fast(string file, int steps)
    {
        var device = Gpu.Required();
        var config = file == "s3gen" ? S3GenConfig.Standard : S3GenConfig.MeanFlow;
        config = config with { Flow = config.Flow with { Steps = steps } };
        if (!_built.TryGetValue(file, out var built))
        {
            using var mode = inference_mode();
            var store = new WeightStore(SyntheticTensors.FullSize(file), device);
            built = _built[file] = (store, new S3GenModel(config, store.Root["flow"], TorchOps.Plain, Precision.Fast));
            Assert.Null(built.Model.Flow.NotFusedReason);
        }

        return built.Model;
    }

    private static void Check(Tensor expected, Tensor ours) => Close.AssertWithin("mel", Close.RelativeError(expected, ours), MelBound);

    /// <summary>The flow of a checkpoint, in two steps, on plain operations and on fused kernels.</summary>
    private sealed class Flows : IDisposable
    {
        private readonly WeightStore _store;
        private readonly OwnedWeights _passing = new();

        public Flows(string file, bool portable, Device device)
        {
            var config = file == "s3gen" ? S3GenConfig.Standard : S3GenConfig.MeanFlow;
            config = config with { Flow = config.Flow with { Steps = 2 } };
            _store = new WeightStore(SyntheticTensors.FullSize(file), device);
            var decoder = _store.Root["flow"]["decoder"];
            Plain = new(config, decoder, TorchOps.Plain, Precision.Full);
            Fused = new(
                config,
                new(config, decoder["estimator"].InHost(_passing), TorchOps.Plain, ScalarType.Float32),
                Plain.Times,
                portable
            );
        }

        public FlowMatching Plain { get; }

        public FusedFlow Fused { get; }

        public void Dispose()
        {
            Fused.Dispose();
            _passing.Dispose();
            _store.Dispose();
        }
    }
}
