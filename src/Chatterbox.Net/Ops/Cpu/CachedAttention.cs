using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Chatterbox.Ops.Cpu;

/// <summary>Attention of one query over keys and values of a cache in bfloat16, in blocks of positions that can be computed at the same
/// time.</summary>
/// <remarks>Where blocks begin depends on the position alone, so that a row's numbers do not depend on which others it is computed
/// with.</remarks>
internal static unsafe class CachedAttention
{
    /// <summary>Positions of a block.</summary>
    public const int Block = 256;

    /// <summary>Blocks of so many positions.</summary>
    public static int BlocksOf(int positions) => (positions + Block - 1) / Block;

    /// <summary>Numbers that <see cref="Attend(float*, Bf16*, Bf16*, int, int, int, float*)"/> writes: the highest score, the sum of the
    /// weights, the weighted values.</summary>
    public static int PartSize(int headDim) => 2 + headDim;

    /// <summary>One head's query over one block.</summary>
    /// <param name="query">[headDim], a multiple of 16.</param>
    /// <param name="keys">The block's first key of this head.</param>
    /// <param name="values">The block's first value of this head.</param>
    /// <param name="stride">From one position to the next.</param>
    /// <param name="positions">Positions of the block, at most <see cref="Block"/>.</param>
    /// <param name="headDim">Size of a head.</param>
    /// <param name="part">[<see cref="PartSize"/>].</param>
    public static void Attend(float* query, Bf16* keys, Bf16* values, int stride, int positions, int headDim, float* part)
    {
        if (Lanes512.IsSupported)
        {
            Attend<Vector512<float>, Lanes512>(query, keys, values, stride, positions, headDim, part);
        }
        else if (Lanes256.IsSupported)
        {
            Attend<Vector256<float>, Lanes256>(query, keys, values, stride, positions, headDim, part);
        }
        else
        {
            Attend<Vector128<float>, Lanes128>(query, keys, values, stride, positions, headDim, part);
        }
    }

    /// <summary>Joins the blocks of a head.</summary>
    /// <param name="parts">[blocks, <see cref="PartSize"/>].</param>
    /// <param name="blocks">Number of blocks.</param>
    /// <param name="headDim">Size of a head.</param>
    /// <param name="attended">[headDim].</param>
    public static void Join(float* parts, int blocks, int headDim, float* attended)
    {
        var (size, highest) = (PartSize(headDim), float.NegativeInfinity);
        for (var block = 0; block < blocks; block++)
        {
            highest = Math.Max(highest, parts[block * size]);
        }

        var joined = new Span<float>(attended, headDim);
        joined.Clear();
        var sum = 0f;
        for (var block = 0; block < blocks; block++)
        {
            var part = parts + (block * size);
            var factor = MathF.Exp(part[0] - highest);
            sum += part[1] * factor;
            TensorPrimitives.MultiplyAdd(new ReadOnlySpan<float>(part + 2, headDim), factor, joined, joined);
        }

        TensorPrimitives.Multiply(joined, 1 / sum, joined);
    }

    /// <summary>The same as the other with vectors of one width.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Attend<TVector, TLanes>(
        float* query,
        Bf16* keys,
        Bf16* values,
        int stride,
        int positions,
        int headDim,
        float* part
    )
        where TVector : struct
        where TLanes : struct, ILanes<TVector>
    {
        var scores = stackalloc float[Block];
        var position = 0;
        for (; position + 4 <= positions; position += 4)
        {
            Bf16* k0 = keys + ((long)position * stride),
                k1 = k0 + stride,
                k2 = k1 + stride,
                k3 = k2 + stride;
            TVector s0 = TLanes.Fill(0),
                s1 = s0,
                s2 = s0,
                s3 = s0;
            for (var i = 0; i < headDim; i += TLanes.Count)
            {
                var q = TLanes.Load(query + i);
                s0 = TLanes.MultiplyAdd(TLanes.Load(k0 + i), q, s0);
                s1 = TLanes.MultiplyAdd(TLanes.Load(k1 + i), q, s1);
                s2 = TLanes.MultiplyAdd(TLanes.Load(k2 + i), q, s2);
                s3 = TLanes.MultiplyAdd(TLanes.Load(k3 + i), q, s3);
            }

            scores[position] = TLanes.Sum(s0);
            scores[position + 1] = TLanes.Sum(s1);
            scores[position + 2] = TLanes.Sum(s2);
            scores[position + 3] = TLanes.Sum(s3);
        }

        for (; position < positions; position++)
        {
            var (key, s) = (position * (long)stride, TLanes.Fill(0));
            for (var i = 0; i < headDim; i += TLanes.Count)
            {
                s = TLanes.MultiplyAdd(TLanes.Load(keys + key + i), TLanes.Load(query + i), s);
            }

            scores[position] = TLanes.Sum(s);
        }

        var weights = new Span<float>(scores, positions);
        TensorPrimitives.Multiply(weights, 1 / MathF.Sqrt(headDim), weights);
        part[0] = TensorPrimitives.Max<float>(weights);
        TensorPrimitives.Subtract(weights, part[0], weights);
        TensorPrimitives.Exp<float>(weights, weights);
        part[1] = TensorPrimitives.Sum<float>(weights);
        for (var i = 0; i < headDim; i += TLanes.Count)
        {
            TVector even = TLanes.Fill(0),
                odd = even;
            var value = values + i;
            for (position = 0; position + 2 <= positions; position += 2, value += 2 * (long)stride)
            {
                even = TLanes.MultiplyAdd(TLanes.Load(value), TLanes.Fill(scores[position]), even);
                odd = TLanes.MultiplyAdd(TLanes.Load(value + stride), TLanes.Fill(scores[position + 1]), odd);
            }

            if (position < positions)
            {
                even = TLanes.MultiplyAdd(TLanes.Load(value), TLanes.Fill(scores[position]), even);
            }

            TLanes.Store(TLanes.MultiplyAdd(TLanes.Fill(1), even, odd), part + 2 + i);
        }
    }
}
