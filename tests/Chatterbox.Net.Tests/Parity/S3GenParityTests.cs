using Chatterbox.Models;
using Chatterbox.Ops;
using Chatterbox.S3Gen;
using Chatterbox.Weights;

namespace Chatterbox.Tests.Parity;

/// <summary>S3Gen's stages, standard and mean flow, each from its recorded inputs.</summary>
public class S3GenParityTests(S3GenParityTests.Networks networks) : IClassFixture<S3GenParityTests.Networks>
{
    public static TheoryData<string> Files => [.. Fixtures.All("s3gen"), .. Fixtures.All("s3gen-meanflow")];

    [Theory, MemberData(nameof(Files))]
    public void Speaker_projection(string path)
    {
        using var golden = Fixture.Open(path);
        using var scope = NewDisposeScope();
        Close.Assert(golden, "spks", golden["spks"], networks.For(golden).ProjectSpeaker(Voice(golden).XVector), 1e-5);
    }

    [Theory, MemberData(nameof(Files))]
    public void Encoder_and_mu(string path)
    {
        using var golden = Fixture.Open(path);
        using var scope = NewDisposeScope();
        var s3gen = networks.For(golden);
        var hidden = s3gen.Encode([.. Voice(golden).SpeechTokens, .. Integers(golden["speech_tokens"])]);
        var last = golden["encoder_out"].shape[1];
        Close.Assert(golden, "encoder_out", golden["encoder_out"], hidden.narrow(1, hidden.shape[1] - last, last), 1e-4);
        Close.Assert(golden, "mu", golden["mu"], s3gen.Project(hidden).transpose(1, 2), 1e-4);
    }

    [Theory, MemberData(nameof(Files))]
    public void One_estimator_call(string path)
    {
        using var golden = Fixture.Open(path);
        using var scope = NewDisposeScope();
        var s3gen = networks.For(golden);
        var mu = TestDevice.Place(golden["mu"]).transpose(1, 2);
        var conditions = new FlowConditions(mu, TestDevice.Place(golden["spks"]), s3gen.PadPrompt(Voice(golden).Mel, mu.shape[1]));
        var time = s3gen.Flow.Estimator!.EmbedTime(Time("t"), Time("r"));
        var velocity = s3gen.Flow.Estimator.Forward(TestDevice.Place(golden["est_x"]).transpose(1, 2), conditions.Join(), time);
        Close.Assert(golden, "est_out", golden["est_out"], velocity.transpose(1, 2), 1e-4);

        Tensor Time(string name) => tensor(new[] { (float)golden.Number(name) }, device: TestDevice.Device);
    }

    [Theory, MemberData(nameof(Files))]
    public void Mel(string path)
    {
        using var golden = Fixture.Open(path);
        using var noise = new NoiseSource(golden.Integer("seed_mel"));
        using var scope = NewDisposeScope();
        var mel = networks
            .For(golden)
            .Generate(Integers(golden["speech_tokens"]), Voice(golden), noise, cancellationToken: TestContext.Current.CancellationToken);
        Close.Assert(golden, "mel", golden["mel"], mel, 1e-4);
    }

    /// <summary>Mean flow with the operands that a CPU multiplies fastest; elsewhere there is nothing to compare.</summary>
    [Theory, MemberData(nameof(Files))]
    public void Mel_in_fast_precision_of_a_cpu_stays_close(string path)
    {
        using var golden = Fixture.Open(path);
        using var noise = new NoiseSource(golden.Integer("seed_mel"));
        using var scope = NewDisposeScope();
        Assert.SkipUnless(TestDevice.Device.type == DeviceType.CPU, "The model is not on the CPU.");
        var mel = networks
            .For(golden, Precision.Fast)
            .Generate(Integers(golden["speech_tokens"]), Voice(golden), noise, cancellationToken: TestContext.Current.CancellationToken);
        Close.Assert(golden, "mel", golden["mel"], mel, 6e-3);
    }

    private static S3GenPrompt Voice(Fixture golden) =>
        new(Integers(golden["prompt_token"]), Floats(golden["prompt_feat"]), Floats(golden["xvector"]));

    private static int[] Integers(Tensor values) => values.to(ScalarType.Int32).flatten().data<int>().ToArray();

    private static float[] Floats(Tensor values) => values.flatten().data<float>().ToArray();

    /// <summary>Full-size networks, each built when a fixture first asks for it.</summary>
    public sealed class Networks : IDisposable
    {
        private readonly Dictionary<(S3GenConfig, Precision), (WeightStore Store, S3GenModel Model)> _built = [];

        internal S3GenModel For(Fixture golden, Precision precision = Precision.Full)
        {
            var (file, variant) = golden.Name.EndsWith("meanflow", StringComparison.Ordinal)
                ? ("s3gen_meanflow", S3GenConfig.MeanFlow)
                : ("s3gen", S3GenConfig.Standard);
            var config = variant with { Flow = variant.Flow with { Steps = (int)golden.Integer("steps") } };
            if (!_built.TryGetValue((config, precision), out var built))
            {
                var store = new WeightStore(SyntheticTensors.FullSize(file), TestDevice.Device);
                built = _built[(config, precision)] = (store, new S3GenModel(config, store.Root["flow"], TorchOps.Plain, precision));
                store.Root.Skip("tokenizer.*", "speaker_encoder.*", "mel2wav.*");
                store.ThrowIfFaulty();
            }

            return built.Model;
        }

        public void Dispose()
        {
            foreach (var (store, _) in _built.Values)
            {
                store.Dispose();
            }
        }
    }
}
