using System.Numerics.Tensors;

namespace Chatterbox.Audio.Mp3;

/// <summary>How a granule is windowed.</summary>
internal enum BlockType
{
    /// <summary>One long window.</summary>
    Long = 0,

    /// <summary>A long window that ends early, before short ones.</summary>
    Start = 1,

    /// <summary>Three short windows.</summary>
    Short = 2,

    /// <summary>A long window that begins late, after short ones.</summary>
    Stop = 3,
}

/// <summary>Makes 576 frequency lines of two granules' band samples: a modified cosine transform in each band, then the butterflies
/// that undo the aliasing between bands.</summary>
/// <remarks>Source: ISO/IEC 11172-3, C.1.5.3.3 and 2.4.3.4.10; the scale is such that the decoder's transforms give the same signal
/// back.</remarks>
internal static class HybridTransform
{
    private const int Lines = 18; // of a band
    private const int Window = 2 * Lines;
    private const int ShortLines = 6;
    private const int ShortWindow = 2 * ShortLines;

    private static readonly float[][][] Long = [LongBasis(BlockType.Long), LongBasis(BlockType.Start), [], LongBasis(BlockType.Stop)];
    private static readonly float[][] Short = Basis(ShortWindow, i => Math.Sin(Math.PI / ShortWindow * (i + 0.5)));

    private static readonly double[] Aliasing = [-0.6, -0.535, -0.33, -0.185, -0.095, -0.041, -0.0142, -0.0037];
    private static readonly float[] Straight = [.. Aliasing.Select(c => (float)(1 / Math.Sqrt(1 + (c * c))))];
    private static readonly float[] Crossed = [.. Aliasing.Select(c => (float)(c / Math.Sqrt(1 + (c * c))))];

    /// <summary>Transforms a granule.</summary>
    /// <param name="first">The granule's band samples, [band, 18].</param>
    /// <param name="second">Those of the granule after it.</param>
    /// <param name="type">How it is windowed.</param>
    /// <param name="lines">Room for 576 lines; those of short windows in the order that <see cref="ScaleFactorBands"/> asks for.</param>
    /// <param name="bands">Of the stream's rate.</param>
    public static void Forward(
        ReadOnlySpan<float> first,
        ReadOnlySpan<float> second,
        BlockType type,
        Span<float> lines,
        ScaleFactorBands bands
    )
    {
        Span<float> time = stackalloc float[Window];
        for (var band = 0; band < AnalysisFilterBank.Bands; band++)
        {
            first.Slice(band * Lines, Lines).CopyTo(time);
            second.Slice(band * Lines, Lines).CopyTo(time[Lines..]);
            if (band % 2 == 1)
            {
                InvertFrequencies(time);
            }

            if (type == BlockType.Short)
            {
                ForwardShort(time, band, lines, bands);
            }
            else
            {
                for (var line = 0; line < Lines; line++)
                {
                    lines[(band * Lines) + line] = TensorPrimitives.Dot(Long[(int)type][line], time);
                }
            }
        }

        if (type != BlockType.Short)
        {
            UndoAliasing(lines);
        }
    }

    private static void ForwardShort(ReadOnlySpan<float> time, int band, Span<float> lines, ScaleFactorBands bands)
    {
        for (var window = 0; window < 3; window++)
        {
            var part = time.Slice(ShortLines * (window + 1), ShortWindow);
            for (var line = 0; line < ShortLines; line++)
            {
                lines[bands.ShortPosition((band * ShortLines) + line, window)] = TensorPrimitives.Dot(Short[line], part);
            }
        }
    }

    private static void UndoAliasing(Span<float> lines)
    {
        for (var border = Lines; border < lines.Length; border += Lines)
        {
            for (var i = 0; i < Aliasing.Length; i++)
            {
                ref var below = ref lines[border - 1 - i];
                ref var above = ref lines[border + i];
                (below, above) = ((below * Straight[i]) + (above * Crossed[i]), (above * Straight[i]) - (below * Crossed[i]));
            }
        }
    }

    // Every other band comes out of the filters mirrored.
    private static void InvertFrequencies(Span<float> time)
    {
        for (var i = 1; i < time.Length; i += 2)
        {
            time[i] = -time[i];
        }
    }

    private static float[][] LongBasis(BlockType type) =>
        Basis(
            Window,
            i =>
                type switch
                {
                    BlockType.Start when i >= 18 => i < 24 ? 1
                    : i < 30 ? Math.Sin(Math.PI / 12 * (i - 18 + 0.5))
                    : 0,
                    BlockType.Stop when i < 18 => i < 6 ? 0
                    : i < 12 ? Math.Sin(Math.PI / 12 * (i - 6 + 0.5))
                    : 1,
                    _ => Math.Sin(Math.PI / Window * (i + 0.5)),
                }
        );

    private static float[][] Basis(int length, Func<int, double> window) =>
        [
            .. Enumerable
                .Range(0, length / 2)
                .Select(line =>
                    Enumerable
                        .Range(0, length)
                        .Select(i =>
                            (float)(
                                4.0
                                / length
                                * window(i)
                                * Math.Cos(Math.PI / (2 * length) * ((2 * i) + 1 + (length / 2)) * ((2 * line) + 1))
                            )
                        )
                        .ToArray()
                ),
        ];
}
