using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Chatterbox.Weights;

/// <summary>Converts elements between the floating-point types that weights are stored in: through float32 and to the
/// nearest, ties to even, as torch does.</summary>
internal static class FloatConversion
{
    private const int Block = 4096; // elements: in float32 they stay in the first-level cache

    // The least numbers that are rounded to infinity.
    private const double BeyondFloat32 = 3.4028235677973366e38;
    private const float BeyondBFloat16 = 3.3961775e38f;
    private const float BeyondFloat16 = 65520;

    /// <summary>True if this is one of the types.</summary>
    public static bool Knows(ScalarType type) =>
        type is ScalarType.Float64 or ScalarType.Float32 or ScalarType.Float16 or ScalarType.BFloat16;

    /// <summary>Converts elements.</summary>
    /// <param name="from">Elements, little-endian.</param>
    /// <param name="stored">Their type.</param>
    /// <param name="to">Room for as many elements.</param>
    /// <param name="wanted">Their type.</param>
    /// <returns>False if a finite number is beyond the range of the type that is wanted, and became infinite.</returns>
    public static bool Convert(ReadOnlySpan<byte> from, ScalarType stored, Span<byte> to, ScalarType wanted)
    {
        if (wanted == ScalarType.Float32)
        {
            return Widen(from, stored, MemoryMarshal.Cast<byte, float>(to));
        }

        Span<float> wide = stackalloc float[Block];
        var (fromSize, toSize) = (TorchStorage.SizeOf(stored), TorchStorage.SizeOf(wanted));
        var fits = true;
        while (from.Length > 0)
        {
            var count = Math.Min(Block, from.Length / fromSize);
            fits &= Widen(from[..(count * fromSize)], stored, wide[..count]);
            fits &= Narrow(wide[..count], to[..(count * toSize)], wanted);
            from = from[(count * fromSize)..];
            to = to[(count * toSize)..];
        }

        return fits;
    }

    private static bool Widen(ReadOnlySpan<byte> from, ScalarType stored, Span<float> to)
    {
        switch (stored)
        {
            case ScalarType.BFloat16:
                Widen(MemoryMarshal.Cast<byte, ushort>(from), MemoryMarshal.Cast<float, uint>(to));
                return true;
            case ScalarType.Float16:
                TensorPrimitives.ConvertToSingle(MemoryMarshal.Cast<byte, Half>(from), to);
                return true;
            case ScalarType.Float64:
                var doubles = MemoryMarshal.Cast<byte, double>(from);
                TensorPrimitives.ConvertTruncating(doubles, to);
                return AllBelow(doubles, BeyondFloat32);
            default:
                MemoryMarshal.Cast<byte, float>(from).CopyTo(to);
                return true;
        }
    }

    private static bool Narrow(ReadOnlySpan<float> from, Span<byte> to, ScalarType wanted)
    {
        switch (wanted)
        {
            case ScalarType.BFloat16:
                Narrow(MemoryMarshal.Cast<float, uint>(from), MemoryMarshal.Cast<byte, ushort>(to));
                return AllBelow(from, BeyondBFloat16);
            case ScalarType.Float16:
                TensorPrimitives.ConvertToHalf(from, MemoryMarshal.Cast<byte, Half>(to));
                return AllBelow(from, BeyondFloat16);
            default:
                TensorPrimitives.ConvertTruncating(from, MemoryMarshal.Cast<byte, double>(to));
                return true;
        }
    }

    /// <summary>A bfloat16 is the upper half of a float32.</summary>
    private static void Widen(ReadOnlySpan<ushort> from, Span<uint> to)
    {
        var vectors = MemoryMarshal.Cast<ushort, Vector512<ushort>>(from);
        var targets = MemoryMarshal.Cast<uint, Vector512<uint>>(to);
        for (var i = 0; i < vectors.Length; i++)
        {
            var (lower, upper) = Vector512.Widen(vectors[i]);
            targets[2 * i] = lower << 16;
            targets[(2 * i) + 1] = upper << 16;
        }

        for (var i = vectors.Length * Vector512<ushort>.Count; i < from.Length; i++)
        {
            to[i] = (uint)from[i] << 16;
        }
    }

    private static void Narrow(ReadOnlySpan<uint> from, Span<ushort> to)
    {
        var vectors = MemoryMarshal.Cast<uint, Vector512<uint>>(from);
        var targets = MemoryMarshal.Cast<ushort, Vector512<ushort>>(to);
        for (var i = 0; i < targets.Length; i++)
        {
            targets[i] = Vector512.Narrow(UpperHalf(vectors[2 * i]), UpperHalf(vectors[(2 * i) + 1]));
        }

        for (var i = targets.Length * Vector512<ushort>.Count; i < from.Length; i++)
        {
            to[i] = (ushort)UpperHalf(Vector512.CreateScalar(from[i]))[0];
        }
    }

    /// <summary>Half of the last place is added, but for an even number one bit less, so that ties go to even; what is no
    /// number stays so.</summary>
    private static Vector512<uint> UpperHalf(Vector512<uint> x)
    {
        var number = x.AsSingle();
        var rounded = x + Vector512.Create(0x7FFFu) + ((x >>> 16) & Vector512<uint>.One);
        return Vector512.ConditionalSelect(Vector512.Equals(number, number).AsUInt32(), rounded, Vector512.Create(0x7FC0_0000u)) >>> 16;
    }

    private static bool AllBelow<T>(ReadOnlySpan<T> numbers, T limit)
        where T : IFloatingPointIeee754<T>
    {
        if (T.Abs(TensorPrimitives.MaxMagnitudeNumber(numbers)) < limit)
        {
            return true;
        }

        foreach (var number in numbers)
        {
            if (T.IsFinite(number) && T.Abs(number) >= limit)
            {
                return false;
            }
        }

        return true;
    }
}
