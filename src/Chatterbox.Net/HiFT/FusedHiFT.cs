using Chatterbox.Ops.Cuda;

namespace Chatterbox.HiFT;

/// <summary>One dilation of a residual block: its dilated and its plain convolution, and the Snakes before them.</summary>
internal sealed record SnakePart(Tensor Alpha1, Conv1d Dilated, Tensor Alpha2, Conv1d Plain);

/// <summary>What an upsampling is made of, for <see cref="FusedHiFT"/>.</summary>
/// <param name="Up">The transposed convolution.</param>
/// <param name="SourceDown">Brings the source's spectrum to the stage's rate; on the GPU.</param>
/// <param name="SourceBlock">The residual block behind that.</param>
/// <param name="Blocks">The residual blocks whose mean ends the stage.</param>
internal sealed record UpsamplingWeights(ConvTranspose1d Up, Conv1d SourceDown, SnakePart[] SourceBlock, SnakePart[][] Blocks);

/// <summary>The vocoder's convolutions as kernels of products.cu and hift.cu, with a copy of their weights in fp16: operands in fp16, sums
/// and
/// what is added up along the residual blocks in float32. A twin of <see cref="HiFTGenerator.Decode"/>.</summary>
/// <remarks>What torch does here are products alone: its convolutions and Fourier transforms make a plan for each length that
/// they have not seen, which takes some milliseconds.</remarks>
internal sealed class FusedHiFT : IDisposable
{
    /// <summary>Most blocks that share their input.</summary>
    public const int Snakes = 3;

    private const int FftSize = 16,
        HopSize = 4,
        SnakeThreads = 256,
        StftFrames = 128;

    // Of fewer, the host takes longer to launch two streams than the GPU takes for all.
    private const int ManyFrames = 256;

    private static readonly KernelSource Source = new(
        "hift.cu",
        ("SNAKES", Snakes),
        ("SNAKE_THREADS", SnakeThreads),
        ("FFT", FftSize),
        ("HOP", HopSize),
        ("STFT_FRAMES", StftFrames)
    );

    private readonly HiFTConfig _config;
    private readonly Device _device;
    private readonly MatrixProducts _products;
    private readonly CudaModule _kernels;
    private readonly CudaStream _beside;
    private readonly List<IDisposable> _owned = [];
    private readonly PackedWeight _pre;
    private readonly Stage[] _stages;
    private readonly PackedWeight _post;
    private readonly Tensor _fourier; // from the samples of a frame to its spectrum under the window, [fft, fft + 2]

    /// <param name="config">Sizes for which <see cref="UnsupportedReason"/> is null.</param>
    /// <param name="pre">The first convolution.</param>
    /// <param name="stages">The upsamplings.</param>
    /// <param name="post">The last convolution.</param>
    /// <param name="window">Of the source's spectrum, [fft].</param>
    /// <param name="device">The GPU.</param>
    public FusedHiFT(HiFTConfig config, Conv1d pre, IEnumerable<UpsamplingWeights> stages, Conv1d post, Tensor window, Device device)
    {
        using var scope = NewDisposeScope();
        (_config, _device, _products, _kernels) = (config, device, new(device), CudaModule.Get(Source, device));
        using (CudaContext.Use(device.index))
        {
            _beside = new();
        }

        _pre = Pack(pre);
        _post = PackPost(post);
        _fourier = Own(Fourier(window).to(device));
        _stages =
        [
            .. stages.Select(
                (stage, i) =>
                    new Stage(
                        PackUp(stage.Up, config.UpsampleRates[i]),
                        (config.UpsampleKernels[i] - config.UpsampleRates[i]) / 2,
                        config.UpsampleRates[i],
                        stage.SourceDown,
                        [.. stage.SourceBlock.Select(Pack)],
                        [.. stage.Blocks.Select(block => block.Select(Pack).ToArray())]
                    )
            ),
        ];
    }

    /// <summary>Why a vocoder cannot run on these kernels, or null.</summary>
    public static string? UnsupportedReason(HiFTConfig config, Device device, Precision precision) =>
        precision == Precision.Full ? "full precision is wanted"
        : (config.Channels >> config.UpsampleRates.Count) % MatrixProducts.Chunk != 0
        || config.FftSize != FftSize
        || config.HopSize != HopSize
        || config.BlockKernels.Count != Snakes
            ? "the kernels are not made for the model's sizes"
        : MatrixProducts.UnsupportedReason(device);

    /// <summary>The network proper.</summary>
    /// <param name="mel">[rows, bands, frames].</param>
    /// <param name="source">[rows, 1, samples], float32.</param>
    /// <returns>[rows, samples], float32.</returns>
    public Tensor Decode(Tensor mel, Tensor source)
    {
        using var scope = NewDisposeScope();
        using var context = CudaContext.Use(_device.index);
        var torch = CudaStream.OfTorch;
        var (rows, frames) = ((int)mel.size(0), (int)mel.size(2));
        var x = nn.functional.pad(mel.transpose(1, 2), (0, _pre.Inputs - mel.size(1))).to(ScalarType.Float16).contiguous();
        var y = Narrow(rows, frames, _pre.Outputs);
        Convolve(
            torch,
            Tile.Small,
            _pre,
            1,
            x,
            new()
            {
                Narrow = y.Address(),
                Activation = Activation.LeakyRelu,
                Slope = (float)_config.LeakySlope,
            }
        );

        // Each stage takes twice the memory of the one before, which is therefore given back at once.
        var spectrum = Spectrum(source);
        foreach (var (i, stage) in _stages.Index())
        {
            using var before = y;
            y = Upsample(torch, stage, before, spectrum, last: i == _stages.Length - 1, beside: rows * frames >= ManyFrames);
        }

        var steps = (int)y.size(1);
        var post = Wide(rows, steps, _post.Outputs);
        Convolve(torch, Tile.Long, _post, 1, y, new() { Wide = post.Address() });
        var samples = empty([rows, (steps - 1) * HopSize], ScalarType.Float32, _device);
        const int FramesOfBlock = StftFrames - (FftSize / HopSize) + 1;
        _kernels["waveform"]
            .Launch(
                new(((uint)((steps + FramesOfBlock - 1) / FramesOfBlock), (uint)rows, 1), StftFrames),
                torch,
                new WaveformArguments
                {
                    X = post.Address(),
                    LdX = _post.Outputs,
                    Samples = samples.Address(),
                    MaxMagnitude = (float)_config.MaxMagnitude,
                    Limit = (float)_config.AudioLimit,
                    Frames = steps,
                }
            );
        return samples.MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        using var context = CudaContext.Use(_device.index);
        _beside.Dispose();
        _owned.ForEach(owned => owned.Dispose());
    }

    /// <param name="stream">Where to launch.</param>
    /// <param name="stage">The stage.</param>
    /// <param name="x">Behind the leaky ReLU, [rows, time, 2·channels], fp16.</param>
    /// <param name="spectrum">[rows, steps, fft + 2].</param>
    /// <param name="last">True for the last stage.</param>
    /// <param name="beside">True where residual blocks run side by side.</param>
    /// <returns>The blocks' mean behind the leaky ReLU that follows, [rows, time', channels], fp16.</returns>
    private Tensor Upsample(CudaStream stream, Stage stage, Tensor x, Tensor spectrum, bool last, bool beside)
    {
        using var scope = NewDisposeScope();
        var (rows, time, channels) = ((int)x.size(0), (int)x.size(1), stage.Up.Outputs / stage.Rate);
        var length = (time * stage.Rate) + (last ? 1 : 0);
        var up = Wide(rows, length, channels);

        // A row for each group of samples that the same inputs reach; the first groups begin before the signal.
        _products.Launch(
            stream,
            Tile.Wide,
            stage.Up,
            rows,
            new()
            {
                X = x.Address(),
                Wide = up.Address(),
                FramesX = time,
                Frames = time + 1,
                Before = stage.Up.Taps - 1,
                LdX = stage.Up.Inputs,
                RowX = (long)time * stage.Up.Inputs,
                LdWide = stage.Up.Outputs,
                RowWide = (long)length * channels,
                Offset = ((last ? 1 : 0) - stage.Padding) * channels,
                Limit = length * channels,
            }
        );
        if (last)
        {
            up.narrow(1, 0, 1).copy_(up.narrow(1, 2, 1)); // mirrored: the spectrum has one step more than its hops
        }

        var source = stage.SourceDown.Multiply(spectrum); // [rows, length, channels]
        var hidden = Narrow(rows, length, channels);
        var activated = Enumerable.Range(0, Snakes).Select(_ => Narrow(rows, length, channels)).ToArray();
        Activate(stream, source, stage.SourceBlock[..1], activated);
        var sum = Wide(rows, length, channels);
        Run(stream, stage.SourceBlock, source, activated[0], hidden, sum, more: up);

        // From here on `sum` is the stage's input, `up` collects the blocks, and there is room in `source`.
        Activate(stream, sum, [.. stage.Blocks.Select(block => block[0])], activated);

        // The last block, as long as the others together, runs beside them until it adds to what they have made.
        var (others, hiddenOfOthers, roomOfOthers) = beside
            ? (_beside, Narrow(rows, length, channels), Wide(rows, length, channels))
            : (stream, hidden, source);
        if (beside)
        {
            _beside.WaitFor(stream);
        }

        foreach (var (i, block) in stage.Blocks.Index())
        {
            if (i < stage.Blocks.Length - 1)
            {
                Run(others, block, sum, activated[i], hiddenOfOthers, up, more: i == 0 ? null : up, working: roomOfOthers);
                continue;
            }

            Run(
                stream,
                block,
                sum,
                activated[i],
                hidden,
                up,
                more: up,
                working: source,
                1f / stage.Blocks.Length,
                activated[i],
                last ? HiFTGenerator.EndSlope : _config.LeakySlope,
                beforeLast: beside ? () => stream.WaitFor(_beside) : null
            );
        }

        return activated[^1].MoveToOuterDisposeScope();
    }

    /// <returns>The source's spectrum, real parts before imaginary parts, [rows, steps, fft + 2].</returns>
    private Tensor Spectrum(Tensor source)
    {
        using var scope = NewDisposeScope();
        var mirrored = nn.functional.pad(source, (FftSize / 2, FftSize / 2), PaddingModes.Reflect).squeeze(1);
        return matmul(mirrored.unfold(1, FftSize, HopSize), _fourier).MoveToOuterDisposeScope();
    }

    /// <summary>A residual block.</summary>
    /// <param name="stream">Where to launch.</param>
    /// <param name="parts">Its dilations.</param>
    /// <param name="x">Its input, float32.</param>
    /// <param name="activated">Its input behind the first Snake; is written over.</param>
    /// <param name="hidden">Room.</param>
    /// <param name="y">Where its output goes, unless it goes to <paramref name="narrow"/>.</param>
    /// <param name="more">Added to its output, or null.</param>
    /// <param name="working">Room, where the input is to stay as it is.</param>
    /// <param name="scale">Factor of its output.</param>
    /// <param name="narrow">Where its output goes behind the leaky ReLU, or null; may be <paramref name="activated"/>.</param>
    /// <param name="slope">The leaky ReLU's.</param>
    /// <param name="beforeLast">Called before the launch that writes the output.</param>
    private void Run(
        CudaStream stream,
        Part[] parts,
        Tensor x,
        Tensor activated,
        Tensor hidden,
        Tensor y,
        Tensor? more,
        Tensor? working = null,
        float scale = 1,
        Tensor? narrow = null,
        double slope = 0,
        Action? beforeLast = null
    )
    {
        var tile =
            x.size(2) > MatrixProducts.Chunk * 2 ? Tile.Small
            : x.size(2) > MatrixProducts.Chunk ? Tile.Wide
            : Tile.Long;
        foreach (var (i, part) in parts.Index())
        {
            var (first, last) = (i == 0, i == parts.Length - 1);
            Convolve(
                stream,
                tile,
                part.Dilated,
                part.Dilation,
                activated,
                new()
                {
                    Narrow = hidden.Address(),
                    Activation = Activation.Snake,
                    Alpha = part.Alpha2.Address(),
                }
            );
            if (last)
            {
                beforeLast?.Invoke();
            }

            Convolve(
                stream,
                tile,
                part.Plain,
                1,
                hidden,
                new()
                {
                    Residual = (first ? x : working ?? x).Address(),
                    More = last && more is not null ? more.Address() : 0,
                    Scale = last ? scale : 1,
                    Wide = last && narrow is not null ? 0 : (last ? y : working ?? x).Address(),
                    Narrow = !last ? activated.Address() : narrow?.Address() ?? 0,
                    Activation = last ? Activation.LeakyRelu : Activation.Snake,
                    Slope = (float)slope,
                    Alpha = last ? 0 : parts[i + 1].Alpha1.Address(),
                }
            );
        }
    }

    /// <summary>The first Snakes of blocks that share their input.</summary>
    private void Activate(CudaStream stream, Tensor x, Part[] parts, Tensor[] y)
    {
        var numbers = x.numel();
        var arguments = new SnakeArguments
        {
            X = x.Address(),
            Numbers = numbers,
            Channels = (int)x.size(2),
        };
        for (var i = 0; i < parts.Length; i++)
        {
            arguments.Set(i, parts[i].Alpha1.Address(), y[i].Address());
        }

        _kernels["snakes"].Launch(new((numbers / KernelSource.Vector + SnakeThreads - 1) / SnakeThreads, SnakeThreads), stream, arguments);
    }

    /// <summary>A convolution whose output is as long as its input.</summary>
    private void Convolve(CudaStream stream, Tile tile, PackedWeight weight, int dilation, Tensor x, ProductArguments arguments)
    {
        var (rows, time) = ((int)x.size(0), (int)x.size(1));
        arguments.X = x.Address();
        (arguments.FramesX, arguments.Frames) = (time, time);
        (arguments.Dilation, arguments.Before) = (dilation, (weight.Taps - 1) * dilation / 2);
        (arguments.LdX, arguments.RowX) = (weight.Inputs, (long)time * weight.Inputs);
        (arguments.LdWide, arguments.RowWide) = (weight.Outputs, (long)time * weight.Outputs);
        (arguments.LdNarrow, arguments.RowNarrow) = (weight.Outputs, (long)time * weight.Outputs);
        _products.Launch(stream, tile, weight, rows, arguments);
    }

    private Tensor Wide(long rows, long time, long channels) => empty([rows, time, channels], ScalarType.Float32, _device);

    private Tensor Narrow(long rows, long time, long channels) => empty([rows, time, channels], ScalarType.Float16, _device);

    private Part Pack(SnakePart part, int index) =>
        new(
            Own(part.Alpha1.flatten().to(_device, copy: true)),
            Pack(part.Dilated),
            _config.BlockDilations[index],
            Own(part.Alpha2.flatten().to(_device, copy: true)),
            Pack(part.Plain)
        );

    private PackedWeight Pack(Conv1d conv) => Keep(PackedWeight.Of(conv.Weight, conv.Bias, _device));

    /// <summary>A transposed convolution as a causal one that makes a group of as many samples as the rate at a time.</summary>
    private PackedWeight PackUp(ConvTranspose1d conv, int rate)
    {
        var (inputs, outputs, kernel) = (conv.Weight.size(0), conv.Weight.size(1), conv.Weight.size(2));
        var taps = (kernel + rate - 1) / rate;
        var whole = nn.functional.pad(conv.Weight, (0, (taps * rate) - kernel)).reshape(inputs, outputs, taps, rate);
        var weight = whole.flip(2).permute(3, 1, 0, 2).reshape(rate * outputs, inputs, taps); // the latest input's tap comes last
        return Keep(PackedWeight.Of(weight, conv.Bias.repeat(rate), _device));
    }

    /// <summary>The last convolution; outputs are filled up with zeros, since they are stored eight at a time.</summary>
    private PackedWeight PackPost(Conv1d conv)
    {
        var more = (8 - (conv.Weight.size(0) % 8)) % 8;
        return Keep(
            PackedWeight.Of(nn.functional.pad(conv.Weight, [0, 0, 0, 0, 0, more]), nn.functional.pad(conv.Bias!, (0, more)), _device)
        );
    }

    private static Tensor Fourier(Tensor window)
    {
        using var scope = NewDisposeScope();
        var under = fft.rfft(diag(window.cpu().to(ScalarType.Float64))); // [fft, fft / 2 + 1]
        return cat([under.real, under.imag], 1).to(ScalarType.Float32).MoveToOuterDisposeScope();
    }

    private PackedWeight Keep(PackedWeight packed)
    {
        _owned.Add(packed);
        return packed;
    }

    private Tensor Own(Tensor tensor)
    {
        _owned.Add(tensor.DetachFromDisposeScope());
        return tensor;
    }

    private sealed record Part(Tensor Alpha1, PackedWeight Dilated, int Dilation, Tensor Alpha2, PackedWeight Plain);

    private sealed record Stage(PackedWeight Up, int Padding, int Rate, Conv1d SourceDown, Part[] SourceBlock, Part[][] Blocks);
}

// The parameters of the kernels.

[KernelStruct("hift.cu")]
internal unsafe struct SnakeArguments
{
    public nint X;
    public fixed long Alphas[FusedHiFT.Snakes],
        Y[FusedHiFT.Snakes]; // addresses; 0 from the first that is not wanted
    public long Numbers;
    public int Channels;

    public void Set(int i, nint alpha, nint y) => (Alphas[i], Y[i]) = (alpha, y);
}

[KernelStruct("hift.cu")]
internal struct WaveformArguments
{
    public nint X,
        Samples;
    public float MaxMagnitude,
        Limit;
    public int Frames,
        LdX;
}
