using System.Globalization;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Chatterbox.Ops.Cpu;
using Chatterbox.Ops.Cuda;
using CsCheck;

namespace Chatterbox.Tests.Ops;

/// <summary>The CPU's products of a few rows, with vectors of each width, against torch in float64.</summary>
public unsafe class RowProductsTests
{
    /// <summary>Environment variable with the width, in bits, that vectors are limited to by other variables.</summary>
    public const string MostVectorBits = "CHATTERBOX_TEST_VECTOR_BITS";

    public static TheoryData<int> Widths => [.. new[] { 128, 256, 512 }.Where(IsSupported)];

    [Fact]
    public void Vectors_are_no_wider_than_they_are_limited_to()
    {
        var most = Environment.GetEnvironmentVariable(MostVectorBits);
        Assert.SkipWhen(most is null, "Vectors are not limited.");
        Assert.InRange(RowProducts.VectorBits, 128, int.Parse(most!, CultureInfo.InvariantCulture));
    }

    [Theory, MemberData(nameof(Widths))]
    public void Products_are_those_of_torch(int width) =>
        Gen.Select(Gen.Int[1, 9], Gen.Int[1, 70], Gen.Int[1, 5], Gen.Enum<WeightFormat>(), Gen.Int)
            .Sample(
                (rows, outputs, groups, format, seed) =>
                {
                    using var scope = NewDisposeScope();
                    var (x, weights) = Draw(rows, outputs, groups * RowProducts.GroupSize, seed);
                    using var matrix = WeightMatrix.Of(weights, format);
                    var first = outputs / 3;
                    var y = Multiply(width, matrix, x, first);
                    var expected = x.to(ScalarType.Float64).mm(Widened(width, matrix).to(ScalarType.Float64).t());
                    Assert.Equal(0, y.narrow(1, 0, first).abs().sum().item<float>()); // left as they were
                    Close(expected.narrow(1, first, outputs - first), y.narrow(1, first, outputs - first), 1e-6);
                },
                iter: 60
            );

    [Theory, MemberData(nameof(Widths))]
    public void A_row_is_the_same_to_the_bit_in_any_company(int width) =>
        Gen.Select(Gen.Int[2, 16], Gen.Int[1, 70], Gen.Enum<WeightFormat>(), Gen.Int)
            .Sample(
                (rows, outputs, format, seed) =>
                {
                    using var scope = NewDisposeScope();
                    var (x, weights) = Draw(rows, outputs, 3 * RowProducts.GroupSize, seed);
                    using var matrix = WeightMatrix.Of(weights, format);
                    var all = Multiply(width, matrix, x, 0);
                    for (var row = 0; row < rows; row++)
                    {
                        Assert.Equal(Multiply(width, matrix, x.narrow(0, row, 1).contiguous(), 0).data<float>(), all[row].data<float>());
                    }
                },
                iter: 40
            );

    [Theory]
    [InlineData(nameof(WeightFormat.Float32), 0)]
    [InlineData(nameof(WeightFormat.BFloat16), 2e-3)]
    [InlineData(nameof(WeightFormat.Int8), 7e-3)]
    public void Formats_keep_weights_as_closely_as_they_can(string format, double tolerance)
    {
        using var scope = NewDisposeScope();
        var (_, weights) = Draw(1, 200, 4 * RowProducts.GroupSize, seed: 3);
        using var matrix = WeightMatrix.Of(weights, Enum.Parse<WeightFormat>(format));
        Close(weights.to(ScalarType.Float64), Widened(RowProducts.VectorBits, matrix), tolerance);
    }

    [Fact]
    public void Weights_of_zero_stay_zero()
    {
        using var scope = NewDisposeScope();
        using var matrix = WeightMatrix.Of(zeros(8, 64), WeightFormat.Int8);
        Assert.Equal(0, matrix.Multiply(ones(20, 64), null).abs().max().item<float>());
    }

    [Theory]
    [InlineData(nameof(WeightFormat.Float32))]
    [InlineData(nameof(WeightFormat.BFloat16))]
    [InlineData(nameof(WeightFormat.Int8))]
    public void What_follows_a_product_is_as_torch_computes_it(string format)
    {
        const int Rows = 3,
            Inputs = 128,
            Outputs = 140;
        using var scope = NewDisposeScope();
        var (x, weights) = Draw(Rows, 2 * Outputs, Inputs, seed: 5);
        using var half = WeightMatrix.Of(weights.narrow(0, 0, Outputs), Enum.Parse<WeightFormat>(format));
        using var whole = WeightMatrix.Of(weights, Enum.Parse<WeightFormat>(format));
        var (bias, start) = (randn(Outputs), randn(Rows, Outputs));
        var products = new ThreadedProducts(new WorkerPool(3));
        var plain = half.Multiply(x, bias);
        var gate = whole.Multiply(x, null);

        Close(plain, Into(empty(Rows, Outputs), y => products.Multiply(half, At(bias), At(x), Rows, y)), 1e-5);
        Close(start.add(plain), Into(start.clone(), y => products.Add(half, At(bias), At(x), Rows, y)), 1e-5);
        Close(
            nn.functional.gelu(plain, TorchSharp.Modules.GELU.Approximate.tanh),
            Into(empty(Rows, Outputs), y => products.MultiplyGelu(half, At(bias), At(x), Rows, y)),
            1e-5
        );
        Close(
            nn.functional.silu(gate.narrow(1, 0, Outputs)) * gate.narrow(1, Outputs, Outputs),
            Into(empty(Rows, Outputs), y => products.MultiplySiluGate(whole, At(x), Rows, y)),
            1e-5
        );
    }

    [Theory, MemberData(nameof(Widths))]
    public void Attention_over_blocks_of_the_cache_is_that_of_torch(int width) =>
        Gen.Select(Gen.Int[1, 700], Gen.Int[1, 4], Gen.Int)
            .Sample(
                (positions, sixteenths, seed) =>
                {
                    using var scope = NewDisposeScope();
                    manual_seed(seed);
                    var headDim = 16 * sixteenths;
                    var query = randn(1, 1, 1, headDim);
                    var (keys, values) = (
                        randn(positions, 2, headDim).to(ScalarType.BFloat16),
                        randn(positions, 2, headDim).to(ScalarType.BFloat16)
                    ); // the second of two heads
                    var blocks = CachedAttention.BlocksOf(positions);
                    var (parts, attended) = (empty(blocks, CachedAttention.PartSize(headDim)), empty(headDim));
                    for (var block = 0; block < blocks; block++)
                    {
                        var first = block * CachedAttention.Block;
                        var at = (first * 2 * headDim) + headDim;
                        Attend(
                            width,
                            At(query),
                            (Bf16*)keys.Address() + at,
                            (Bf16*)values.Address() + at,
                            2 * headDim,
                            Math.Min(CachedAttention.Block, positions - first),
                            headDim,
                            At(parts) + (block * CachedAttention.PartSize(headDim))
                        );
                    }

                    CachedAttention.Join(At(parts), blocks, headDim, At(attended));
                    var expected = nn.functional.scaled_dot_product_attention(
                        query,
                        keys.select(1, 1).to(ScalarType.Float32).reshape(1, 1, positions, headDim),
                        values.select(1, 1).to(ScalarType.Float32).reshape(1, 1, positions, headDim)
                    );
                    Close(expected.flatten(), attended, 1e-5);
                },
                iter: 40
            );

    [Theory, MemberData(nameof(Widths))]
    public void Attention_is_the_same_to_the_bit_wherever_the_stack_is(int width)
    {
        using var scope = NewDisposeScope();
        manual_seed(1);
        const int HeadDim = 64;
        var (query, keys, values) = (
            randn(HeadDim),
            randn(CachedAttention.Block, HeadDim).to(ScalarType.BFloat16),
            randn(CachedAttention.Block, HeadDim).to(ScalarType.BFloat16)
        );
        float[] OnStackOf(int bytes)
        {
            var below = stackalloc byte[bytes];
            var part = zeros(CachedAttention.PartSize(HeadDim));
            Attend(width, At(query), (Bf16*)keys.Address(), (Bf16*)values.Address(), HeadDim, CachedAttention.Block, HeadDim, At(part));
            below[0] = 1;
            return [.. part.data<float>()];
        }

        foreach (var bytes in Enumerable.Range(2, 8))
        {
            Assert.Equal(OnStackOf(16), OnStackOf(16 * bytes));
        }
    }

    private static bool IsSupported(int width) =>
        width switch
        {
            512 => Vector512.IsHardwareAccelerated && Avx512F.IsSupported,
            256 => Vector256.IsHardwareAccelerated && Avx2.IsSupported,
            _ => true,
        };

    private static (Tensor X, Tensor Weights) Draw(int rows, int outputs, int inputs, int seed)
    {
        manual_seed(seed);
        return (randn(rows, inputs), randn(outputs, inputs));
    }

    private static Tensor Multiply(int width, WeightMatrix matrix, Tensor x, int first)
    {
        var y = zeros(x.shape[0], matrix.Outputs);
        var rows = (int)x.shape[0];
        switch (width)
        {
            case 512:
                RowProducts.Multiply<Vector512<float>, Lanes512>(matrix.Address, first, matrix.Outputs, At(x), rows, At(y), matrix.Outputs);
                break;
            case 256:
                RowProducts.Multiply<Vector256<float>, Lanes256>(matrix.Address, first, matrix.Outputs, At(x), rows, At(y), matrix.Outputs);
                break;
            default:
                RowProducts.Multiply<Vector128<float>, Lanes128>(matrix.Address, first, matrix.Outputs, At(x), rows, At(y), matrix.Outputs);
                break;
        }

        return y;
    }

    private static Tensor Widened(int width, WeightMatrix matrix)
    {
        var wide = empty(matrix.Outputs, matrix.Inputs);
        switch (width)
        {
            case 512:
                RowProducts.Widen<Vector512<float>, Lanes512>(matrix.Address, 0, matrix.Outputs, At(wide));
                break;
            case 256:
                RowProducts.Widen<Vector256<float>, Lanes256>(matrix.Address, 0, matrix.Outputs, At(wide));
                break;
            default:
                RowProducts.Widen<Vector128<float>, Lanes128>(matrix.Address, 0, matrix.Outputs, At(wide));
                break;
        }

        return wide;
    }

    private static void Attend(int width, float* query, Bf16* keys, Bf16* values, int stride, int positions, int headDim, float* part)
    {
        switch (width)
        {
            case 512:
                CachedAttention.Attend<Vector512<float>, Lanes512>(query, keys, values, stride, positions, headDim, part);
                break;
            case 256:
                CachedAttention.Attend<Vector256<float>, Lanes256>(query, keys, values, stride, positions, headDim, part);
                break;
            default:
                CachedAttention.Attend<Vector128<float>, Lanes128>(query, keys, values, stride, positions, headDim, part);
                break;
        }
    }

    private delegate void Compute(float* y);

    private static Tensor Into(Tensor y, Compute compute)
    {
        compute(At(y));
        return y;
    }

    private static float* At(Tensor tensor) => (float*)tensor.Address();

    private static void Close(Tensor expected, Tensor actual, double tolerance)
    {
        var wide = expected.to(ScalarType.Float64);
        var error = (actual.to(ScalarType.Float64) - wide).norm().item<double>() / Math.Max(1e-30, wide.norm().item<double>());
        Assert.True(error <= tolerance, $"The relative error is {error:0.0e0}, at most {tolerance:0.0e0} is expected.");
    }
}
