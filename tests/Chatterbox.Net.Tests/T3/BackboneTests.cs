using Chatterbox.T3;
using Chatterbox.Tests.Parity;

namespace Chatterbox.Tests.T3;

public class BackboneTests
{
    [Theory]
    [InlineData("llama")]
    [InlineData("gpt2")]
    public void Cached_steps_agree_with_one_prefill(string backbone)
    {
        using var tiny = TinyT3.Of(backbone);
        using var scope = NewDisposeScope();
        using var stepped = tiny.Model.CreateCache(3);
        using var whole = tiny.Model.CreateCache(2);
        stepped.Reserve(3); // grows under way
        whole.Reserve(12);
        var x = Inputs(rows: 2, time: 12);

        var logits = tiny.Model.Forward(x.narrow(1, 0, 3), stepped, new(1, 2, 0));
        for (var position = 3; position < 12; position++)
        {
            stepped.Reserve(position + 1);
            logits = tiny.Model.Forward(x.narrow(1, position, 1), stepped, new(1, 2, position));
        }

        AssertClose(tiny.Model.Forward(x, whole, new(0, 2, 0)), logits);
    }

    [Theory]
    [InlineData("llama")]
    [InlineData("gpt2")]
    public void What_lies_behind_the_last_step_that_counts_is_not_seen(string backbone)
    {
        using var tiny = TinyT3.Of(backbone);
        using var scope = NewDisposeScope();
        using var cache = tiny.Model.CreateCache(2);
        cache.Reserve(12);
        var x = Inputs(rows: 2, time: 12);
        var expected = tiny.Model.Forward(x.narrow(1, 0, 7), cache, new(0, 2, 0));
        AssertClose(expected, tiny.Model.Forward(x, cache, new(0, 2, 0), last: tensor([6L])));
    }

    [Theory]
    [InlineData("llama")]
    [InlineData("gpt2")]
    public void Rows_of_a_batch_agree_with_each_alone(string backbone)
    {
        using var tiny = TinyT3.Of(backbone);
        using var scope = NewDisposeScope();
        using var cache = tiny.Model.CreateCache(3);
        cache.Reserve(8);
        var x = Inputs(rows: 2, time: 7);
        var next = Inputs(rows: 2, time: 1);

        var first = tiny.Model.Forward(x, cache, new(0, 2, 0));
        var second = tiny.Model.Forward(next, cache, new(0, 2, 7));
        for (var row = 0; row < 2; row++)
        {
            AssertClose(first.narrow(0, row, 1), tiny.Model.Forward(x.narrow(0, row, 1), cache, new(2, 1, 0)));
            AssertClose(second.narrow(0, row, 1), tiny.Model.Forward(next.narrow(0, row, 1), cache, new(2, 1, 7)));
        }
    }

    [Theory]
    [InlineData("llama")]
    [InlineData("gpt2")]
    public void Every_norm_has_the_configurations_epsilon(string backbone)
    {
        // A residual stream so small that epsilon decides; scaled with its epsilon, it must give the same logits.
        const float Scale = 4;
        using var scope = NewDisposeScope();
        using var tiny = TinyT3.Of(backbone, scale: name => IsResidual(name) ? 1e-3f : 1);
        using var scaled = TinyT3.Of(
            backbone,
            config => config with { Backbone = config.Backbone with { NormEps = config.Backbone.NormEps * Scale * Scale } },
            name => IsResidual(name) ? 1e-3f * Scale : 1
        );
        var x = Inputs(rows: 1, time: 5) * 1e-3f;

        using var cache = tiny.Model.CreateCache(1);
        cache.Reserve(5);
        AssertClose(tiny.Model.Forward(x, cache, new(0, 1, 0)), scaled.Model.Forward(x * Scale, cache, new(0, 1, 0)));
        Assert.Equal(1e-5, new LlamaConfig().NormEps);
        Assert.Equal(1e-5, new Gpt2Config().NormEps);

        static bool IsResidual(string name) =>
            new[] { "o_proj", "down_proj", "c_proj", "wpe" }.Any(part => name.Contains(part, StringComparison.Ordinal));
    }

    [Fact]
    public void Gpt2_has_the_tanh_form_of_gelu()
    {
        using var tiny = TinyT3.Gpt2();
        using var scope = NewDisposeScope();
        var weights = tiny.Weights["tfmr"]["h"][0]["mlp"];
        var x = Inputs(rows: 1, time: 3);

        var wide = matmul(x, weights["c_fc"].Get("weight", 16, 24)) + weights["c_fc"].Get("bias", 24);
        var gelu = 0.5 * wide * (1 + tanh(Math.Sqrt(2 / Math.PI) * (wide + 0.044715 * wide.pow(3))));
        var expected = matmul(gelu, weights["c_proj"].Get("weight", 24, 16)) + weights["c_proj"].Get("bias", 16);
        Assert.InRange(Close.RelativeError(expected, new Gpt2Mlp((Gpt2Config)TinyT3.Gpt2Config.Backbone, weights).Forward(x)), 0, 1e-6);
    }

    [Fact]
    public void A_table_of_positions_too_short_for_the_configuration_is_refused() =>
        Assert.Throws<ArgumentOutOfRangeException>(() => TinyT3.Gpt2(TinyT3.Gpt2Config with { MaxSpeechTokens = 80 }));

    /// <summary>Computed in double precision from the definition: frequencies θ^(−2i/64), of which those with waves over
    /// 8192 positions are divided by 8, those under 2048 stay, and those between blend by context / wave.</summary>
    [Theory]
    [InlineData(0, 1)]
    [InlineData(8, 0.03760603093086393)]
    [InlineData(14, 0.003211445994752591)]
    [InlineData(15, 0.0013718935677611381)]
    [InlineData(16, 0.0005248461609929547)]
    [InlineData(17, 0.0001785078127679964)]
    [InlineData(18, 7.78465527393245e-05)]
    [InlineData(31, 3.767322690173964e-07)]
    public void Rotary_frequencies_are_stretched_for_long_waves_only(int index, double expected)
    {
        using var frequencies = RotaryTable.Frequencies(new LlamaConfig());
        Assert.Equal(expected, frequencies[index].item<float>(), expected * 1e-6);
    }

    private static Tensor Inputs(int rows, int time)
    {
        using var noise = new NoiseSource(42);
        return noise.Normal([rows, time, 16]);
    }

    private static void AssertClose(Tensor expected, Tensor actual) => Assert.InRange(Close.RelativeError(expected, actual), 0, 1e-5);
}
