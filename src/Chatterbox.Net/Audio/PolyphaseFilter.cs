using System.Collections.Concurrent;
using System.Numerics;
using System.Runtime.InteropServices;
using Chatterbox.Ops.Cuda;

namespace Chatterbox.Audio;

/// <summary>A resampling FIR filter for one ratio: a row of taps for each position that an output sample can take
/// between two input samples, so that each output sample is one dot product.</summary>
/// <remarks>The filter has no delay: output sample m lies at input position m·down/up. Samples beyond both ends count
/// as zero.</remarks>
internal sealed class PolyphaseFilter
{
    // 4 MB. Ratios that need more (44101:24000) share a table of fixed size, read with linear interpolation.
    private const int MostExactTaps = 1 << 20;

    private const int OutputsOfBlock = 256;
    private const int MostInputs = 48 * 1024 / sizeof(float);

    // Interpolation error of a sinc at the input's Nyquist rate: π²/(8·2048²) = 3e-7.
    private const int InterpolatedPhases = 2048;

    private static readonly KernelSource Source = new("resample.cu", ("OUTPUTS", OutputsOfBlock));

    private readonly int _up;
    private readonly int _down;
    private readonly int _phases;
    private readonly bool _exact;
    private readonly float[] _rows;
    private readonly ConcurrentDictionary<int, Tensor> _onDevices = new(); // rows, by the GPU's index

    /// <param name="up">Output rate over the greatest common divisor of both rates.</param>
    /// <param name="down">Input rate over the same divisor.</param>
    /// <param name="halfWidth">Distance from the filter's centre beyond which it is zero, in input samples.</param>
    /// <param name="tap">The filter's value at a distance from its centre, in input samples.</param>
    public PolyphaseFilter(int up, int down, double halfWidth, Func<double, double> tap)
    {
        _up = up;
        _down = down;
        Reach = (int)Math.Floor(halfWidth) + 1;
        _exact = (long)up * Taps <= MostExactTaps;

        // A decimating filter is smoother, by as much as it is longer: it does with fewer positions.
        _phases = _exact ? up : (int)Math.Ceiling(InterpolatedPhases * Math.Min(1.0, (double)up / down));
        _rows = new float[(_exact ? _phases : _phases + 1) * Taps];
        for (var i = 0; i < _rows.Length; i++)
        {
            var (phase, column) = (i / Taps, i % Taps);
            _rows[i] = (float)tap((double)phase / _phases - (column - Reach + 1));
        }
    }

    /// <summary>Input samples on either side that an output sample depends on.</summary>
    public int Reach { get; }

    private int Taps => 2 * Reach;

    private int InputsOfBlock => (int)Math.Min((long)(OutputsOfBlock - 1) * _down / _up, MostInputs) + 1 + Taps;

    /// <summary>Makes output samples, as many as there is room for.</summary>
    /// <param name="samples">Input at the old rate.</param>
    /// <param name="resampled">Output at the new rate.</param>
    /// <param name="firstInput">Place of the first input sample in the whole signal.</param>
    /// <param name="firstOutput">Place of the first output sample.</param>
    public void Apply(ReadOnlySpan<float> samples, Span<float> resampled, long firstInput = 0, long firstOutput = 0)
    {
        Span<float> edge = new float[Taps];
        for (var m = 0; m < resampled.Length; m++)
        {
            var (before, offset) = Math.DivRem((firstOutput + m) * _down, _up);
            var window = Window(samples, before - Reach + 1 - firstInput, edge);
            resampled[m] = _exact ? Dot(window, Row((int)offset)) : Interpolate(window, (double)offset * _phases / _up);
        }
    }

    /// <summary>Why the filter cannot run on a device, or null.</summary>
    public string? UnsupportedReason(Device device) =>
        !_exact ? "the filter has no row of its own for each position"
        : InputsOfBlock > MostInputs ? "a block would need more inputs than it has memory for"
        : CudaModule.UnsupportedReason(Source, device);

    /// <summary>Makes output samples on the GPU where the input is.</summary>
    /// <param name="samples">Input at the old rate, [samples], float32; of its device <see cref="UnsupportedReason"/> is null.</param>
    /// <param name="count">Output samples wanted.</param>
    /// <param name="length">How many come back; those after the wanted ones are zero.</param>
    /// <returns>[length].</returns>
    public Tensor Apply(Tensor samples, int count, int length)
    {
        using var scope = NewDisposeScope();
        var device = samples.device;
        using var context = CudaContext.Use(device.index);
        var rows = _onDevices.GetOrAdd(device.index, _ => HostTransfers.Place(_rows, device).DetachFromDisposeScope());
        var input = samples.contiguous();
        var resampled = empty([length], ScalarType.Float32, device);
        var shape = new LaunchShape((length + OutputsOfBlock - 1) / OutputsOfBlock, OutputsOfBlock, InputsOfBlock * sizeof(float));
        CudaModule
            .Get(Source, device)["resample"]
            .Launch(
                shape,
                CudaStream.OfTorch,
                new ResampleArguments
                {
                    X = input.Address(),
                    Rows = rows.Address(),
                    Y = resampled.Address(),
                    Count = (int)input.size(0),
                    Length = length,
                    Made = count,
                    Up = _up,
                    Down = _down,
                    Taps = Taps,
                }
            );
        return resampled.MoveToOuterDisposeScope();
    }

    private ReadOnlySpan<float> Window(ReadOnlySpan<float> samples, long start, Span<float> edge)
    {
        if (start >= 0 && start + Taps <= samples.Length)
        {
            return samples.Slice((int)start, Taps);
        }

        edge.Clear();
        var first = (int)Math.Clamp(start, 0, samples.Length);
        var last = (int)Math.Clamp(start + Taps, 0, samples.Length);
        if (last > first)
        {
            samples[first..last].CopyTo(edge[(int)(first - start)..]);
        }

        return edge;
    }

    private float Interpolate(ReadOnlySpan<float> window, double position)
    {
        var row = (int)position;
        var (low, high) = (Dot(window, Row(row)), Dot(window, Row(row + 1)));
        return low + (float)(position - row) * (high - low);
    }

    private ReadOnlySpan<float> Row(int phase) => _rows.AsSpan(phase * Taps, Taps);

    private static float Dot(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        var x = MemoryMarshal.Cast<float, Vector<float>>(a);
        var y = MemoryMarshal.Cast<float, Vector<float>>(b);
        Vector<float> even = Vector<float>.Zero,
            odd = Vector<float>.Zero;
        var i = 0;
        for (; i + 1 < x.Length && i + 1 < y.Length; i += 2)
        {
            even += x[i] * y[i];
            odd += x[i + 1] * y[i + 1];
        }

        if (i < x.Length)
        {
            even += x[i] * y[i];
        }

        var sum = Vector.Sum(even + odd);
        for (i = x.Length * Vector<float>.Count; i < a.Length; i++)
        {
            sum += a[i] * b[i];
        }

        return sum;
    }

    // The parameters of the kernel.
    [KernelStruct("resample.cu")]
    private struct ResampleArguments
    {
        public nint X,
            Rows,
            Y;
        public int Count,
            Length,
            Made,
            Up,
            Down,
            Taps;
    }
}

/// <summary>The filters of the ratios used last, shared by all threads.</summary>
/// <param name="capacity">Most filters kept; the one unused longest goes first.</param>
/// <param name="design">Makes the filter of a reduced ratio (up, down).</param>
internal sealed class PolyphaseFilterCache(int capacity, Func<int, int, PolyphaseFilter> design)
{
    private readonly Lock _lock = new();
    private readonly List<(int Up, int Down, PolyphaseFilter Filter)> _latestFirst = [];

    /// <summary>The filter from one rate (Hz) to another.</summary>
    public PolyphaseFilter Get(int from, int to)
    {
        var divisor = (int)BigInteger.GreatestCommonDivisor(from, to);
        var (up, down) = (to / divisor, from / divisor);
        return Find(up, down) ?? Keep(up, down, design(up, down));
    }

    private PolyphaseFilter? Find(int up, int down)
    {
        lock (_lock)
        {
            var found = _latestFirst.FindIndex(entry => entry.Up == up && entry.Down == down);
            if (found < 0)
            {
                return null;
            }

            var entry = _latestFirst[found];
            _latestFirst.RemoveAt(found);
            _latestFirst.Insert(0, entry);
            return entry.Filter;
        }
    }

    // Designed outside the lock: two threads may both make a new ratio's filter, and the later one is kept.
    private PolyphaseFilter Keep(int up, int down, PolyphaseFilter filter)
    {
        lock (_lock)
        {
            _latestFirst.RemoveAll(entry => entry.Up == up && entry.Down == down);
            _latestFirst.Insert(0, (up, down, filter));
            _latestFirst.RemoveRange(Math.Min(capacity, _latestFirst.Count), Math.Max(0, _latestFirst.Count - capacity));
            return filter;
        }
    }
}

/// <summary>A Kaiser window, which cuts off the sinc that a resampling filter is made of.</summary>
/// <param name="beta">Shape: more rejects more and rolls off slower.</param>
internal sealed class KaiserWindow(double beta)
{
    private readonly double _peak = BesselI0(beta);

    /// <summary>The window's value; 1 at the centre, 0 beyond the ends.</summary>
    /// <param name="position">Place between the centre, 0, and either end, ±1.</param>
    public double At(double position) => Math.Abs(position) > 1 ? 0 : BesselI0(beta * Math.Sqrt(1 - position * position)) / _peak;

    /// <summary>sin(πx)/(πx).</summary>
    public static double Sinc(double x) => x == 0 ? 1 : Math.Sin(Math.PI * x) / (Math.PI * x);

    // Power series; its terms fall once k exceeds x/2, and x is at most some 15 here.
    private static double BesselI0(double x)
    {
        var (sum, term, quarter) = (1.0, 1.0, x * x / 4);
        for (var k = 1; term > sum * 1e-17; k++)
        {
            term *= quarter / (k * k);
            sum += term;
        }

        return sum;
    }
}
