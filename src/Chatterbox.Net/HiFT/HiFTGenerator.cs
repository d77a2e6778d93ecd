using static TorchSharp.torch.nn.functional;

namespace Chatterbox.HiFT;

/// <summary>
/// The vocoder: mel to waveform. Pitch is read off the mel and made into a harmonic source; a convolutional network
/// upsamples the mel, the source's spectrum mixed in at each step, to a small spectrogram; an inverse STFT makes it sound.
/// </summary>
/// <remarks>
/// Ports HiFTGenerator of chatterbox models/s3gen/hifigan.py, and the fade of S3Token2Wav (s3gen.py). Left out: the cached
/// source, which the reference never fills. Weights: mel2wav.
/// </remarks>
internal sealed class HiFTGenerator
{
    /// <summary>Slope of the leaky ReLU before the last convolution: torch's default, in the reference too.</summary>
    public const double EndSlope = 0.01;

    private const int EndKernel = 7;

    private readonly HiFTConfig _config;
    private readonly Device _device;
    private readonly ScalarType _dtype;
    private readonly HarmonicSource _source;
    private readonly Tensor _window;
    private readonly Tensor _fade;
    private readonly F0Predictor? _f0Predictor; // null, as the convolutions, where fused kernels have their own copy
    private readonly Convolutions? _plain;
    private readonly FusedHiFT? _fused;
    private readonly FusedSource? _fusedSource;

    /// <param name="config">Sizes.</param>
    /// <param name="weights">The part mel2wav of S3Gen's file.</param>
    /// <param name="ops">Operations of the device.</param>
    /// <param name="precision">Whether the convolutions may run on fused kernels.</param>
    public HiFTGenerator(HiFTConfig config, WeightScope weights, TorchOps ops, Precision precision = Precision.Full)
    {
        (_config, _device, _dtype) = (config, weights.Device, weights.DType);
        NotFusedReason =
            FusedHiFT.UnsupportedReason(config, weights.Device, precision) ?? FusedSource.UnsupportedReason(config, weights.Device);
        _source = new(config, weights["m_source"]);
        _window = weights.Own(Window(config, weights.Device));
        _fade = weights.Own(Fade(config, weights.Device));
        if (NotFusedReason is not null)
        {
            _f0Predictor = new(config, weights["f0_predictor"]);
            _plain = Network(weights);
            return;
        }

        using var passing = new OwnedWeights();
        var pitch = new F0Predictor(config, weights["f0_predictor"].InHost(passing));
        _fusedSource = weights.Own(new FusedSource(config, pitch.Weights, _source.Merge, weights.Device));
        var network = Network(weights.InHost(passing));
        _fused = weights.Own(
            new FusedHiFT(config, network.Pre, network.Stages.Select(stage => stage.Weights), network.Post, _window, weights.Device)
        );

        Convolutions Network(WeightScope convolutions) =>
            new(
                new(convolutions["conv_pre"], config.MelBands, config.Channels, EndKernel, padding: EndKernel / 2, weightNorm: true),
                [
                    .. Enumerable
                        .Range(0, config.UpsampleRates.Count)
                        .Select(stage => new UpsamplingStage(config, weights, convolutions, ops, stage)),
                ],
                new(
                    convolutions["conv_post"],
                    config.Channels >> config.UpsampleRates.Count,
                    config.FftSize + 2,
                    EndKernel,
                    padding: EndKernel / 2,
                    weightNorm: true
                )
            );
    }

    /// <summary>Why the vocoder runs on the plain operations; null where it runs on fused kernels.</summary>
    public string? NotFusedReason { get; }

    /// <summary>Samples made from each frame of mel.</summary>
    public int SamplesPerFrame => _config.SamplesPerFrame;

    /// <summary>Frames of mel and source, on either side of a frame, that its samples depend on.</summary>
    public int Context => ContextOf(_config);

    /// <summary>Frames of mel behind a frame that its samples depend on, its source's pitch included.</summary>
    public int Lookahead => Context + F0Predictor.Reach(_config);

    /// <summary>Makes a waveform.</summary>
    /// <param name="mel">[rows, bands, frames]; no frames make no samples.</param>
    /// <param name="noise">The request's stream, shared by the rows.</param>
    /// <returns>Within ±<see cref="HiFTConfig.AudioLimit"/>, [rows, frames · <see cref="SamplesPerFrame"/>], float32.</returns>
    /// <exception cref="ArgumentException">The mel has another shape.</exception>
    public Tensor Generate(Tensor mel, NoiseSource noise)
    {
        if (mel.dim() != 3 || mel.size(1) != _config.MelBands)
        {
            throw new ArgumentException(
                $"The mel has shape [{string.Join(", ", mel.shape)}], expected [rows, {_config.MelBands}, frames].",
                nameof(mel)
            );
        }

        using var scope = NewDisposeScope();
        if (mel.size(2) == 0)
        {
            return zeros([mel.size(0), 0], ScalarType.Float32, _device).MoveToOuterDisposeScope();
        }

        SourceNoise Draw() => DrawNoise(noise, mel.size(0), mel.size(2));
        var (f0, drawn) = _fusedSource?.PredictF0(mel, Draw) ?? (PredictF0(mel), Draw());
        var source = MakeSource(f0, drawn);
        return Decode(mel, source).MoveToOuterDisposeScope();
    }

    /// <inheritdoc cref="F0Predictor.Forward"/>
    public Tensor PredictF0(Tensor mel) => _fusedSource?.PredictF0(mel) ?? _f0Predictor!.Forward(mel);

    /// <inheritdoc cref="HarmonicSource.Draw"/>
    public SourceNoise DrawNoise(NoiseSource noise, long rows, long frames) => _source.Draw(noise, rows, frames);

    /// <inheritdoc cref="HarmonicSource.DrawPhases"/>
    public Tensor DrawPhases(NoiseSource noise, long rows) => _source.DrawPhases(noise, rows);

    /// <inheritdoc cref="HarmonicSource.Forward"/>
    public Tensor MakeSource(Tensor f0, SourceNoise noise, Tensor? cycles = null) =>
        _fusedSource?.MakeSource(f0, noise, cycles) ?? _source.Forward(f0, noise, cycles);

    /// <inheritdoc cref="HarmonicSource.Cycles"/>
    public Tensor CountCycles(Tensor f0) => _source.Cycles(f0);

    /// <summary>A waveform of one row, made piece by piece as its mel comes.</summary>
    /// <param name="noise">Where its source's chance comes from; nobody else draws from it, and it stays the caller's.</param>
    public HiFTStream OpenStream(NoiseSource noise) => new(_config, this, noise, _device);

    /// <summary>The network proper, without chance.</summary>
    /// <param name="mel">[rows, bands, frames].</param>
    /// <param name="source">[rows, 1, samples].</param>
    /// <returns>[rows, samples], float32.</returns>
    public Tensor Decode(Tensor mel, Tensor source)
    {
        using var scope = NewDisposeScope();
        if (_fused is not null)
        {
            return _fused.Decode(mel, source).MoveToOuterDisposeScope();
        }

        var spectrum = Spectrum(source);
        var x = _plain!.Pre.Forward(mel.to(_dtype)); // [rows, channels, frames]
        foreach (var stage in _plain.Stages)
        {
            x = stage.Forward(x, spectrum);
        }

        x = _plain.Post.Forward(x.LeakyRelu(EndSlope)); // [rows, fft + 2, steps]
        return Waveform(x).MoveToOuterDisposeScope();
    }

    /// <summary>Silences the first 20 ms of an utterance and fades in over the next 20 ms, where the reference voice's
    /// last sound may spill over.</summary>
    /// <param name="samples">[rows, samples]; any length.</param>
    /// <param name="start">How many samples of the utterance come before them.</param>
    /// <returns>[rows, samples].</returns>
    public Tensor FadeIn(Tensor samples, long start = 0)
    {
        using var scope = NewDisposeScope();
        start = Math.Min(start, _fade.size(0));
        var faded = Math.Min(_fade.size(0) - start, samples.size(1));
        var head = samples.narrow(1, 0, faded) * _fade.narrow(0, start, faded);
        return cat([head, samples.narrow(1, faded, samples.size(1) - faded)], 1).MoveToOuterDisposeScope();
    }

    /// <summary>How far a sample of the waveform sees into mel and source: along the longest way back through the network,
    /// half of each kernel, in samples.</summary>
    private static int ContextOf(HiFTConfig config)
    {
        var step = config.HopSize; // samples from one time step to the next
        var waveform = (config.FftSize / 2) + ((EndKernel / 2) * step);
        var (mel, source) = (waveform + step, 0); // the last stage shifts by a step
        for (var stage = config.UpsampleRates.Count - 1; stage >= 0; stage--)
        {
            mel += config.BlockKernels.Max(kernel => SnakeBlock.Reach(config, kernel)) * step;
            source = Math.Max(source, mel + (SnakeBlock.Reach(config, config.SourceBlockKernels[stage]) + 2) * step + (config.FftSize / 2));
            var (kernel, rate) = (config.UpsampleKernels[stage], config.UpsampleRates[stage]);
            mel += (kernel - 1 - ((kernel - rate) / 2)) * step;
            step *= rate;
        }

        mel += EndKernel / 2 * step;
        return (Math.Max(mel, source) + step - 1) / step;
    }

    /// <summary>Real parts above imaginary parts, [rows, fft + 2, steps], in the element type of the weights.</summary>
    private Tensor Spectrum(Tensor source)
    {
        var spectrum = stft(source.squeeze(1), _config.FftSize, _config.HopSize, _config.FftSize, _window, return_complex: true);
        return cat([spectrum.real, spectrum.imag], 1).to(_dtype);
    }

    /// <summary>From log magnitudes above phases, [rows, fft + 2, steps].</summary>
    private Tensor Waveform(Tensor x)
    {
        var bins = (_config.FftSize / 2) + 1;
        x = x.to(ScalarType.Float32);
        var magnitude = x.narrow(1, 0, bins).exp().ClampMax(_config.MaxMagnitude);
        var phase = x.narrow(1, bins, bins).sin();
        var spectrum = complex(magnitude * phase.cos(), magnitude * phase.sin());
        return istft(spectrum, _config.FftSize, _config.HopSize, _config.FftSize, _window).Clamp(-_config.AudioLimit, _config.AudioLimit);
    }

    /// <summary>Hann, made in float64 as scipy does.</summary>
    private static Tensor Window(HiFTConfig config, Device device)
    {
        using var scope = NewDisposeScope();
        return hann_window(config.FftSize, dtype: ScalarType.Float64).to(ScalarType.Float32, device).MoveToOuterDisposeScope();
    }

    /// <summary>Zeros, then half a cosine from 0 to 1, of equal lengths.</summary>
    private static Tensor Fade(HiFTConfig config, Device device)
    {
        using var scope = NewDisposeScope();
        var length = (int)(config.FadeSeconds * config.SampleRate);
        return cat([zeros(length), linspace(Math.PI, 0, length).cos().Add(1).Div(2)]).to(device).MoveToOuterDisposeScope();
    }

    private sealed record Convolutions(Conv1d Pre, UpsamplingStage[] Stages, Conv1d Post);
}

/// <summary>One upsampling: a transposed convolution, the source's spectrum brought to the same rate and added, and the
/// mean of residual blocks of several kernels.</summary>
/// <remarks>Weights: ups.{stage}, source_downs.{stage}, source_resblocks.{stage}, resblocks.{stage · kernels + kernel}.</remarks>
internal sealed class UpsamplingStage(HiFTConfig config, WeightScope weights, WeightScope convolutions, TorchOps ops, int stage)
{
    private readonly bool _last = stage == config.UpsampleRates.Count - 1;
    private readonly ConvTranspose1d _up = Up(config, convolutions["ups"][stage], stage);
    private readonly Conv1d _sourceDown = SourceDown(config, weights["source_downs"][stage], stage);
    private readonly SnakeBlock _sourceBlock = new(
        config,
        convolutions["source_resblocks"][stage],
        ops,
        Channels(config, stage),
        config.SourceBlockKernels[stage]
    );

    private readonly SnakeBlock[] _blocks =
    [
        .. config.BlockKernels.Select(
            (kernel, i) =>
                new SnakeBlock(
                    config,
                    convolutions["resblocks"][(stage * config.BlockKernels.Count) + i],
                    ops,
                    Channels(config, stage),
                    kernel
                )
        ),
    ];

    /// <summary>What the stage is made of.</summary>
    public UpsamplingWeights Weights => new(_up, _sourceDown, _sourceBlock.Parts, [.. _blocks.Select(block => block.Parts)]);

    /// <param name="x">[rows, 2 · channels, time].</param>
    /// <param name="spectrum">Of the source, [rows, fft + 2, steps].</param>
    /// <returns>[rows, channels, time · rate], and one step more from the last stage.</returns>
    public Tensor Forward(Tensor x, Tensor spectrum)
    {
        using var scope = NewDisposeScope();
        x = _up.Forward(x.LeakyRelu(config.LeakySlope));
        if (_last)
        {
            x = pad(x, (1, 0), PaddingModes.Reflect); // the spectrum has one step more than its hops
        }

        x = x.Add(_sourceBlock.Forward(_sourceDown.Forward(spectrum)));
        var sum = _blocks[0].Forward(x);
        foreach (var block in _blocks.AsSpan(1))
        {
            sum = sum.Add(block.Forward(x));
        }

        return sum.Div(_blocks.Length).MoveToOuterDisposeScope();
    }

    private static int Channels(HiFTConfig config, int stage) => config.Channels >> (stage + 1);

    private static ConvTranspose1d Up(HiFTConfig config, WeightScope weights, int stage)
    {
        var (rate, kernel) = (config.UpsampleRates[stage], config.UpsampleKernels[stage]);
        return new(weights, 2 * Channels(config, stage), Channels(config, stage), kernel, rate, (kernel - rate) / 2, weightNorm: true);
    }

    /// <summary>Shortens the spectrum by the factors of the stages still to come.</summary>
    private static Conv1d SourceDown(HiFTConfig config, WeightScope weights, int stage)
    {
        var rate = config.UpsampleRates.Skip(stage + 1).Aggregate(1, (product, r) => product * r);
        return new(weights, config.FftSize + 2, Channels(config, stage), rate == 1 ? 1 : 2 * rate, rate, rate / 2);
    }
}

/// <summary>Residual block: for each dilation a dilated and a plain convolution, a Snake before either, added to the input.</summary>
/// <remarks>Ports ResBlock. Weights: activations1, convs1, activations2, convs2, each by number.</remarks>
internal sealed class SnakeBlock(HiFTConfig config, WeightScope weights, TorchOps ops, int channels, int kernel)
{
    /// <summary>One for each dilation.</summary>
    public SnakePart[] Parts { get; } =
    [
        .. config.BlockDilations.Select(
            (dilation, i) =>
                new SnakePart(
                    Alpha(weights["activations1"][i], channels),
                    new(
                        weights["convs1"][i],
                        channels,
                        channels,
                        kernel,
                        padding: (kernel - 1) * dilation / 2,
                        dilation: dilation,
                        weightNorm: true
                    ),
                    Alpha(weights["activations2"][i], channels),
                    new(weights["convs2"][i], channels, channels, kernel, padding: (kernel - 1) / 2, weightNorm: true)
                )
        ),
    ];

    /// <summary>Time steps on either side that a time step depends on.</summary>
    public static int Reach(HiFTConfig config, int kernel) => (kernel - 1) / 2 * config.BlockDilations.Sum(dilation => dilation + 1);

    /// <param name="x">[rows, channels, time].</param>
    /// <returns>Of the same shape.</returns>
    public Tensor Forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        foreach (var part in Parts)
        {
            using var step = NewDisposeScope();
            var y = part.Dilated.Forward(ops.Snake(x, part.Alpha1));
            y = part.Plain.Forward(ops.Snake(y, part.Alpha2));
            x = y.Add(x).MoveToOuterDisposeScope();
        }

        return x.MoveToOuterDisposeScope();
    }

    private static Tensor Alpha(WeightScope weights, int channels) => weights.Own(weights.Get("alpha", channels).reshape(1, channels, 1));
}
