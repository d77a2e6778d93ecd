using Chatterbox.Ops.Cuda;

namespace Chatterbox.Watermark;

/// <summary>The watermark as kernels of perth.cu, its network's convolutions as those of products.cu with a copy of their weights in
/// fp16: their operands are in fp16, sums and all else in float32. A twin of <see cref="PerthWatermarker.AddMark"/>.</summary>
/// <remarks>No shape needs a plan, so that a length which comes for the first time takes as long as any other.</remarks>
internal sealed class FusedPerth : IDisposable
{
    private const int FftSize = 2048,
        HopSize = 320,
        MarkedBins = 128,
        Threads = FftSize / 8;

    private static readonly KernelSource Source = new(
        "perth.cu",
        ("FFT", FftSize),
        ("HOP", HopSize),
        ("MARKED", MarkedBins),
        ("THREADS", Threads)
    );

    private readonly PerthConfig _config;
    private readonly PerthSpectrum _spectrum;
    private readonly Device _device;
    private readonly CudaModule _kernels;
    private readonly MatrixProducts _products;
    private readonly PackedWeight[] _convs;
    private readonly Tensor _roots; // e^(−2πi·k/FftSize), [FftSize / 2, 2]

    /// <param name="config">Sizes for which <see cref="UnsupportedReason"/> is null.</param>
    /// <param name="spectrum">Windows and levels, on the GPU.</param>
    /// <param name="convs">The network that makes the mark.</param>
    /// <param name="device">The GPU.</param>
    public FusedPerth(PerthConfig config, PerthSpectrum spectrum, IEnumerable<Conv1d> convs, Device device)
    {
        using var scope = NewDisposeScope();
        (_config, _spectrum, _device) = (config, spectrum, device);
        _kernels = CudaModule.Get(Source, device);
        _products = new(device);
        _convs = [.. convs.Select(conv => PackedWeight.Of(conv.Weight, conv.Bias, device))];
        var angles = Arithmetic.Range(0, FftSize / 2).to(ScalarType.Float64).Mul(-2 * Math.PI / FftSize);
        _roots = stack([angles.cos(), angles.sin()], 1).to(ScalarType.Float32).to(device).DetachFromDisposeScope();
    }

    /// <summary>Why marks cannot be made by these kernels, or null.</summary>
    public static string? UnsupportedReason(PerthConfig config, Device device, Precision precision) =>
        precision == Precision.Full ? "full precision is wanted"
        : config.FftSize != FftSize
        || config.HopSize != HopSize
        || config.MarkedBins != MarkedBins
        || config.HiddenSize % MatrixProducts.Chunk != 0
            ? "the kernels are not made for the model's sizes"
        : CudaModule.UnsupportedReason(Source, device) ?? MatrixProducts.UnsupportedReason(device);

    /// <inheritdoc cref="PerthWatermarker.AddMark"/>
    public Tensor AddMark(Tensor signal, Tensor? loudest)
    {
        using var scope = NewDisposeScope();
        using var context = CudaContext.Use(_device.index);
        var torch = CudaStream.OfTorch;
        var samples = signal.contiguous();
        var frames = (int)(samples.size(0) / HopSize) + 1;
        var spectrum = empty([frames, FftSize], ScalarType.Float32, _device);
        var magnitude = empty([frames, MarkedBins], ScalarType.Float16, _device);
        var level = empty([frames], ScalarType.Float32, _device);
        loudest ??= zeros([1], ScalarType.Float32, _device);
        _kernels["analyse"]
            .Launch(
                new(frames, Threads),
                torch,
                new AnalyseArguments
                {
                    X = samples.Address(),
                    Window = _spectrum.AnalysisWindow.Address(),
                    Roots = _roots.Address(),
                    Spectrum = spectrum.Address(),
                    Magnitude = magnitude.Address(),
                    Level = level.Address(),
                    Loudest = loudest.Address(),
                    Count = (int)samples.size(0),
                    Floor = (float)_config.MinMagnitude,
                    Scale = (float)_spectrum.Scale,
                    Shift = (float)_spectrum.Shift,
                }
            );
        var change = Encode(torch, magnitude, frames);
        _kernels["raise"]
            .Launch(
                new(frames, Threads),
                torch,
                new RaiseArguments
                {
                    Spectrum = spectrum.Address(),
                    Change = change.Address(),
                    Level = level.Address(),
                    Loudest = loudest.Address(),
                    Window = _spectrum.SynthesisWindow.Address(),
                    Roots = _roots.Address(),
                    Floor = (float)_config.MinMagnitude,
                    Most = (float)PerthSpectrum.MaxMagnitude,
                    Nepers = (float)_spectrum.Nepers,
                    Faintest = (float)_config.MaskFraction,
                }
            );
        var marked = empty([(frames - 1) * HopSize], ScalarType.Float32, _device);
        _kernels["overlap"]
            .Launch(
                new(frames - 1, HopSize),
                torch,
                new OverlapArguments
                {
                    Frames = spectrum.Address(),
                    Window = _spectrum.SynthesisWindow.Address(),
                    Y = marked.Address(),
                    Count = frames,
                }
            );
        return marked.MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _roots.Dispose();
        foreach (var conv in _convs)
        {
            conv.Dispose();
        }
    }

    /// <param name="stream">Where to launch.</param>
    /// <param name="x">Magnitudes of the marked bins, [frames, bins], fp16.</param>
    /// <param name="frames">How many.</param>
    /// <returns>What is to be added to them, [frames, bins], float32.</returns>
    private Tensor Encode(CudaStream stream, Tensor x, int frames)
    {
        using var scope = NewDisposeScope();
        var change = empty([frames, MarkedBins], ScalarType.Float32, _device);
        foreach (var (i, conv) in _convs.Index())
        {
            var last = i == _convs.Length - 1;
            var y = last ? change : empty([frames, conv.Outputs], ScalarType.Float16, _device);
            _products.Launch(
                stream,
                Tile.Small,
                conv,
                rows: 1,
                new()
                {
                    X = x.Address(),
                    Wide = last ? y.Address() : 0,
                    Narrow = last ? 0 : y.Address(),
                    Activation = Activation.LeakyRelu,
                    Slope = (float)ConvStack.Slope,
                    FramesX = frames,
                    Frames = frames,
                    Before = conv.Taps / 2,
                    LdX = conv.Inputs,
                    LdWide = conv.Outputs,
                    LdNarrow = conv.Outputs,
                }
            );
            x = y;
        }

        return change.MoveToOuterDisposeScope();
    }

    // The parameters of the kernels.

    [KernelStruct("perth.cu")]
    private struct AnalyseArguments
    {
        public nint X,
            Window,
            Roots,
            Spectrum,
            Magnitude,
            Level,
            Loudest;
        public int Count;
        public float Floor,
            Scale,
            Shift;
    }

    [KernelStruct("perth.cu")]
    private struct RaiseArguments
    {
        public nint Spectrum,
            Change,
            Level,
            Loudest,
            Window,
            Roots;
        public float Floor,
            Most,
            Nepers,
            Faintest;
    }

    [KernelStruct("perth.cu")]
    private struct OverlapArguments
    {
        public nint Frames,
            Window,
            Y;
        public int Count;
    }
}
