using Chatterbox.Ops.Cuda;

namespace Chatterbox.HiFT;

/// <summary>What the F0 predictor is made of, for <see cref="FusedSource"/>.</summary>
/// <param name="Convolutions">First to last, each with an ELU behind it.</param>
/// <param name="Classifier">From their channels to F0.</param>
internal sealed record PitchWeights(Conv1d[] Convolutions, Linear Classifier);

/// <summary>Pitch and source as kernels of source.cu, a launch a layer and one for the source, in float32 as on the plain
/// operations: forty launches of torch's take longer than the GPU does. A twin of <see cref="F0Predictor"/> and
/// <see cref="HarmonicSource.Forward"/>.</summary>
internal sealed class FusedSource : IDisposable
{
    private const int Sines = 9,
        Frames = 32,
        Outputs = 64,
        Channels = 16,
        Threads = 256;

    private static readonly KernelSource Source = new(
        "source.cu",
        ("SINES", Sines),
        ("FRAMES", Frames),
        ("OUTPUTS", Outputs),
        ("CHANNELS", Channels),
        ("THREADS", Threads)
    );

    private readonly HiFTConfig _config;
    private readonly Device _device;
    private readonly CudaModule _kernels;
    private readonly CudaStream _beside;
    private readonly (Tensor Weight, Tensor Bias)[] _layers; // [inputs, taps, outputs], [outputs]
    private readonly (Tensor Weight, Tensor Bias) _classifier;
    private readonly (Tensor Weight, Tensor Bias) _merge;

    /// <param name="config">Sizes for which <see cref="UnsupportedReason"/> is null.</param>
    /// <param name="pitch">The F0 predictor's weights.</param>
    /// <param name="merge">Makes one signal of the sines.</param>
    /// <param name="device">The GPU.</param>
    public FusedSource(HiFTConfig config, PitchWeights pitch, Linear merge, Device device)
    {
        using var scope = NewDisposeScope();
        (_config, _device, _kernels) = (config, device, CudaModule.Get(Source, device));
        using (CudaContext.Use(device.index))
        {
            _beside = new();
        }

        _layers = [.. pitch.Convolutions.Select(conv => Place(conv.Weight.permute(1, 2, 0), conv.Bias!))];
        _classifier = Place(pitch.Classifier.Weight, pitch.Classifier.Bias!);
        _merge = Place(merge.Weight, merge.Bias!);

        (Tensor, Tensor) Place(Tensor weight, Tensor bias) =>
            (weight.contiguous().to(device, copy: true).DetachFromDisposeScope(), bias.to(device, copy: true).DetachFromDisposeScope());
    }

    /// <summary>Why a vocoder's source cannot be made on these kernels, or null.</summary>
    public static string? UnsupportedReason(HiFTConfig config, Device device) =>
        config.Overtones + 1 != Sines || config.MelBands % Channels != 0 || config.F0Channels % Outputs != 0
            ? "the kernels are not made for the model's sizes"
            : CudaModule.UnsupportedReason(Source, device);

    /// <inheritdoc cref="F0Predictor.Forward"/>
    public Tensor PredictF0(Tensor mel)
    {
        using var scope = NewDisposeScope();
        using var context = CudaContext.Use(_device.index);
        return PredictF0(Inputs(mel), CudaStream.OfTorch).MoveToOuterDisposeScope();
    }

    /// <summary>Pitch from mel, beside other work of torch's: the GPU does both side by side.</summary>
    /// <param name="mel">[rows, bands, frames].</param>
    /// <param name="other">Launches work that does not need the pitch.</param>
    /// <returns>F0 in Hz, [rows, frames], and the other's result.</returns>
    public (Tensor F0, SourceNoise Other) PredictF0(Tensor mel, Func<SourceNoise> other)
    {
        using var scope = NewDisposeScope();
        using var context = CudaContext.Use(_device.index);
        var x = Inputs(mel);
        _beside.WaitFor(CudaStream.OfTorch);
        try
        {
            var f0 = PredictF0(x, _beside);
            var result = other();
            return (f0.MoveToOuterDisposeScope(), new(result.Phases.MoveToOuterDisposeScope(), result.Noise.MoveToOuterDisposeScope()));
        }
        finally
        {
            CudaStream.OfTorch.WaitFor(_beside); // before any of these tensors' memory is used again
        }
    }

    /// <inheritdoc cref="HarmonicSource.Forward"/>
    public Tensor MakeSource(Tensor f0, SourceNoise noise, Tensor? cycles)
    {
        using var scope = NewDisposeScope();
        using var context = CudaContext.Use(_device.index);
        var (rows, frames, samples) = (f0.size(0), f0.size(1), _config.SamplesPerFrame);
        var source = empty([rows, 1, frames * samples], ScalarType.Float32, _device);
        _kernels["source"]
            .Launch(
                new(((uint)frames, (uint)rows, 1), Threads),
                CudaStream.OfTorch,
                new SourceArguments
                {
                    F0 = f0.contiguous().Address(),
                    Phases = noise.Phases.contiguous().Address(),
                    Noise = noise.Noise.contiguous().Address(),
                    Cycles = cycles?.contiguous().Address() ?? 0,
                    Weight = _merge.Weight.Address(),
                    Bias = _merge.Bias.Address(),
                    Source = source.Address(),
                    Rate = _config.SampleRate,
                    Threshold = (float)_config.VoicedThreshold,
                    Amplitude = (float)_config.SineAmplitude,
                    VoicedNoise = (float)_config.VoicedNoise,
                    Frames = (int)frames,
                    Samples = samples,
                }
            );
        return source.MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        using var context = CudaContext.Use(_device.index);
        _beside.Dispose();
        foreach (var (weight, bias) in _layers.Append(_classifier).Append(_merge))
        {
            weight.Dispose();
            bias.Dispose();
        }
    }

    private static Tensor Inputs(Tensor mel) => mel.to(ScalarType.Float32).contiguous();

    /// <returns>[rows, frames]; what is made on the way stays with the caller's dispose scope, until the stream is done with it.</returns>
    private Tensor PredictF0(Tensor mel, CudaStream stream)
    {
        var (rows, frames) = ((int)mel.size(0), (int)mel.size(2));
        var (x, channels) = (mel, _config.MelBands); // [rows, channels, frames]
        foreach (var layer in _layers)
        {
            var y = empty([rows, _config.F0Channels, frames], ScalarType.Float32, _device);
            Launch("pitch_layer", ((uint)((frames + Frames - 1) / Frames), (uint)(_config.F0Channels / Outputs), (uint)rows), layer, y);
            (x, channels) = (y, _config.F0Channels);
        }

        var f0 = empty([rows, frames], ScalarType.Float32, _device);
        Launch("pitch", ((uint)((frames + KernelSource.Lanes - 1) / KernelSource.Lanes), 1, (uint)rows), _classifier, f0);
        return f0;

        void Launch(string kernel, (uint, uint, uint) grid, (Tensor Weight, Tensor Bias) layer, Tensor y) =>
            _kernels[kernel]
                .Launch(
                    new(grid, Threads),
                    stream,
                    new PitchArguments
                    {
                        X = x.Address(),
                        Weight = layer.Weight.Address(),
                        Bias = layer.Bias.Address(),
                        Y = y.Address(),
                        Inputs = channels,
                        Outputs = _config.F0Channels,
                        Frames = frames,
                    }
                );
    }
}

// The parameters of the kernels.

[KernelStruct("source.cu")]
internal struct PitchArguments
{
    public nint X,
        Weight,
        Bias,
        Y;
    public int Inputs,
        Outputs,
        Frames;
}

[KernelStruct("source.cu")]
internal struct SourceArguments
{
    public nint F0,
        Phases,
        Noise,
        Cycles,
        Weight,
        Bias,
        Source;
    public float Rate,
        Threshold,
        Amplitude,
        VoicedNoise;
    public int Frames,
        Samples;
}
