using Chatterbox.Ops.Cuda;
using Chatterbox.Tests.Parity;

namespace Chatterbox.Tests.Ops;

/// <summary>Matrix products and convolutions of products.cu against torch's, in float64 on the operands that the kernel sees.</summary>
public class MatrixProductsTests
{
    public static TheoryData<string, int, int, int, int, int, int> Shapes
    {
        get
        {
            // tile, rows, frames, inputs, outputs, taps, dilation
            var shapes = new TheoryData<string, int, int, int, int, int, int>
            {
                { "wide", 2, 256, 256, 1536, 1, 1 },
                { "small", 2, 128, 1024, 256, 1, 1 },
                { "small", 1, 128, 256, 80, 1, 1 },
                { "wide", 2, 192, 320, 512, 3, 1 },
                { "long", 1, 1001, 64, 64, 11, 5 },
            };
            var random = new Random(5);
            for (var i = 0; i < 24; i++)
            {
                shapes.Add(
                    new[] { "wide", "small", "long" }[i % 3],
                    random.Next(1, 4),
                    random.Next(1, 400),
                    random.Next(1, 520),
                    8 * random.Next(1, 40),
                    random.Next(1, 12),
                    random.Next(1, 6)
                );
            }

            return shapes;
        }
    }

    [Theory, MemberData(nameof(Shapes))]
    public void A_convolution_is_torchs(string tile, int rows, int frames, int inputs, int outputs, int taps, int dilation)
    {
        var device = Gpu.Required();
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var generator = new Generator(7);
        Tensor Draw(params long[] shape) => randn(shape, generator: generator);
        var before = (taps - 1) * dilation / 2;
        var (weight, bias) = (Draw(outputs, inputs, taps) / Math.Sqrt(inputs * taps), Draw(outputs));
        var (x, residual) = (Draw(rows, frames, inputs).to(ScalarType.Float16), Draw(rows, frames, outputs));
        using var packed = PackedWeight.Of(weight, bias, device);
        var filled = nn.functional.pad(x, (0, packed.Inputs - inputs)).to(device);
        var (wide, narrow) = (
            full([rows, frames, outputs], float.NaN, device: device),
            full([rows, frames, outputs], float.NaN, ScalarType.Float16, device)
        );
        var more = residual.to(device);

        using var context = CudaContext.Use(device.index);
        var stream = CudaStream.OfTorch;
        var shape = tile switch
        {
            "wide" => Tile.Wide,
            "small" => Tile.Small,
            _ => Tile.Long,
        };
        new MatrixProducts(device).Launch(
            stream,
            shape,
            packed,
            rows,
            new()
            {
                X = filled.Address(),
                Residual = more.Address(),
                Wide = wide.Address(),
                Narrow = narrow.Address(),
                Activation = Activation.Gelu,
                FramesX = frames,
                Frames = frames,
                Before = before,
                Dilation = dilation,
                LdX = packed.Inputs,
                RowX = (long)frames * packed.Inputs,
                LdWide = outputs,
                RowWide = (long)frames * outputs,
                LdNarrow = outputs,
                RowNarrow = (long)frames * outputs,
            }
        );

        var after = ((taps - 1) * dilation) - before;
        var padded = nn.functional.pad(x.to(ScalarType.Float64).transpose(1, 2), (before, after));
        var expected =
            nn.functional.conv1d(
                    padded,
                    weight.to(ScalarType.Float16).to(ScalarType.Float64),
                    bias.to(ScalarType.Float64),
                    dilation: dilation
                )
                .transpose(1, 2) + residual;
        Check("sum", expected, wide, 1e-5);
        Check("GELU", nn.functional.gelu(expected), narrow, 1e-3);
    }

    [Theory]
    [InlineData(1, 64, 1536)]
    [InlineData(2, 320, 1024)]
    [InlineData(3, 128, 88)]
    public void A_product_of_a_norm_is_torchs(int rows, int frames, int outputs)
    {
        var device = Gpu.Required();
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        const int Size = 256;
        var generator = new Generator(11);
        Tensor Draw(params long[] shape) => randn(shape, generator: generator);
        var (x, gain, shift, weight) = (3 + (2 * Draw(rows, frames, Size)), Draw(Size), Draw(Size), Draw(outputs, Size) / 16);
        using var packed = PackedWeight.Of(weight, null, device);
        var narrow = full([rows, frames, outputs], float.NaN, ScalarType.Float16, device);
        var (onX, onGain, onShift) = (x.to(device), gain.to(device), shift.to(device));

        using var context = CudaContext.Use(device.index);
        var stream = CudaStream.OfTorch;
        new MatrixProducts(device).Launch(
            stream,
            Tile.Normed,
            packed,
            rows,
            new()
            {
                Normed = onX.Address(),
                Gain = onGain.Address(),
                Shift = onShift.Address(),
                Narrow = narrow.Address(),
                FramesX = frames,
                Frames = frames,
                LdNarrow = outputs,
                RowNarrow = (long)frames * outputs,
            }
        );
        Check("product", nn.functional.linear(nn.functional.layer_norm(x, [Size], gain, shift), weight), narrow, 1e-3);
    }

    private static void Check(string what, Tensor expected, Tensor ours, double bound) =>
        Close.AssertWithin(what, Close.RelativeError(expected, ours), bound);
}
