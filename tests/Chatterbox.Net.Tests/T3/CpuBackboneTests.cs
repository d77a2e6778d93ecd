using Chatterbox.Ops.Cpu;
using Chatterbox.T3;
using Chatterbox.T3.Fused;

namespace Chatterbox.Tests.T3;

/// <summary>The CPU's fast steps against the plain operations, at sizes that they are made for.</summary>
public class CpuBackboneTests
{
    private const double Tolerance = 1e-2; // keys and values are kept in bfloat16

    private static readonly SamplingOptions Long = new() { MaxSpeechTokens = 44, Temperature = 1 };

    [Theory]
    [InlineData("llama", nameof(WeightFormat.Float32))]
    [InlineData("llama", nameof(WeightFormat.BFloat16))]
    [InlineData("gpt2", nameof(WeightFormat.Float32))]
    [InlineData("gpt2", nameof(WeightFormat.Int8))]
    public void Logits_are_those_of_the_plain_operations(string backbone, string format)
    {
        using var plain = TinyT3.Of(backbone, Sized);
        using var fast = TinyT3.Of(backbone, Sized, cpuFormat: Enum.Parse<WeightFormat>(format));
        using var scope = NewDisposeScope();
        using var plainDecoder = new PlainT3Decoder(plain.Model, capacity: 1);
        using var fastDecoder = new PlainT3Decoder(fast.Model, capacity: 1);
        using var noise = new NoiseSource(1);
        using var expected = plainDecoder.Start(TinyT3.Text, TinyT3.Voice, Long, noise);
        using var actual = fastDecoder.Start(TinyT3.Text, TinyT3.Voice, Long, noise);
        for (var step = 0; step < 40; step++)
        {
            var error = (actual.Logits - expected.Logits).norm().item<float>() / expected.Logits.norm().item<float>();
            Assert.True(
                error < Tolerance + (format == nameof(WeightFormat.Int8) ? 2e-2 : 0),
                $"{backbone} in {format}, step {step}: the relative error is {error}."
            );
            using var token = tensor(new long[] { step * 7 % 50 }, [1, 1]);
            plainDecoder.Feed(expected, token);
            fastDecoder.Feed(actual, token);
        }
    }

    [Fact]
    public void Sizes_that_do_not_fit_run_on_the_plain_operations()
    {
        using var plain = TinyT3.Llama();
        using var small = TinyT3.Llama(cpuFormat: WeightFormat.Int8);
        Assert.Contains("multiple of", CpuBackbone.UnsupportedReason(small.Model.Config.Backbone, CPU), StringComparison.Ordinal);
        Assert.Equal(plain.Generate(1).SpeechTokens, small.Generate(1).SpeechTokens);
    }

    /// <summary>Tiny sizes that the fast steps are made for.</summary>
    internal static T3Config Sized(T3Config config) =>
        config with
        {
            Backbone = config.Backbone switch
            {
                LlamaConfig llama => llama with { HiddenSize = 64, Heads = 2, MlpSize = 128 },
                Gpt2Config gpt2 => gpt2 with { HiddenSize = 64, Heads = 2, MlpSize = 128 },
                var other => other,
            },
        };
}
