using Chatterbox.Ops;
using Chatterbox.S3Gen;
using Chatterbox.Weights;
using static TorchSharp.torch.nn.functional;

namespace Chatterbox.Tests.S3Gen;

/// <summary>What the recorded encoder outputs do not show: the norms' epsilons, the position table's values and end, rows beside each
/// other.</summary>
public class ConformerEncoderTests
{
    private const double BlockEps = 1e-12;
    private const double OtherEps = 1e-5;

    private static readonly ConformerConfig Config = TinyS3Gen.Standard.Encoder;

    [Fact]
    public void Block_norms_tell_the_faintest_input_apart()
    {
        using var scope = NewDisposeScope();
        var x = Faint(1e-6);

        using var mlpOnly = TinyS3Gen.Weights(
            TinyS3Gen.Standard,
            "encoder.encoders.0.self_attn.linear_out.weight",
            "encoder.encoders.0.self_attn.linear_out.bias"
        );
        var weights = mlpOnly.Root["flow"]["encoder"]["encoders"][0];
        var positions = new RelativePositions(Config, weights).Of(x.shape[1]);
        var mlp = weights["feed_forward"];
        var hidden = silu(Linear(mlp["w_1"], Norm(weights["norm_ff"], x, BlockEps), Config.MlpSize));
        AssertClose(
            Linear(mlp["w_2"], hidden, Config.Size),
            new ConformerBlock(Config, weights, TorchOps.Plain, ScalarType.Float32).Forward(x, positions) - x
        );

        using var attentionOnly = TinyS3Gen.Weights(
            TinyS3Gen.Standard,
            "encoder.encoders.0.feed_forward.w_2.weight",
            "encoder.encoders.0.feed_forward.w_2.bias"
        );
        weights = attentionOnly.Root["flow"]["encoder"]["encoders"][0];
        var attention = new RelativeAttention(Config, weights["self_attn"], TorchOps.Plain);
        AssertClose(
            attention.Forward(Norm(weights["norm_mha"], x, BlockEps), positions),
            new ConformerBlock(Config, weights, TorchOps.Plain, ScalarType.Float32).Forward(x, positions) - x
        );
    }

    [Fact]
    public void Input_norms_have_an_ordinary_epsilon()
    {
        using var scope = NewDisposeScope();
        using var store = TinyS3Gen.Weights(TinyS3Gen.Standard, "encoder.embed.out.0.bias");
        var weights = store.Root["flow"]["encoder"]["embed"]["out"];
        var x = Faint(3e-3);
        var expected = Norm(weights[1], Linear(weights[0], x, Config.Size), OtherEps) * 4; // √16
        AssertClose(expected, new ConformerInput(Config, weights, Config.InputSize).Forward(x));
    }

    [Fact]
    public void The_last_norm_has_an_ordinary_epsilon()
    {
        using var scope = NewDisposeScope();
        using var store = TinyS3Gen.Weights(
            TinyS3Gen.Standard,
            "encoder.up_embed.out.1.weight",
            "encoder.up_encoders.0.self_attn.linear_out.weight",
            "encoder.up_encoders.0.self_attn.linear_out.bias",
            "encoder.up_encoders.0.feed_forward.w_2.weight",
            "encoder.up_encoders.0.feed_forward.w_2.bias"
        );
        var weights = store.Root["flow"]["encoder"];
        var faint = weights["up_embed"]["out"][1].Get("bias", Config.Size) * 4; // all that reaches the last norm
        var expected = Norm(weights["after_norm"], faint, OtherEps).expand(2, 10, -1);
        AssertClose(expected, new ConformerEncoder(Config, weights, TorchOps.Plain, ScalarType.Float32).Forward(Faint(1)));
    }

    [Fact]
    public void Positions_are_sinusoids_of_the_distance_from_far_behind_to_far_ahead()
    {
        using var scope = NewDisposeScope();
        using var store = TinyS3Gen.Weights(TinyS3Gen.Standard);
        foreach (var length in new[] { 1, 4, 9, 10, 600 }) // the table ends at 9
        {
            var positions = new RelativePositions(Config, store.Root).Of(length);
            Assert.Equal([1, 2 * length - 1, Config.Size], positions.shape);
            var values = positions.flatten().data<float>().ToArray();
            for (var i = 0; i < values.Length; i++)
            {
                var (distance, channel) = (length - 1 - (i / Config.Size), i % Config.Size);
                var angle = distance / Math.Pow(10000, (channel - (channel % 2)) / (double)Config.Size);
                Assert.Equal(channel % 2 == 0 ? Math.Sin(angle) : Math.Cos(angle), values[i], 5e-5);
            }
        }
    }

    [Fact]
    public void A_sequence_longer_than_the_table_is_encoded_alike()
    {
        using var scope = NewDisposeScope();
        using var store = TinyS3Gen.Weights(TinyS3Gen.Standard);
        var weights = store.Root["flow"]["encoder"];
        var x = Faint(1); // 5 tokens, 10 frames
        var expected = new ConformerEncoder(Config with { PositionTable = 100 }, weights, TorchOps.Plain, ScalarType.Float32).Forward(x);
        AssertClose(expected, new ConformerEncoder(Config, weights, TorchOps.Plain, ScalarType.Float32).Forward(x));
    }

    [Fact]
    public void A_rows_result_does_not_depend_on_its_neighbours()
    {
        using var scope = NewDisposeScope();
        using var store = TinyS3Gen.Weights(TinyS3Gen.Standard);
        var encoder = new ConformerEncoder(Config, store.Root["flow"]["encoder"], TorchOps.Plain, ScalarType.Float32);
        var x = Faint(1);
        AssertClose(encoder.Forward(x[1].unsqueeze(0)), encoder.Forward(x)[1].unsqueeze(0));
    }

    [Theory]
    [InlineData(1, true)]
    [InlineData(4, true)]
    [InlineData(5, true)]
    [InlineData(4, false)]
    [InlineData(5, false)]
    public void Tokens_that_do_not_count_are_neither_seen_nor_heard(int given, bool complete)
    {
        using var scope = NewDisposeScope();
        using var store = TinyS3Gen.Weights(TinyS3Gen.Standard);
        var encoder = new ConformerEncoder(Config, store.Root["flow"]["encoder"], TorchOps.Plain, ScalarType.Float32);
        var x = Faint(1); // 5 tokens
        var expected = encoder.Forward(x.narrow(1, 0, given), complete);
        var live = new LiveTokens(tensor([(long)given]), tensor([given - (complete ? 0L : Config.Lookahead)]));
        var filled = cat([x.narrow(1, 0, given), 100 * Faint(1), zeros(2, 3, Config.Size)], 1);
        AssertClose(expected, encoder.Forward(filled, live: live).narrow(1, 0, expected.shape[1]));
    }

    [Fact]
    public void Scores_by_distance_reach_the_right_keys()
    {
        using var scope = NewDisposeScope();
        using var store = TinyS3Gen.Weights(TinyS3Gen.Standard);
        var weights = store.Root["flow"]["encoder"]["encoders"][0]["self_attn"];
        var x = Faint(1);
        var positions = new RelativePositions(Config, store.Root).Of(5);
        var q = Linear(weights["linear_q"], x, Config.Size).reshape(2, 5, Config.Heads, Config.HeadSize);
        var k = Linear(weights["linear_k"], x, Config.Size).reshape(2, 5, Config.Heads, Config.HeadSize);
        var v = Linear(weights["linear_v"], x, Config.Size).reshape(2, 5, Config.Heads, Config.HeadSize);
        var p = linear(positions, weights["linear_pos"].Get("weight", Config.Size, Config.Size)).reshape(9, Config.Heads, Config.HeadSize);
        var u = weights.Get("pos_bias_u", Config.Heads, Config.HeadSize);
        var w = weights.Get("pos_bias_v", Config.Heads, Config.HeadSize);
        var queries = Enumerable
            .Range(0, 5)
            .Select(i =>
            {
                var scores = stack(
                    Enumerable
                        .Range(0, 5)
                        .Select(j => ((q[.., i] + u) * k[.., j] + (q[.., i] + w) * p[4 - (i - j)]).sum(-1) / Math.Sqrt(Config.HeadSize)),
                    -1
                );
                return (softmax(scores, -1).unsqueeze(-1) * v.transpose(1, 2)).sum(2).flatten(1); // [rows, size]
            });
        AssertClose(
            Linear(weights["linear_out"], stack(queries, 1), Config.Size),
            new RelativeAttention(Config, weights, TorchOps.Plain).Forward(x, positions)
        );
    }

    private static Tensor Faint(double scale)
    {
        using var noise = new NoiseSource(3);
        return noise.Normal([2, 5, Config.Size]) * scale;
    }

    private static Tensor Norm(WeightScope weights, Tensor x, double eps) =>
        layer_norm(x, [Config.Size], weights.Get("weight", Config.Size), weights.Get("bias", Config.Size), eps);

    private static Tensor Linear(WeightScope weights, Tensor x, long outputs) =>
        linear(x, weights.Get("weight", outputs, x.shape[^1]), weights.Get("bias", outputs));

    private static void AssertClose(Tensor expected, Tensor actual) =>
        Assert.True((actual - expected).norm().item<float>() <= 2e-5 * expected.norm().item<float>());
}
