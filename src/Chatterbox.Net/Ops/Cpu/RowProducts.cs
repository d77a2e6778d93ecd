using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Chatterbox.Ops.Cpu;

/// <summary>How the numbers of a <see cref="WeightMatrix"/> are stored.</summary>
internal enum WeightFormat
{
    /// <summary>32 bits.</summary>
    Float32,

    /// <summary>16 bits.</summary>
    BFloat16,

    /// <summary>8-bit integers, with a scale in float32 for each <see cref="RowProducts.GroupSize"/> inputs of an output.</summary>
    Int8,
}

/// <summary>Where the numbers of a matrix lie.</summary>
internal readonly unsafe struct MatrixAddress(byte* weights, float* scales, WeightFormat format, int inputs)
{
    /// <summary>Row by row, [outputs, inputs].</summary>
    public readonly byte* Weights = weights;

    /// <summary>Of <see cref="WeightFormat.Int8"/>, [outputs, inputs / <see cref="RowProducts.GroupSize"/>].</summary>
    public readonly float* Scales = scales;

    /// <summary>How the numbers are stored.</summary>
    public readonly WeightFormat Format = format;

    /// <summary>A multiple of <see cref="RowProducts.GroupSize"/>.</summary>
    public readonly int Inputs = inputs;

    /// <summary>Groups of inputs.</summary>
    public readonly int Groups = inputs / RowProducts.GroupSize;

    /// <summary>From one output's weights to the next's.</summary>
    public readonly long RowBytes = (long)inputs * RowProducts.SizeOf(format);

    /// <summary>An output's weights.</summary>
    public byte* Row(int output) => Weights + (output * RowBytes);

    /// <summary>An output's scales.</summary>
    public float* ScalesOf(int output) => Scales + ((long)output * Groups);
}

/// <summary>Products of a few rows with weights that are read once, y = x·Wᵀ: what bounds them is how fast memory is read.</summary>
/// <remarks>Rows stay in float32 and so do the sums: only the weights are rounded. Each sum is made in the same order whatever the number
/// of rows, so that a row's numbers do not depend on which others it is computed with; they do depend on the width of the
/// vectors.</remarks>
internal static unsafe class RowProducts
{
    /// <summary>Inputs of an output that share a scale.</summary>
    public const int GroupSize = 64;

    // Weights are asked for this many tiles before they are used: an output's are too few for the processor to foresee the next's.
    private const int AheadTiles = 2;

    /// <summary>Bits of the widest vectors that the kernels use on this processor.</summary>
    public static int VectorBits =>
        Lanes512.IsSupported ? 512
        : Lanes256.IsSupported ? 256
        : 128;

    /// <summary>Bytes of a weight.</summary>
    public static int SizeOf(WeightFormat format) =>
        format switch
        {
            WeightFormat.Int8 => sizeof(sbyte),
            WeightFormat.BFloat16 => sizeof(ushort),
            _ => sizeof(float),
        };

    /// <summary>Computes some of the outputs of all rows.</summary>
    /// <param name="matrix">The weights.</param>
    /// <param name="first">First output.</param>
    /// <param name="end">Output after the last.</param>
    /// <param name="x">[rows, inputs].</param>
    /// <param name="rows">Number of rows.</param>
    /// <param name="y">[rows, stride], of which the outputs are written.</param>
    /// <param name="stride">From one row of <paramref name="y"/> to the next.</param>
    public static void Multiply(MatrixAddress matrix, int first, int end, float* x, int rows, float* y, int stride)
    {
        if (Lanes512.IsSupported)
        {
            Multiply<Vector512<float>, Lanes512>(matrix, first, end, x, rows, y, stride);
        }
        else if (Lanes256.IsSupported)
        {
            Multiply<Vector256<float>, Lanes256>(matrix, first, end, x, rows, y, stride);
        }
        else
        {
            Multiply<Vector128<float>, Lanes128>(matrix, first, end, x, rows, y, stride);
        }
    }

    /// <summary>Reads some outputs' weights as float32.</summary>
    /// <param name="matrix">The weights.</param>
    /// <param name="first">First output.</param>
    /// <param name="end">Output after the last.</param>
    /// <param name="target">[outputs, inputs], of which these outputs are written.</param>
    public static void Widen(MatrixAddress matrix, int first, int end, float* target)
    {
        if (Lanes512.IsSupported)
        {
            Widen<Vector512<float>, Lanes512>(matrix, first, end, target);
        }
        else if (Lanes256.IsSupported)
        {
            Widen<Vector256<float>, Lanes256>(matrix, first, end, target);
        }
        else
        {
            Widen<Vector128<float>, Lanes128>(matrix, first, end, target);
        }
    }

    /// <summary>The same with vectors of one width.</summary>
    internal static void Widen<TVector, TLanes>(MatrixAddress matrix, int first, int end, float* target)
        where TVector : struct
        where TLanes : struct, ILanes<TVector>
    {
        switch (matrix.Format)
        {
            case WeightFormat.Int8:
                Widen<TVector, TLanes, Int8Weights<TVector, TLanes>>(matrix, first, end, target);
                break;
            case WeightFormat.BFloat16:
                Widen<TVector, TLanes, BFloat16Weights<TVector, TLanes>>(matrix, first, end, target);
                break;
            default:
                Widen<TVector, TLanes, Float32Weights<TVector, TLanes>>(matrix, first, end, target);
                break;
        }
    }

    /// <summary>The same with vectors of one width.</summary>
    internal static void Multiply<TVector, TLanes>(MatrixAddress matrix, int first, int end, float* x, int rows, float* y, int stride)
        where TVector : struct
        where TLanes : struct, ILanes<TVector>
    {
        switch (matrix.Format)
        {
            case WeightFormat.Int8:
                Multiply<TVector, TLanes, Int8Weights<TVector, TLanes>>(matrix, first, end, x, rows, y, stride);
                break;
            case WeightFormat.BFloat16:
                Multiply<TVector, TLanes, BFloat16Weights<TVector, TLanes>>(matrix, first, end, x, rows, y, stride);
                break;
            default:
                Multiply<TVector, TLanes, Float32Weights<TVector, TLanes>>(matrix, first, end, x, rows, y, stride);
                break;
        }
    }

    private static void Widen<TVector, TLanes, TWeights>(MatrixAddress matrix, int first, int end, float* target)
        where TVector : struct
        where TLanes : struct, ILanes<TVector>
        where TWeights : struct, IWeights<TVector>
    {
        for (var output = first; output < end; output++)
        {
            var row = matrix.Row(output);
            var scales = matrix.ScalesOf(output);
            var wide = target + ((long)output * matrix.Inputs);
            for (var (group, i) = (0, 0); group < matrix.Groups; group++)
            {
                var scale = TWeights.Scale(scales, group);
                for (var stop = i + GroupSize; i < stop; i += TLanes.Count)
                {
                    TLanes.Store(TWeights.Load(row, i, scale), wide + i);
                }
            }
        }
    }

    // Tiles of outputs times rows whose sums fit into the registers.
    private static void Multiply<TVector, TLanes, TWeights>(
        MatrixAddress matrix,
        int first,
        int end,
        float* x,
        int rows,
        float* y,
        int stride
    )
        where TVector : struct
        where TLanes : struct, ILanes<TVector>
        where TWeights : struct, IWeights<TVector>
    {
        var (inputs, output) = (matrix.Inputs, first);
        for (; output + 4 <= end; output += 4)
        {
            var row = 0;
            for (; row + 4 <= rows; row += 4)
            {
                Tile2x4<TVector, TLanes, TWeights>(matrix, output, x + ((long)row * inputs), y + ((long)row * stride), stride);
                Tile2x4<TVector, TLanes, TWeights>(matrix, output + 2, x + ((long)row * inputs), y + ((long)row * stride), stride);
            }

            for (; row + 2 <= rows; row += 2)
            {
                Tile4x2<TVector, TLanes, TWeights>(matrix, output, x + ((long)row * inputs), y + ((long)row * stride), stride);
            }

            if (row < rows)
            {
                Tile4x1<TVector, TLanes, TWeights>(matrix, output, x + ((long)row * inputs), y + ((long)row * stride), stride);
            }
        }

        for (; output < end; output++)
        {
            for (var row = 0; row < rows; row++)
            {
                Tile1x1<TVector, TLanes, TWeights>(matrix, output, x + ((long)row * inputs), y + ((long)row * stride), stride);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile4x1<TVector, TLanes, TWeights>(MatrixAddress matrix, int output, float* x, float* y, int stride)
        where TVector : struct
        where TLanes : struct, ILanes<TVector>
        where TWeights : struct, IWeights<TVector>
    {
        TVector s00 = TLanes.Fill(0),
            s10 = s00,
            s20 = s00,
            s30 = s00;
        byte* row0 = matrix.Row(output),
            row1 = row0 + matrix.RowBytes,
            row2 = row1 + matrix.RowBytes,
            row3 = row2 + matrix.RowBytes;
        float* scales0 = matrix.ScalesOf(output),
            scales1 = scales0 + matrix.Groups,
            scales2 = scales1 + matrix.Groups,
            scales3 = scales2 + matrix.Groups;
        var ahead = AheadTiles * 4 * matrix.RowBytes;
        for (var (group, i) = (0, 0); group < matrix.Groups; group++)
        {
            var scale0 = TWeights.Scale(scales0, group);
            var scale1 = TWeights.Scale(scales1, group);
            var scale2 = TWeights.Scale(scales2, group);
            var scale3 = TWeights.Scale(scales3, group);
            TWeights.Prefetch(row0 + ahead, i);
            TWeights.Prefetch(row1 + ahead, i);
            TWeights.Prefetch(row2 + ahead, i);
            TWeights.Prefetch(row3 + ahead, i);
            for (var end = i + GroupSize; i < end; i += TLanes.Count)
            {
                var at0 = TLanes.Load(x + i);
                var weight = TWeights.Load(row0, i, scale0);
                s00 = TLanes.MultiplyAdd(weight, at0, s00);
                weight = TWeights.Load(row1, i, scale1);
                s10 = TLanes.MultiplyAdd(weight, at0, s10);
                weight = TWeights.Load(row2, i, scale2);
                s20 = TLanes.MultiplyAdd(weight, at0, s20);
                weight = TWeights.Load(row3, i, scale3);
                s30 = TLanes.MultiplyAdd(weight, at0, s30);
            }
        }

        y[output] = TLanes.Sum(s00);
        y[output + 1] = TLanes.Sum(s10);
        y[output + 2] = TLanes.Sum(s20);
        y[output + 3] = TLanes.Sum(s30);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile4x2<TVector, TLanes, TWeights>(MatrixAddress matrix, int output, float* x, float* y, int stride)
        where TVector : struct
        where TLanes : struct, ILanes<TVector>
        where TWeights : struct, IWeights<TVector>
    {
        TVector s00 = TLanes.Fill(0),
            s01 = s00,
            s10 = s00,
            s11 = s00,
            s20 = s00,
            s21 = s00,
            s30 = s00,
            s31 = s00;
        byte* row0 = matrix.Row(output),
            row1 = row0 + matrix.RowBytes,
            row2 = row1 + matrix.RowBytes,
            row3 = row2 + matrix.RowBytes;
        float* scales0 = matrix.ScalesOf(output),
            scales1 = scales0 + matrix.Groups,
            scales2 = scales1 + matrix.Groups,
            scales3 = scales2 + matrix.Groups;
        float* x1 = x + matrix.Inputs;
        var ahead = AheadTiles * 4 * matrix.RowBytes;
        for (var (group, i) = (0, 0); group < matrix.Groups; group++)
        {
            var scale0 = TWeights.Scale(scales0, group);
            var scale1 = TWeights.Scale(scales1, group);
            var scale2 = TWeights.Scale(scales2, group);
            var scale3 = TWeights.Scale(scales3, group);
            TWeights.Prefetch(row0 + ahead, i);
            TWeights.Prefetch(row1 + ahead, i);
            TWeights.Prefetch(row2 + ahead, i);
            TWeights.Prefetch(row3 + ahead, i);
            for (var end = i + GroupSize; i < end; i += TLanes.Count)
            {
                var at0 = TLanes.Load(x + i);
                var at1 = TLanes.Load(x1 + i);
                var weight = TWeights.Load(row0, i, scale0);
                s00 = TLanes.MultiplyAdd(weight, at0, s00);
                s01 = TLanes.MultiplyAdd(weight, at1, s01);
                weight = TWeights.Load(row1, i, scale1);
                s10 = TLanes.MultiplyAdd(weight, at0, s10);
                s11 = TLanes.MultiplyAdd(weight, at1, s11);
                weight = TWeights.Load(row2, i, scale2);
                s20 = TLanes.MultiplyAdd(weight, at0, s20);
                s21 = TLanes.MultiplyAdd(weight, at1, s21);
                weight = TWeights.Load(row3, i, scale3);
                s30 = TLanes.MultiplyAdd(weight, at0, s30);
                s31 = TLanes.MultiplyAdd(weight, at1, s31);
            }
        }

        y[output] = TLanes.Sum(s00);
        y[output + 1] = TLanes.Sum(s10);
        y[output + 2] = TLanes.Sum(s20);
        y[output + 3] = TLanes.Sum(s30);
        y += stride;
        y[output] = TLanes.Sum(s01);
        y[output + 1] = TLanes.Sum(s11);
        y[output + 2] = TLanes.Sum(s21);
        y[output + 3] = TLanes.Sum(s31);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile2x4<TVector, TLanes, TWeights>(MatrixAddress matrix, int output, float* x, float* y, int stride)
        where TVector : struct
        where TLanes : struct, ILanes<TVector>
        where TWeights : struct, IWeights<TVector>
    {
        TVector s00 = TLanes.Fill(0),
            s01 = s00,
            s02 = s00,
            s03 = s00,
            s10 = s00,
            s11 = s00,
            s12 = s00,
            s13 = s00;
        byte* row0 = matrix.Row(output),
            row1 = row0 + matrix.RowBytes;
        float* scales0 = matrix.ScalesOf(output),
            scales1 = scales0 + matrix.Groups;
        float* x1 = x + matrix.Inputs,
            x2 = x1 + matrix.Inputs,
            x3 = x2 + matrix.Inputs;
        var ahead = AheadTiles * 2 * matrix.RowBytes;
        for (var (group, i) = (0, 0); group < matrix.Groups; group++)
        {
            var scale0 = TWeights.Scale(scales0, group);
            var scale1 = TWeights.Scale(scales1, group);
            TWeights.Prefetch(row0 + ahead, i);
            TWeights.Prefetch(row1 + ahead, i);
            for (var end = i + GroupSize; i < end; i += TLanes.Count)
            {
                var weight0 = TWeights.Load(row0, i, scale0);
                var weight1 = TWeights.Load(row1, i, scale1);
                var at = TLanes.Load(x + i);
                s00 = TLanes.MultiplyAdd(weight0, at, s00);
                s10 = TLanes.MultiplyAdd(weight1, at, s10);
                at = TLanes.Load(x1 + i);
                s01 = TLanes.MultiplyAdd(weight0, at, s01);
                s11 = TLanes.MultiplyAdd(weight1, at, s11);
                at = TLanes.Load(x2 + i);
                s02 = TLanes.MultiplyAdd(weight0, at, s02);
                s12 = TLanes.MultiplyAdd(weight1, at, s12);
                at = TLanes.Load(x3 + i);
                s03 = TLanes.MultiplyAdd(weight0, at, s03);
                s13 = TLanes.MultiplyAdd(weight1, at, s13);
            }
        }

        y[output] = TLanes.Sum(s00);
        y[output + 1] = TLanes.Sum(s10);
        y += stride;
        y[output] = TLanes.Sum(s01);
        y[output + 1] = TLanes.Sum(s11);
        y += stride;
        y[output] = TLanes.Sum(s02);
        y[output + 1] = TLanes.Sum(s12);
        y += stride;
        y[output] = TLanes.Sum(s03);
        y[output + 1] = TLanes.Sum(s13);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile1x1<TVector, TLanes, TWeights>(MatrixAddress matrix, int output, float* x, float* y, int stride)
        where TVector : struct
        where TLanes : struct, ILanes<TVector>
        where TWeights : struct, IWeights<TVector>
    {
        TVector s00 = TLanes.Fill(0);
        var row0 = matrix.Row(output);
        var scales0 = matrix.ScalesOf(output);
        var ahead = AheadTiles * 1 * matrix.RowBytes;
        for (var (group, i) = (0, 0); group < matrix.Groups; group++)
        {
            var scale0 = TWeights.Scale(scales0, group);
            TWeights.Prefetch(row0 + ahead, i);
            for (var end = i + GroupSize; i < end; i += TLanes.Count)
            {
                var at0 = TLanes.Load(x + i);
                var weight = TWeights.Load(row0, i, scale0);
                s00 = TLanes.MultiplyAdd(weight, at0, s00);
            }
        }

        y[output] = TLanes.Sum(s00);
    }

    /// <summary>Reads weights of one format as float32.</summary>
    private interface IWeights<TVector>
        where TVector : struct
    {
        /// <summary>The scale of a group of inputs.</summary>
        static abstract TVector Scale(float* scales, int group);

        /// <summary>Weights of one output, from an input on.</summary>
        static abstract TVector Load(byte* row, int input, TVector scale);

        /// <summary>Asks the memory for a group of weights that will be wanted soon.</summary>
        static abstract void Prefetch(byte* row, int input);
    }

    private readonly struct Int8Weights<TVector, TLanes> : IWeights<TVector>
        where TVector : struct
        where TLanes : struct, ILanes<TVector>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TVector Scale(float* scales, int group) => TLanes.Fill(scales[group]);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TVector Load(byte* row, int input, TVector scale) => TLanes.Multiply(TLanes.Load((sbyte*)row + input), scale);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Prefetch(byte* row, int input) => RowProducts.Prefetch(row + input);
    }

    private readonly struct BFloat16Weights<TVector, TLanes> : IWeights<TVector>
        where TVector : struct
        where TLanes : struct, ILanes<TVector>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TVector Scale(float* scales, int group) => default;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TVector Load(byte* row, int input, TVector scale) => TLanes.Load((Bf16*)row + input);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Prefetch(byte* row, int input)
        {
            RowProducts.Prefetch(row + (2 * input));
            RowProducts.Prefetch(row + (2 * input) + GroupSize);
        }
    }

    private readonly struct Float32Weights<TVector, TLanes> : IWeights<TVector>
        where TVector : struct
        where TLanes : struct, ILanes<TVector>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TVector Scale(float* scales, int group) => default;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TVector Load(byte* row, int input, TVector scale) => TLanes.Load((float*)row + input);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Prefetch(byte* row, int input)
        {
            for (var line = 0; line < 4; line++)
            {
                RowProducts.Prefetch(row + (4 * input) + (line * GroupSize));
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Prefetch(byte* line)
    {
        if (Sse.IsSupported)
        {
            Sse.Prefetch0(line);
        }
    }
}
