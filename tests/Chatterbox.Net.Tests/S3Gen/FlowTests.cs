using Chatterbox.Ops;
using Chatterbox.S3Gen;
using Chatterbox.Weights;
using static TorchSharp.torch.nn.functional;

namespace Chatterbox.Tests.S3Gen;

/// <summary>What the recorded mels do not show of the flow and its estimator, on small networks.</summary>
public class FlowTests
{
    private const double Eps = 1e-5;

    private static readonly EstimatorConfig Config = TinyS3Gen.Standard.Estimator;

    [Fact]
    public void Noise_is_one_draw()
    {
        using var scope = NewDisposeScope();
        using var store = TinyS3Gen.Weights(TinyS3Gen.Standard);
        using var noise = new NoiseSource(5);
        using var same = new NoiseSource(5);
        var drawn = TinyS3Gen.Model(TinyS3Gen.Standard, store).Flow.Draw(noise, frames: 13, newFrames: 6);
        Assert.True(same.Normal([1, 4, 13]).transpose(1, 2).Equals(drawn));
        Assert.True(same.Normal([9]).Equals(noise.Normal([9])));
    }

    [Fact]
    public void Noise_of_a_mean_flow_is_two_draws_the_new_tokens_frames_first()
    {
        using var scope = NewDisposeScope();
        using var store = TinyS3Gen.Weights(TinyS3Gen.MeanFlow);
        using var noise = new NoiseSource(5);
        using var same = new NoiseSource(5);
        var drawn = TinyS3Gen.Model(TinyS3Gen.MeanFlow, store).Flow.Draw(noise, frames: 13, newFrames: 6);
        var ending = same.Normal([1, 4, 6]);
        var all = same.Normal([1, 4, 13]);
        Assert.True(cat([all.narrow(2, 0, 7), ending], 2).transpose(1, 2).Equals(drawn));
        Assert.True(same.Normal([9]).Equals(noise.Normal([9])));
    }

    [Fact]
    public void Guided_steps_follow_the_cosine_and_mean_flow_steps_are_equal()
    {
        using var scope = NewDisposeScope();
        Assert.Equal(Enumerable.Range(0, 11).Select(i => 1 - Math.Cos(Math.PI * i / 20)), Times(TinyS3Gen.Standard), Within(1e-6));
        Assert.Equal([0, 0.5, 1], Times(TinyS3Gen.MeanFlow), Within(1e-6));

        static double[] Times(S3GenConfig config)
        {
            using var store = TinyS3Gen.Weights(config);
            return [.. TinyS3Gen.Model(config, store).Flow.Times.data<float>().Select(t => (double)t)];
        }

        static Func<double, double, bool> Within(double tolerance) => (a, b) => Math.Abs(a - b) <= tolerance;
    }

    [Fact]
    public void Guidance_leads_away_from_what_comes_without_conditions()
    {
        using var scope = NewDisposeScope();
        using var store = TinyS3Gen.Weights(TinyS3Gen.Standard);
        var flow = TinyS3Gen.Model(TinyS3Gen.Standard with { Flow = new(Steps: 1) }, store).Flow;
        var (x, conditions) = (Random(2, 7, 4), Conditions(2, 7));
        var time = flow.Estimator!.EmbedTime(zeros(1), ones(1));
        var guided = 1.7 * flow.Estimator.Forward(x, conditions.Join(), time) - 0.7 * flow.Estimator.Forward(x, zeros(2, 7, 12), time);
        AssertClose(x + guided, flow.Integrate(x, conditions, cancellationToken: TestContext.Current.CancellationToken));
    }

    [Theory, InlineData(true), InlineData(false)]
    public void A_rows_result_does_not_depend_on_its_neighbours(bool meanFlow)
    {
        var config = meanFlow ? TinyS3Gen.MeanFlow : TinyS3Gen.Standard;
        using var scope = NewDisposeScope();
        using var store = TinyS3Gen.Weights(config);
        var flow = TinyS3Gen.Model(config, store).Flow;
        var (x, both) = (Random(2, 7, 4), Conditions(2, 7));
        var second = new FlowConditions(both.Mu[1].unsqueeze(0), both.Speaker[1].unsqueeze(0), both.Prompt[1].unsqueeze(0));
        var together = flow.Integrate(x, both, cancellationToken: TestContext.Current.CancellationToken)[1].unsqueeze(0);
        AssertClose(flow.Integrate(x[1].unsqueeze(0), second, cancellationToken: TestContext.Current.CancellationToken), together);
    }

    [Fact]
    public void Times_can_be_embedded_together()
    {
        using var scope = NewDisposeScope();
        using var store = TinyS3Gen.Weights(TinyS3Gen.MeanFlow);
        var estimator = TinyS3Gen.Model(TinyS3Gen.MeanFlow, store).Flow.Estimator!;
        var (start, end) = (tensor(new[] { 0f, 0.3f }), tensor(new[] { 0.3f, 1f }));
        AssertClose(estimator.EmbedTime(start.narrow(0, 1, 1), end.narrow(0, 1, 1)), estimator.EmbedTime(start, end).narrow(0, 1, 1));
    }

    [Fact]
    public void Norms_have_an_ordinary_epsilon_and_the_gelu_is_exact()
    {
        using var scope = NewDisposeScope();
        var x = Random(2, 5, Config.Channels) * 3e-3; // a variance of the epsilon's size

        using var mlpOnly = TinyS3Gen.Weights(TinyS3Gen.Standard, Names("1.0.attn1.to_out.0"));
        var weights = Stage(mlpOnly)[1][0];
        var mlp = weights["ff"]["net"];
        var up = Linear(mlp[0]["proj"], Norm(weights["norm3"], x), Config.MlpSize);
        var exact = up * 0.5 * (1 + erf(up / Math.Sqrt(2)));
        AssertClose(
            Linear(mlp[2], exact, Config.Channels),
            new TransformerBlock(Config, weights, TorchOps.Plain, ScalarType.Float32).Forward(x) - x
        );

        using var attentionOnly = TinyS3Gen.Weights(TinyS3Gen.Standard, Names("1.0.ff.net.2"));
        weights = Stage(attentionOnly)[1][0];
        var attention = new EstimatorAttention(Config, weights["attn1"], TorchOps.Plain);
        AssertClose(
            attention.Forward(Norm(weights["norm1"], x)),
            new TransformerBlock(Config, weights, TorchOps.Plain, ScalarType.Float32).Forward(x) - x
        );

        using var unbiased = TinyS3Gen.Weights(TinyS3Gen.Standard, "decoder.estimator.mid_blocks.0.0.block2.block.0.bias");
        var block = Stage(unbiased)[0]["block2"]["block"];
        var conv = new FrameConv(block[0], Config.Channels, Config.Channels, kernel: 3);
        AssertClose(
            mish(Norm(block[2], conv.Forward(x))),
            new CausalBlock(Stage(unbiased)[0]["block2"], Config.Channels, Config.Channels).Forward(x)
        );

        static WeightScope Stage(WeightStore store) => store.Root["flow"]["decoder"]["estimator"]["mid_blocks"][0];

        static string[] Names(string layer) =>
            [$"decoder.estimator.mid_blocks.0.{layer}.weight", $"decoder.estimator.mid_blocks.0.{layer}.bias"];
    }

    private static FlowConditions Conditions(long rows, long frames) =>
        new(Random(rows, frames, 4), Random(rows, 4), Random(rows, frames, 4) * 2);

    private static Tensor Random(params long[] shape)
    {
        using var noise = new NoiseSource(shape.Sum());
        return noise.Normal(shape);
    }

    private static Tensor Norm(WeightScope weights, Tensor x) =>
        layer_norm(x, [Config.Channels], weights.Get("weight", Config.Channels), weights.Get("bias", Config.Channels), Eps);

    private static Tensor Linear(WeightScope weights, Tensor x, long outputs) =>
        linear(x, weights.Get("weight", outputs, x.shape[^1]), weights.Get("bias", outputs));

    private static void AssertClose(Tensor expected, Tensor actual) =>
        Assert.True((actual - expected).norm().item<float>() <= 2e-5 * expected.norm().item<float>());
}
