using Chatterbox.Ops;
using Chatterbox.Ops.Cuda;
using Chatterbox.S3Gen;
using Chatterbox.Tests.Parity;

namespace Chatterbox.Tests.S3Gen;

/// <summary>Each kernel of the estimator alone, against the plain operations in float32 on the operands that it sees.</summary>
public class EstimatorKernelsTests
{
    private const int Channels = 256,
        Heads = 8,
        HeadSize = 64,
        Hidden = 1024;
    private const double Bound = 1.5e-3; // half of fp16's last place, and what is made of it by the products behind

    private readonly Generator _generator = new(13);

    public static TheoryData<int, int, int, bool> Convolutions
    {
        get
        {
            // rows, frames, inputs, what is around
            var shapes = new TheoryData<int, int, int, bool>
            {
                { 2, 1024, 256, true },
                { 2, 576, 256, true },
                { 1, 576, 256, true },
                { 2, 704, 512, false },
                { 2, 1152, 256, true },
                { 1, 192, 512, false },
                { 1, 1024, 256, false },
                { 2, 128, 320, false },
                { 1, 256, 512, false },
            };
            var random = new Random(2);
            for (var i = 0; i < 8; i++)
            {
                shapes.Add(random.Next(1, 5), 64 * random.Next(1, 17), 64 * random.Next(1, i % 2 == 0 ? 5 : 9), i % 2 == 0);
            }

            return shapes;
        }
    }

    public static TheoryData<int, int, int> Sequences
    {
        get
        {
            // rows, frames, live ones
            var shapes = new TheoryData<int, int, int>
            {
                { 2, 1024, 1000 },
                { 2, 576, 552 },
                { 1, 576, 540 },
                { 2, 704, 641 },
                { 2, 1152, 1100 },
                { 1, 192, 150 },
                { 1, 1024, 1024 },
                { 1, 128, 1 },
                { 2, 640, 577 },
            };
            var random = new Random(3);
            for (var i = 0; i < 8; i++)
            {
                var frames = 64 * random.Next(1, 24);
                shapes.Add(random.Next(1, 5), frames, random.Next(frames - 63, frames + 1));
            }

            return shapes;
        }
    }

    [Theory, MemberData(nameof(Convolutions))]
    public void A_convolution_in_clusters_is_torchs(int rows, int frames, int inputs, bool around)
    {
        var device = Clusters();
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var (x, other) = (
            Draw(device, rows, frames, inputs).to(ScalarType.Float16),
            Draw(device, rows, frames, 320).to(ScalarType.Float16)
        );
        var (weight, bias, gain, shift) = (
            Weight(device, Channels, inputs, 3),
            Draw(device, Channels),
            Draw(device, Channels),
            Draw(device, Channels)
        );
        var (aroundWeight, aroundBias, times) = (Weight(device, Channels, 320), Draw(device, Channels), Draw(device, 3, 2 * Channels));
        var (qkvWeight, nextGain, nextShift) = (
            Weight(device, 3 * Heads * HeadSize, Channels),
            Draw(device, Channels),
            Draw(device, Channels)
        );
        var step = tensor(2, device: device, dtype: ScalarType.Int32);
        using var packed = TiledWeight.Of(weight, bias, device);
        using var packedAround = TiledWeight.Of(aroundWeight, aroundBias, device);
        using var packedQkv = TiledWeight.Of(qkvWeight, null, device);
        var (y, wide, qkv) = (
            Empty(device, ScalarType.Float16, rows, frames, Channels),
            Empty(device, ScalarType.Float32, rows, frames, Channels),
            Tiles(device, rows * frames, 3 * Heads)
        );
        var arguments = new ConvolutionArguments
        {
            X = x.Address(),
            LdX = inputs,
            Weight = packed.Weight.Address(),
            Bias = packed.Bias!.Address(),
            Chunks = packed.Chunks,
            Frames = frames,
            Y = y.Address(),
            Wide = wide.Address(),
        };

        using var context = CudaContext.Use(device.index);
        var (kernels, stream) = (new EstimatorKernels(device), CudaStream.OfTorch);
        kernels.Convolve(stream, rows * frames, arguments);
        var sum = nn.functional.conv1d(nn.functional.pad(x.to(ScalarType.Float32).transpose(1, 2), (2, 0)), weight, bias).transpose(1, 2);
        Check("convolution", sum, wide, 1e-5);
        Check("convolution in fp16", sum, y, Bound);

        arguments.Gain = gain.Address();
        arguments.Shift = shift.Address();
        arguments.Times = times.Address() + (Channels * sizeof(float));
        arguments.Step = step.Address();
        arguments.LdTimes = 2 * Channels;
        arguments.QkvWeight = packedQkv.Weight.Address();
        arguments.NextGain = nextGain.Address();
        arguments.NextShift = nextShift.Address();
        arguments.Qkv = qkv.Address();
        if (around)
        {
            arguments.Around = other.Address();
            arguments.LdAround = 320;
            arguments.AroundChunks = packedAround.Chunks;
            arguments.AroundWeight = packedAround.Weight.Address();
            arguments.AroundBias = packedAround.Bias!.Address();
        }

        kernels.Convolve(stream, rows * frames, arguments);
        var expected = nn.functional.layer_norm(sum, [Channels], gain, shift).Mish().Add(times[2].narrow(0, Channels, Channels));
        expected = around ? expected.Add(nn.functional.linear(other.to(ScalarType.Float32), aroundWeight, aroundBias)) : expected;
        Check("residual block", expected, wide, 1e-5);
        Check(
            "queries, keys, values",
            nn.functional.linear(nn.functional.layer_norm(expected, [Channels], nextGain, nextShift), qkvWeight).flatten(0, 1),
            Untile(qkv),
            Bound
        );
    }

    [Theory, MemberData(nameof(Sequences))]
    public void A_transformer_block_in_clusters_is_torchs(int rows, int frames, int _)
    {
        var device = Clusters();
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var (x, attended) = (
            Draw(device, rows * frames, Channels).Add(0.5),
            Draw(device, rows * frames, Heads * HeadSize).to(ScalarType.Float16)
        );
        var (outWeight, up, down, next) = (
            Weight(device, Channels, Heads * HeadSize),
            Weight(device, Hidden, Channels),
            Weight(device, Channels, Hidden),
            Weight(device, 3 * Heads * HeadSize, Channels)
        );
        var (outBias, upBias, downBias) = (Draw(device, Channels), Draw(device, Hidden), Draw(device, Channels));
        var (gain, shift, nextGain, nextShift) = (
            Draw(device, Channels),
            Draw(device, Channels),
            Draw(device, Channels),
            Draw(device, Channels)
        );
        using var packedOut = TiledWeight.Of(outWeight, outBias, device);
        using var packedUp = TiledWeight.Of(up, upBias, device);
        using var packedDown = TiledWeight.Of(down, downBias, device);
        using var packedNext = TiledWeight.Of(next, null, device);
        var (ours, tiles, qkv, y) = (
            x.clone(),
            Tile(attended),
            Tiles(device, rows * frames, 3 * Heads),
            Empty(device, ScalarType.Float16, rows * frames, 2 * Channels)
        );
        var arguments = new TransformerArguments
        {
            Attended = tiles.Address(),
            Out = packedOut.Weight.Address(),
            Up = packedUp.Weight.Address(),
            Down = packedDown.Weight.Address(),
            QkvWeight = packedNext.Weight.Address(),
            OutBias = packedOut.Bias!.Address(),
            Gain = gain.Address(),
            Shift = shift.Address(),
            UpBias = packedUp.Bias!.Address(),
            DownBias = packedDown.Bias!.Address(),
            NextGain = nextGain.Address(),
            NextShift = nextShift.Address(),
            X = ours.Address(),
            Qkv = qkv.Address(),
            Y = y.Address(),
            LdY = 2 * Channels,
        };

        using var context = CudaContext.Use(device.index);
        var (kernels, stream) = (new EstimatorKernels(device), CudaStream.OfTorch);
        kernels.Transform(stream, rows * frames, arguments);
        var middle = x.Add(nn.functional.linear(attended.to(ScalarType.Float32), outWeight, outBias));
        var hidden = nn.functional.gelu(nn.functional.linear(nn.functional.layer_norm(middle, [Channels], gain, shift), up, upBias));
        var expected = middle.Add(nn.functional.linear(hidden, down, downBias));
        Check("hidden states", expected, ours, Bound);
        Check("in fp16", expected, y.narrow(1, 0, Channels), Bound);
        Check(
            "queries, keys, values",
            nn.functional.linear(nn.functional.layer_norm(expected, [Channels], nextGain, nextShift), next),
            Untile(qkv),
            Bound
        );

        // The last of a stage; and the same again, bit by bit.
        var (first, last) = (ours.clone(), x.clone());
        arguments.X = last.Address();
        arguments.QkvWeight = 0;
        kernels.Transform(stream, rows * frames, arguments);
        Assert.True(last.eq(first).all().item<bool>(), "not the same bits twice");
    }

    [Theory, MemberData(nameof(Sequences))]
    public void Attention_is_torchs(int rows, int frames, int live)
    {
        var device = Gpu.Required();
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var qkv = Draw(device, rows, frames, 3, Heads, HeadSize).Mul(1.5).to(ScalarType.Float16);
        var split = qkv.narrow(1, 0, live).to(ScalarType.Float32).permute(2, 0, 3, 1, 4); // [3, rows, heads, live, size]
        var expected = TorchOps.Plain.Attention(split[0], split[1], split[2]).transpose(1, 2).flatten(2); // [rows, live, heads · size]
        var counts = tensor(live, device: device, dtype: ScalarType.Int32);
        var y = Empty(device, ScalarType.Float16, rows, frames, Heads * HeadSize);

        using var context = CudaContext.Use(device.index);
        var stream = CudaStream.OfTorch;
        CudaModule
            .Get(PortableEstimator.Source, device)["attention"]
            .Launch(
                new(((uint)((frames + 63) / 64), Heads, (uint)rows), 128),
                stream,
                new AttentionArguments
                {
                    Qkv = qkv.Address(),
                    Y = y.Address(),
                    Live = counts.Address(),
                    Frames = frames,
                    Heads = Heads,
                }
            );
        Check("on any GPU", expected, y.narrow(1, 0, live), Bound);

        if (EstimatorKernels.UnsupportedReason(device) is null)
        {
            var (tiles, attended) = (Tile(qkv.reshape(rows * frames, -1)), Tiles(device, rows * frames, Heads));
            new EstimatorKernels(device).Attend(
                stream,
                rows,
                frames,
                new()
                {
                    Qkv = tiles.Address(),
                    Y = attended.Address(),
                    Live = counts.Address(),
                }
            );
            Check("in tiles", expected, Untile(attended).view(rows, frames, -1).narrow(1, 0, live), Bound);
        }
    }

    [Theory]
    [InlineData(64, false)]
    [InlineData(1000, true)]
    public void A_norm_with_Mish_is_torchs(int frames, bool everything)
    {
        var device = Gpu.Required();
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var (x, residual, times) = (Draw(device, frames, 2 * Channels), Draw(device, frames, 2 * Channels), Draw(device, 3, Channels));
        var (gain, shift, step) = (Draw(device, Channels), Draw(device, Channels), tensor(1, device: device, dtype: ScalarType.Int32));
        var (wide, narrow) = (Empty(device, ScalarType.Float32, frames, Channels), Empty(device, ScalarType.Float16, frames, Channels));

        using var context = CudaContext.Use(device.index);
        var stream = CudaStream.OfTorch;
        CudaModule
            .Get(PortableEstimator.Source, device)["norm_mish"]
            .Launch(
                new(frames / 4, 128),
                stream,
                new MishArguments
                {
                    X = x.Address(),
                    Gain = gain.Address(),
                    Shift = shift.Address(),
                    Times = everything ? times.Address() : 0,
                    Step = step.Address(),
                    Residual = everything ? residual.Address() : 0,
                    Wide = wide.Address(),
                    Narrow = narrow.Address(),
                    Frames = frames,
                    LdX = 2 * Channels,
                    LdResidual = 2 * Channels,
                    LdTimes = Channels,
                }
            );
        var expected = nn.functional.layer_norm(x.narrow(1, 0, Channels), [Channels], gain, shift).Mish();
        expected = everything ? expected.Add(times[1]).Add(residual.narrow(1, 0, Channels)) : expected;
        Check("float32", expected, wide, 1e-5);
        Check("fp16", expected, narrow, Bound);
    }

    private static Device Clusters()
    {
        var device = Gpu.Required();
        var reason = EstimatorKernels.UnsupportedReason(device);
        Assert.SkipWhen(reason is not null, $"No kernels in clusters: {reason}");
        return device;
    }

    private Tensor Draw(Device device, params long[] shape) => randn(shape, generator: _generator).to(device);

    /// <summary>Numbers that fp16 has.</summary>
    private Tensor Weight(Device device, params long[] shape) =>
        Draw(device, shape)
            .Div(Math.Sqrt(shape.Skip(1).Aggregate(1L, (product, size) => product * size)))
            .to(ScalarType.Float16)
            .to(ScalarType.Float32);

    private static Tensor Empty(Device device, ScalarType dtype, params long[] shape) => empty(shape, dtype, device).Fill(double.NaN);

    private static Tensor Tiles(Device device, int frames, int columns) => Empty(device, ScalarType.Float16, frames / 64, columns, 64, 64);

    /// <summary>[frames, 64 · columns] to [frames / 64, columns, 64, 64] as the kernels have them.</summary>
    private static Tensor Tile(Tensor x) => Exchange(x.reshape(x.shape[0] / 64, 64, -1, 64).transpose(1, 2)).contiguous();

    private static Tensor Untile(Tensor tiles) => Exchange(tiles).transpose(1, 2).reshape(tiles.shape[0] * 64, -1);

    private static Tensor Exchange(Tensor tiles)
    {
        var pieces = tiles.reshape(tiles.shape[0], tiles.shape[1], 64, 8, 8);
        return pieces
            .gather(3, TiledWeight.Swizzle(64, tiles.device).view(1, 1, 64, 8, 1).expand_as(pieces))
            .view(tiles.shape[0], tiles.shape[1], 64, 64);
    }

    private static void Check(string what, Tensor expected, Tensor ours, double bound) =>
        Close.AssertWithin(what, Close.RelativeError(expected, ours), bound);
}
