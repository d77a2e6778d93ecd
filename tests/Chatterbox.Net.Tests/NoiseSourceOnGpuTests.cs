using Chatterbox.Tests.Parity;

namespace Chatterbox.Tests;

/// <summary>A seed means the same numbers wherever they are made.</summary>
public class NoiseSourceOnGpuTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(77)]
    public void Numbers_made_on_a_GPU_are_those_of_the_CPU(long seed)
    {
        var device = Gpu.Required();
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var here = new NoiseSource(seed);
        using var there = new NoiseSource(seed);
        foreach (var count in new long[] { 3, 5000, 16, 17, 623, 7, 31, 4096, 1_000_003, 9, 100 })
        {
            Check(here.Normal([count]), there.Normal([count], device));
            Check(here.Uniform(-3, 5, [count]), there.Uniform(-3, 5, [count], device));
            here.Skip(count + 16);
            there.Skip(count + 16);
        }

        Assert.Equal(here.Uniform(0, 1, [9]), there.Uniform(0, 1, [9])); // the CPU goes on where the GPU ended

        static void Check(Tensor expected, Tensor ours)
        {
            var largest = (expected - ours.cpu()).abs().max().item<float>();
            Close.Report($"{expected.numel()} numbers: largest difference {largest:E2}");
            Assert.True(largest <= 1e-5, $"{expected.numel()} numbers: largest difference {largest:E3}");
        }
    }
}
