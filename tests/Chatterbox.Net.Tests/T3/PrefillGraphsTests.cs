using Chatterbox.T3;
using Chatterbox.Tests.Parity;
using Chatterbox.Tests.T3.Fused;

namespace Chatterbox.Tests.T3;

/// <summary>The prefill as graphs against the plain operations, both in bfloat16.</summary>
public class PrefillGraphsTests
{
    private const double Bound = 2e-2; // bfloat16: torch takes other products for other numbers of rows

    [Theory]
    [InlineData("llama", 2)]
    [InlineData("llama", 1)]
    [InlineData("gpt2", 1)]
    public void Any_prefix_is_run_as_by_the_plain_operations(string backbone, int rows)
    {
        var device = Gpu.Required();
        var config = FusedT3DecoderTests.Config(backbone, 512);
        using var tiny = TinyT3.Rounded(config, ScalarType.BFloat16, device);
        using var mode = inference_mode();
        using var plainCache = tiny.Model.CreateCache(rows);
        using var cache = tiny.Model.CreateCache(rows);
        using var graphs = new PrefillGraphs(tiny.Model, cache, rows);
        var random = new Random(7);
        var (worst, worstKept) = (0.0, 0.0);
        for (var i = 0; i < 24; i++)
        {
            using var scope = NewDisposeScope();
            var length = random.Next(1, i < 12 ? 250 : config.MaxLength); // the cache grows midway
            plainCache.Reserve(length);
            var prefix = (randn(rows, length, 512) * 0.3).to(ScalarType.BFloat16).to(device);
            var plain = tiny.Model.Forward(prefix, plainCache, new(0, rows, 0));
            graphs.Forward(prefix);
            worst = Math.Max(worst, Close.RelativeError(plain, graphs.Forward(prefix)));
            Tensor Kept(KvCache cache) => cat([cache.Keys.narrow(2, 0, length), cache.Values.narrow(2, 0, length)]);
            worstKept = Math.Max(worstKept, Close.RelativeError(Kept(plainCache), Kept(cache)));
        }

        Close.Report($"{backbone}: logits {worst:E2}, keys and values {worstKept:E2} (bound {Bound:E0})");
        Assert.True(worst <= Bound && worstKept <= Bound, $"relative errors {worst:E3}, {worstKept:E3} exceed {Bound:E0}");
    }
}
