using System.Runtime.Intrinsics;
using Chatterbox.Ops;
using Chatterbox.Ops.Cpu;
using Chatterbox.Ops.Cuda;
using CsCheck;

namespace Chatterbox.Tests.Ops;

/// <summary>What <see cref="CpuOps"/> does in one pass, against the plain operations.</summary>
public unsafe class CpuOpsTests
{
    [Fact]
    public void Snake_is_that_of_torch() =>
        Gen.Select(Gen.Int[1, 3], Gen.Int[1, 5], Gen.Int[1, 40_000], Gen.Int)
            .Sample(
                (rows, channels, time, seed) =>
                {
                    using var scope = NewDisposeScope();
                    manual_seed(seed);
                    var (x, alpha) = (randn(rows, channels, time).mul(5), rand(1, channels, 1).mul(8).add(0.01));
                    Close(TorchOps.Plain.Snake(x.to(ScalarType.Float64), alpha.to(ScalarType.Float64)), new CpuOps().Snake(x, alpha));
                },
                iter: 30,
                threads: 1
            );

    [Theory, MemberData(nameof(RowProductsTests.Widths), MemberType = typeof(RowProductsTests))]
    public void Snake_of_each_width_is_that_of_torch(int width)
    {
        using var scope = NewDisposeScope();
        var (x, y) = (linspace(-300, 300, 10_007), empty(10_007));
        const float Alpha = 1.7f;
        switch (width)
        {
            case 512:
                Snake.Compute<Vector512<float>, Lanes512>((float*)x.Address(), Alpha, (float*)y.Address(), 10_007);
                break;
            case 256:
                Snake.Compute<Vector256<float>, Lanes256>((float*)x.Address(), Alpha, (float*)y.Address(), 10_007);
                break;
            default:
                Snake.Compute<Vector128<float>, Lanes128>((float*)x.Address(), Alpha, (float*)y.Address(), 10_007);
                break;
        }

        var wide = x.to(ScalarType.Float64).view(1, 1, -1);
        Close(TorchOps.Plain.Snake(wide, tensor(new[] { (double)Alpha }).view(1, 1, 1)).flatten(), y);
    }

    private static void Close(Tensor expected, Tensor actual)
    {
        var worst = (actual.to(ScalarType.Float64) - expected).abs().max().item<double>();
        var size = expected.abs().max().item<double>();
        Assert.True(worst <= (3e-7 * size) + 3e-5, $"The worst error is {worst:0.0e0} of numbers up to {size:0.0}.");
    }
}
