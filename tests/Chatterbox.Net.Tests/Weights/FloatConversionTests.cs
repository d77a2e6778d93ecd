using System.Runtime.InteropServices;
using Chatterbox.Weights;

namespace Chatterbox.Tests.Weights;

public class FloatConversionTests
{
    private const int Uneven = 10_007; // no multiple of a vector or a block

    public static TheoryData<ScalarType, ScalarType> Pairs
    {
        get
        {
            ScalarType[] types = [ScalarType.Float64, ScalarType.Float32, ScalarType.Float16, ScalarType.BFloat16];
            return [.. from stored in types from wanted in types where stored != wanted select (stored, wanted)];
        }
    }

    [Theory, MemberData(nameof(Pairs))]
    public void Every_pair_of_types_is_converted_as_torch_does(ScalarType stored, ScalarType wanted)
    {
        using var scope = NewDisposeScope();
        var from = randn(Uneven, ScalarType.Float64).mul(30).to(stored);
        AssertAsTorch(from, wanted);
    }

    [Theory]
    [InlineData(ScalarType.Float16)]
    [InlineData(ScalarType.BFloat16)]
    public void Every_number_of_16_bits_is_widened(ScalarType stored)
    {
        using var scope = NewDisposeScope();
        AssertAsTorch(OfBits<ushort>([.. Enumerable.Range(0, 65536).Select(bits => (ushort)bits)], stored), ScalarType.Float32);
    }

    [Theory]
    [InlineData(ScalarType.Float16)]
    [InlineData(ScalarType.BFloat16)]
    public void Any_32_bits_are_narrowed_ties_and_small_numbers_too(ScalarType wanted)
    {
        using var scope = NewDisposeScope();
        var bits = new int[1 << 18];
        new Random(1).NextBytes(MemoryMarshal.AsBytes(bits.AsSpan()));
        for (var i = 0; i < bits.Length; i += 4)
        {
            bits[i] = bits[i] >> 16 << 16 | 0x8000; // a tie of bfloat16
            bits[i + 1] = bits[i + 1] >> 13 << 13 | 0x1000; // one of float16
        }

        AssertAsTorch(OfBits<int>(bits, ScalarType.Float32), wanted);
    }

    [Theory]
    [InlineData(65519.99f, ScalarType.Float16, true)]
    [InlineData(-65520f, ScalarType.Float16, false)]
    [InlineData(float.PositiveInfinity, ScalarType.Float16, true)]
    [InlineData(float.NaN, ScalarType.Float16, true)]
    [InlineData(3.396e38f, ScalarType.BFloat16, true)]
    [InlineData(float.MaxValue, ScalarType.BFloat16, false)]
    [InlineData(float.NegativeInfinity, ScalarType.BFloat16, true)]
    [InlineData(float.MaxValue, ScalarType.Float64, true)]
    public void A_number_that_becomes_infinite_is_told(float number, ScalarType wanted, bool fits)
    {
        float[] numbers = [.. Enumerable.Repeat(1f, Uneven), number, float.NaN, 2];
        var to = new byte[numbers.Length * TorchStorage.SizeOf(wanted)];
        Assert.Equal(fits, FloatConversion.Convert(MemoryMarshal.AsBytes(numbers.AsSpan()), ScalarType.Float32, to, wanted));
    }

    [Theory]
    [InlineData(3.4028235677973362e38, true)]
    [InlineData(3.4028235677973366e38, false)]
    [InlineData(-3.4028235677973366e38, false)]
    [InlineData(double.PositiveInfinity, true)]
    public void So_is_one_of_64_bits(double number, bool fits)
    {
        var to = new byte[sizeof(float)];
        Assert.Equal(
            fits,
            FloatConversion.Convert(MemoryMarshal.AsBytes(new[] { number }.AsSpan()), ScalarType.Float64, to, ScalarType.Float32)
        );
        Assert.Equal(fits && double.IsFinite(number), float.IsFinite(MemoryMarshal.Read<float>(to)));
    }

    private static Tensor OfBits<T>(ReadOnlySpan<T> bits, ScalarType type)
        where T : unmanaged
    {
        var tensor = empty(bits.Length, type);
        MemoryMarshal.AsBytes(bits).CopyTo(tensor.bytes);
        return tensor;
    }

    private static void AssertAsTorch(Tensor from, ScalarType wanted)
    {
        var theirs = from.to(wanted);
        var ours = empty(from.shape, wanted);
        FloatConversion.Convert(from.bytes, from.dtype, ours.bytes, wanted);
        Assert.Equal(theirs.isnan().data<bool>(), ours.isnan().data<bool>());
        var numbers = theirs.isnan().logical_not();
        Assert.True(theirs.masked_select(numbers).bytes.SequenceEqual(ours.masked_select(numbers).bytes));
    }
}
