using Chatterbox.Ops;
using Chatterbox.Ops.Cuda;
using Chatterbox.Tests.Parity;

namespace Chatterbox.Tests.Ops;

/// <summary>Each operation that is one kernel in bfloat16, against the plain one in float32 on the same numbers.</summary>
public class CudaOpsTests
{
    private const double Bound = 3e-3; // half of bfloat16's last place

    private readonly Generator _generator = new(19);

    public static TheoryData<int, int, int> Shapes
    {
        get
        {
            // rows, time, heads of 64
            var shapes = new TheoryData<int, int, int>
            {
                { 2, 80, 16 },
                { 1, 1, 16 },
                { 1, 400, 12 },
            };
            var random = new Random(4);
            for (var i = 0; i < 8; i++)
            {
                shapes.Add(random.Next(1, 4), random.Next(1, 200), random.Next(1, 40));
            }

            return shapes;
        }
    }

    [Theory, MemberData(nameof(Shapes))]
    public void Operations_are_the_plain_ones(int rows, int time, int heads)
    {
        var device = Gpu.Required();
        Assert.Null(CudaOps.UnsupportedReason(device));
        var ops = TorchOps.Of(device);
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var x = Draw(rows, time, 3 * heads, 64);
        var hidden = x.flatten(2);

        var gain = Draw(3 * heads * 64);
        Check("RMS norm", TorchOps.Plain.RmsNorm(Wide(hidden), Wide(gain), 1e-5), ops.RmsNorm(hidden, gain, 1e-5));
        var parts = hidden.narrow(2, 0, 2 * heads * 64).chunk(2, -1);
        Check("gates", TorchOps.Plain.SiluGate(Wide(parts[0]), Wide(parts[1])), ops.SiluGate(parts[0], parts[1]));
        var (turned, cos, sin) = (
            x.narrow(2, 0, 2 * heads),
            Draw(time + 2, 1, 64).narrow(0, 2, time),
            Draw(time + 2, 1, 64).narrow(0, 2, time)
        );
        Check("rotation", TorchOps.Plain.Rotate(Wide(turned), Wide(cos), Wide(sin)), ops.Rotate(turned, cos, sin));

        Tensor Draw(params long[] shape) => randn(shape, generator: _generator).to(ScalarType.BFloat16).to(device);
    }

    private static Tensor Wide(Tensor x) => x.to(ScalarType.Float32);

    private static void Check(string what, Tensor expected, Tensor ours)
    {
        Assert.Equal(expected.shape, ours.shape);
        Assert.Equal(ScalarType.BFloat16, ours.dtype);
        Close.AssertWithin(what, Close.RelativeError(expected, ours), Bound);
    }
}
