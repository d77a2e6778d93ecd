using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Chatterbox.Ops.Cpu;

/// <summary>The Snake activation, x + sin²(αx) / (α + 1e-9), in one pass over memory where torch takes five.</summary>
internal static unsafe class Snake
{
    // π as a sum whose first parts have few bits, so that multiples of them are exact; sin(r) / r on [−π/2, π/2] as a polynomial of r².
    private const float PiHigh = 3.140625f,
        PiMiddle = 9.67025756835938e-4f,
        PiLow = 6.278329464e-7f;
    private const float C1 = -0.16666659713f,
        C2 = 0.0083330785856f,
        C3 = -0.00019810690719f,
        C4 = 2.6083159810e-6f;

    /// <summary>One channel, or a part of it.</summary>
    /// <param name="x">What goes in.</param>
    /// <param name="alpha">The channel's α.</param>
    /// <param name="y">What comes out; may be <paramref name="x"/>.</param>
    /// <param name="count">How many numbers.</param>
    public static void Compute(float* x, float alpha, float* y, long count)
    {
        if (Lanes512.IsSupported)
        {
            Compute<Vector512<float>, Lanes512>(x, alpha, y, count);
        }
        else if (Lanes256.IsSupported)
        {
            Compute<Vector256<float>, Lanes256>(x, alpha, y, count);
        }
        else
        {
            Compute<Vector128<float>, Lanes128>(x, alpha, y, count);
        }
    }

    /// <summary>The same with vectors of one width.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Compute<TVector, TLanes>(float* x, float alpha, float* y, long count)
        where TVector : struct
        where TLanes : struct, ILanes<TVector>
    {
        var (scale, factor) = (TLanes.Fill(alpha), TLanes.Fill(1 / (alpha + 1e-9f)));
        var done = 0L;
        for (; done + TLanes.Count <= count; done += TLanes.Count)
        {
            TLanes.Store(Compute<TVector, TLanes>(TLanes.Load(x + done), scale, factor), y + done);
        }

        if (done < count)
        {
            var rest = stackalloc float[TLanes.Count];
            new Span<float>(x + done, (int)(count - done)).CopyTo(new Span<float>(rest, TLanes.Count));
            TLanes.Store(Compute<TVector, TLanes>(TLanes.Load(rest), scale, factor), rest);
            new Span<float>(rest, (int)(count - done)).CopyTo(new Span<float>(y + done, (int)(count - done)));
        }
    }

    // sin² has period π, so that neither sign nor quadrant counts.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TVector Compute<TVector, TLanes>(TVector x, TVector alpha, TVector factor)
        where TVector : struct
        where TLanes : struct, ILanes<TVector>
    {
        var angle = TLanes.Multiply(x, alpha);
        var turns = TLanes.Round(TLanes.Multiply(angle, TLanes.Fill(1 / MathF.PI)));
        var r = TLanes.MultiplyAdd(turns, TLanes.Fill(-PiHigh), angle);
        r = TLanes.MultiplyAdd(turns, TLanes.Fill(-PiMiddle), r);
        r = TLanes.MultiplyAdd(turns, TLanes.Fill(-PiLow), r);
        var square = TLanes.Multiply(r, r);
        var series = TLanes.MultiplyAdd(TLanes.Fill(C4), square, TLanes.Fill(C3));
        series = TLanes.MultiplyAdd(series, square, TLanes.Fill(C2));
        series = TLanes.MultiplyAdd(series, square, TLanes.Fill(C1));
        series = TLanes.MultiplyAdd(series, square, TLanes.Fill(1));
        var sine = TLanes.Multiply(series, r);
        return TLanes.MultiplyAdd(TLanes.Multiply(sine, sine), factor, x);
    }
}
