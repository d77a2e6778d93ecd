using System.Diagnostics;
using Chatterbox.Ops.Cpu;
using Chatterbox.Ops.Cuda;

namespace Chatterbox.Ops;

/// <summary>A device whose arithmetic was checked.</summary>
/// <param name="Result">What was found.</param>
/// <param name="Ops">Operations that are right.</param>
/// <param name="Precision">The precision wanted, or full where reduced precision is wrong.</param>
internal sealed record CheckedDevice(SelfCheck Result, TorchOps Ops, Precision Precision);

/// <summary>Checks a device's arithmetic by a few small computations with known answers, so that a fault of a processor, a driver or a
/// library is noticed before it becomes wrong speech.</summary>
/// <remarks>The answers are computed in float64, on the CPU, from products and elementwise operations alone.</remarks>
internal static class DeviceCheck
{
    private const double WideBound = 1e-4,
        NarrowBound = 3e-2; // of float32, and of bfloat16 and fp16

    private static readonly SaferOps Truth = new(
        TorchOps.Plain,
        OperationKinds.Convolution | OperationKinds.Attention | OperationKinds.LayerNorm | OperationKinds.Elementwise
    );

    /// <summary>Computations of every network, in float32. Convolutions have the channels, kernels and strides of the networks and are
    /// as long as it takes for known faults to show.</summary>
    private static readonly Probe[] Everywhere =
    [
        Convolve(64, 64, kernel: 3, time: 300, padding: 1),
        Convolve(80, 32, kernel: 7, time: 200, padding: 3),
        Convolve(18, 32, kernel: 6, time: 3001, padding: 1, stride: 3),
        Convolve(64, 18, kernel: 7, time: 300, padding: 3),
        Convolve(32, 32, kernel: 11, time: 200, padding: 25, dilation: 5),
        Convolve(128, 32, kernel: 3, time: 200, padding: 1, stride: 2),
        Convolve(64, 64, kernel: 31, time: 100, padding: 15, groups: 64),
        new(OperationKinds.Convolution, (ops, draw) => ops.Convolve(draw([1, 32, 10, 40]), draw([32, 32, 3, 3]), null, (2, 1), 1)),
        new(OperationKinds.Convolution, (ops, draw) => ops.ConvolveTransposed(draw([1, 64, 40]), draw([64, 32, 16]), draw([32]), 8, 4)),
        new(OperationKinds.Lstm, (_, draw) => RunLstm(draw)),
        new(OperationKinds.Fourier, (_, draw) => Transform(draw, 16, 4)),
        new(OperationKinds.Fourier, (_, draw) => Transform(draw, 1920, 480)),
    ];

    /// <summary>Computations of transformers, T3 among them, in each element type.</summary>
    private static readonly Probe[] OfTransformers =
    [
        new(OperationKinds.Product, (ops, draw) => ops.Linear(draw([2, 33, 256]), draw([384, 256]), draw([384]))),
        new(OperationKinds.Product, (_, draw) => matmul(draw([1, 1, 512]), draw([256, 512]).t())),
        new(OperationKinds.Attention, (ops, draw) => ops.Attention(draw([2, 4, 1, 64]), draw([2, 4, 70, 64]), draw([2, 4, 70, 64]))),
        new(
            OperationKinds.Attention,
            (ops, draw) => ops.Attention(draw([1, 4, 40, 64]), draw([1, 4, 40, 64]), draw([1, 4, 40, 64]), causal: true)
        ),
        new(
            OperationKinds.Attention,
            (ops, draw) => ops.Attention(draw([1, 4, 33, 64]), draw([1, 4, 40, 64]), draw([1, 4, 40, 64]), draw([1, 4, 33, 40]))
        ),
        new(OperationKinds.LayerNorm, (ops, draw) => ops.LayerNorm(draw([2, 9, 256]), draw([256]), draw([256]), 1e-5)),
        new(OperationKinds.Elementwise, (ops, draw) => ops.RmsNorm(draw([2, 9, 256]), draw([256]), 1e-5)),
        new(OperationKinds.Elementwise, (ops, draw) => ops.Rotate(draw([2, 9, 4, 64]), draw([9, 1, 64]), draw([9, 1, 64]))),
        new(OperationKinds.Elementwise, (ops, draw) => ops.SiluGate(draw([2, 9, 256]), draw([2, 9, 256]))),
        new(OperationKinds.Elementwise, (ops, draw) => ops.Snake(draw([2, 16, 90]), draw([1, 16, 1]).abs().Add(0.5))),
    ];

    /// <summary>Checks a device, and finds other ways for what it gets wrong.</summary>
    /// <param name="device">The device.</param>
    /// <param name="ops">Its usual operations.</param>
    /// <param name="precision">The precision wanted.</param>
    /// <exception cref="SelfCheckException">An operation is wrong, and there is no other way.</exception>
    public static CheckedDevice Run(Device device, TorchOps ops, Precision precision)
    {
        var watch = Stopwatch.StartNew();
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var found = new List<CheckedOperation>();
        var avoided = OperationKinds.None;
        var usual = ops;
        foreach (var kind in Everywhere.Concat(OfTransformers).GroupBy(probe => probe.Kind))
        {
            Check(
                kind.Key,
                ScalarType.Float32,
                checkedOps => Worst(kind, checkedOps, device, ScalarType.Float32),
                WideBound,
                canWiden: false
            );
        }

        if (precision == Precision.Fast)
        {
            foreach (var kind in OfTransformers.GroupBy(probe => probe.Kind))
            {
                Check(
                    kind.Key,
                    ScalarType.BFloat16,
                    checkedOps => Worst(kind, checkedOps, device, ScalarType.BFloat16),
                    NarrowBound,
                    canWiden: true
                );
            }

            if (MatrixProducts.UnsupportedReason(device) is null)
            {
                Check(OperationKinds.FusedProduct, ScalarType.Float16, _ => FusedProductError(device), NarrowBound, canWiden: true);
            }

            if (device.type == DeviceType.CPU)
            {
                Check(OperationKinds.FusedProduct, ScalarType.Int8, _ => RowProductError(WeightFormat.Int8), NarrowBound, canWiden: true);
                Check(
                    OperationKinds.FusedProduct,
                    ScalarType.BFloat16,
                    _ => RowProductError(WeightFormat.BFloat16),
                    NarrowBound,
                    canWiden: true
                );
                Check(OperationKinds.FusedAttention, ScalarType.BFloat16, _ => CachedAttentionError(), NarrowBound, canWiden: true);
            }
        }

        return new(new SelfCheck(found, watch.Elapsed), ops, precision);

        void Check(OperationKinds kind, ScalarType type, Func<TorchOps, double> measure, double bound, bool canWiden)
        {
            var (error, name) = (measure(ops), NameOf(kind));
            if (error <= bound)
            {
                found.Add(new(name, NameOf(type), error, UsedInstead: null));
                return;
            }

            var safer = new SaferOps(usual, avoided | kind);
            if (SaferOps.WayOf(kind) is { } way && measure(safer) <= bound)
            {
                (ops, avoided) = (safer, avoided | kind);
                found.Add(new(name, NameOf(type), error, way));
                return;
            }

            if (!canWiden)
            {
                throw new SelfCheckException(
                    $"{name} in {NameOf(type)} gives wrong numbers on {device}: error {error:g2}, at most {bound:g2} expected, and no "
                        + $"other way to compute it is right. "
                        + "Speech would be noise. Use another device, update libtorch or the GPU's driver, or try the environment "
                        + "variable ONEDNN_MAX_CPU_ISA=SSE41; "
                        + "ModelOptions.SelfCheck = false loads the model nevertheless."
                );
            }

            precision = Precision.Full;
            found.Add(new(name, NameOf(type), error, NameOf(ScalarType.Float32)));
        }
    }

    private static double Worst(IEnumerable<Probe> probes, TorchOps ops, Device device, ScalarType type) =>
        probes.Max(probe =>
        {
            using var scope = NewDisposeScope();
            var expected = probe.Compute(Truth, Draw(shape => shape.to(type).to(ScalarType.Float64)));
            var actual = probe.Compute(ops, Draw(shape => shape.to(type).to(device)));
            return ErrorOf(expected, actual);
        });

    /// <summary>Draws numbers of unit variance, the same for each call.</summary>
    private static Func<long[], Tensor> Draw(Func<Tensor, Tensor> place)
    {
        var generator = new Generator(20);
        return shape => place(randn(shape, generator: generator));
    }

    private static double ErrorOf(Tensor expected, Tensor actual)
    {
        var wide = actual.cpu().to(ScalarType.Float64);
        var error = ((wide - expected).abs().max() / expected.abs().max()).item<double>();
        return double.IsNaN(error) ? double.PositiveInfinity : error;
    }

    private static Probe Convolve(
        long inputs,
        long outputs,
        long kernel,
        long time,
        long padding,
        long stride = 1,
        long dilation = 1,
        long groups = 1
    ) =>
        new(
            OperationKinds.Convolution,
            (ops, draw) =>
                ops.Convolve(
                    draw([1, inputs, time]),
                    draw([outputs, inputs / groups, kernel]),
                    draw([outputs]),
                    stride,
                    padding,
                    dilation,
                    groups
                )
        );

    private static Tensor RunLstm(Func<long[], Tensor> draw)
    {
        var x = draw([2, 9, 40]);
        using var lstm = nn.LSTM(40, 64, 2, batchFirst: true, device: x.device, dtype: x.dtype);
        foreach (var parameter in lstm.parameters())
        {
            parameter.copy_(draw(parameter.shape).Div(8));
        }

        return lstm.call(x, null).Item1;
    }

    /// <summary>To a spectrogram and back, both flattened.</summary>
    private static Tensor Transform(Func<long[], Tensor> draw, int size, int hop)
    {
        var samples = draw([2, 3 * size]);
        var window = hann_window(size, dtype: ScalarType.Float64).to(samples.dtype, samples.device);
        var spectrum = stft(samples, size, hop, size, window, return_complex: true);
        var back = istft(spectrum, size, hop, size, window);
        return cat([view_as_real(spectrum).flatten(), back.flatten()]);
    }

    /// <summary>Error of a convolution by the fused kernels, against float64 on the operands that the kernel sees.</summary>
    private static double FusedProductError(Device device)
    {
        const int Frames = 70,
            Inputs = MatrixProducts.Chunk,
            Outputs = 128,
            Taps = 3;
        using var scope = NewDisposeScope();
        var draw = Draw(x => x.to(ScalarType.Float16));
        var (x, weight) = (draw([1, Frames, Inputs]), draw([Outputs, Inputs, Taps]));
        using var packed = PackedWeight.Of(weight, null, device);
        var (onX, y) = (x.to(device), zeros([1, Frames, Outputs], ScalarType.Float32, device));
        using (CudaContext.Use(device.index))
        {
            new MatrixProducts(device).Launch(
                CudaStream.Current(device.index),
                Tile.Wide,
                packed,
                rows: 1,
                new()
                {
                    X = onX.Address(),
                    Wide = y.Address(),
                    FramesX = Frames,
                    Frames = Frames,
                    Before = Taps / 2,
                    Dilation = 1,
                    LdX = Inputs,
                    RowX = (long)Frames * Inputs,
                    LdWide = Outputs,
                    RowWide = (long)Frames * Outputs,
                }
            );
        }

        var expected = Truth
            .Convolve(x.to(ScalarType.Float64).transpose(1, 2), weight.to(ScalarType.Float64), null, padding: Taps / 2)
            .transpose(1, 2);
        return ErrorOf(expected, y);
    }

    /// <summary>Error of a product of the CPU's T3 steps.</summary>
    private static unsafe double RowProductError(WeightFormat format)
    {
        const int Rows = 3,
            Inputs = 4 * RowProducts.GroupSize,
            Outputs = 70;
        using var scope = NewDisposeScope();
        var draw = Draw(x => x);
        var (x, weight) = (draw([Rows, Inputs]), draw([Outputs, Inputs]));
        using var matrix = WeightMatrix.Of(weight, format);
        var y = empty([Rows, Outputs], ScalarType.Float32);
        new ThreadedProducts(WorkerPool.Shared).Multiply(matrix, null, (float*)x.Address(), Rows, (float*)y.Address());
        return ErrorOf(Truth.Linear(x.to(ScalarType.Float64), weight.to(ScalarType.Float64), null), y);
    }

    /// <summary>Error of the attention of the CPU's T3 steps, over two blocks of the cache.</summary>
    private static unsafe double CachedAttentionError()
    {
        const int Positions = CachedAttention.Block + 9,
            HeadDim = 64;
        using var scope = NewDisposeScope();
        var draw = Draw(x => x.to(ScalarType.BFloat16));
        var (query, keys, values) = (
            draw([1, 1, 1, HeadDim]).to(ScalarType.Float32),
            draw([1, 1, Positions, HeadDim]),
            draw([1, 1, Positions, HeadDim])
        );
        var (parts, y) = (empty(2, CachedAttention.PartSize(HeadDim)), empty(HeadDim));
        for (var (block, first) = (0, 0); first < Positions; block++, first += CachedAttention.Block)
        {
            CachedAttention.Attend(
                (float*)query.Address(),
                (Bf16*)keys.Address() + (first * HeadDim),
                (Bf16*)values.Address() + (first * HeadDim),
                HeadDim,
                Math.Min(CachedAttention.Block, Positions - first),
                HeadDim,
                (float*)parts.Address() + (block * CachedAttention.PartSize(HeadDim))
            );
        }

        CachedAttention.Join((float*)parts.Address(), 2, HeadDim, (float*)y.Address());
        return ErrorOf(
            Truth.Attention(query.to(ScalarType.Float64), keys.to(ScalarType.Float64), values.to(ScalarType.Float64)).flatten(),
            y
        );
    }

    private static string NameOf(OperationKinds kind) =>
        kind switch
        {
            OperationKinds.LayerNorm => "layer norm",
            OperationKinds.Product => "matrix product",
            OperationKinds.Lstm => "LSTM",
            OperationKinds.Fourier => "Fourier transform",
            OperationKinds.FusedProduct => "fused product",
            OperationKinds.FusedAttention => "fused attention",
            _ => kind.ToString().ToLowerInvariant(),
        };

    private static string NameOf(ScalarType type) => type.ToString().ToLowerInvariant();

    /// <param name="Kind">What is checked.</param>
    /// <param name="Compute">Computes it with these operations on tensors drawn by shape.</param>
    private sealed record Probe(OperationKinds Kind, Func<TorchOps, Func<long[], Tensor>, Tensor> Compute);
}
