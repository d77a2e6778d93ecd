using Chatterbox.Ops;
using Chatterbox.Ops.Cuda;
using Chatterbox.T3;
using Chatterbox.Tests.Parity;

namespace Chatterbox.Tests.T3;

/// <summary>Each kernel of a graphed step alone, against the plain operations in float32 on the numbers that it sees.</summary>
public class StepKernelsTests
{
    private const int HeadDim = 64, Slots = 5;
    private const double Bound = 1e-5, Eps = 1e-5;
    private const double RoughBound = 1e-3;   // the fast tanh's error; and the last place of bfloat16, where a number lies between two

    private readonly Generator _generator = new(17);

    public static TheoryData<string, int, int, int> Shapes
    {
        get
        {
            // backbone, rows, hidden, length
            var shapes = new TheoryData<string, int, int, int> { { "llama", 2, 1024, 1000 }, { "llama", 1, 1024, 1 }, { "gpt2", 1, 1024, 700 }, { "gpt2", 1, 768, 257 } };
            var random = new Random(5);
            for (var i = 0; i < 12; i++)
            {
                shapes.Add(i % 2 == 0 ? "llama" : "gpt2", random.Next(1, 3), 256 * random.Next(1, 5), random.Next(1, i < 6 ? 40 : 1500));
            }

            return shapes;
        }
    }

    [Theory, MemberData(nameof(Shapes))]
    public void A_norm_and_a_product_are_torchs(string backbone, int rows, int hidden, int length)
    {
        var device = Gpu.Required();
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var (x, norm) = (Draw(device, rows, hidden).Add(0.3), Norm.Draw(this, backbone, device, hidden));
        var (weight, bias) = (Weight(device, length, hidden), Draw(device, length));
        var y = Empty(device, rows, length);

        using var context = CudaContext.Use(device.index);
        Kernels(backbone, rows, hidden, device).Multiply(
            CudaStream.OfTorch, new() { Weight = weight.Address(), Norm = norm.Folded(weight, bias), X = x.Address(), Y = y.Address(), Outputs = length }, overlaps: false);
        Check("product", nn.functional.linear(norm.Forward(x), Wide(weight), norm.Shift is null ? null : bias), y, Bound);
    }

    [Theory, MemberData(nameof(Shapes))]
    public void Attention_is_torchs(string backbone, int rows, int hidden, int length)
    {
        var device = Gpu.Required();
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var (heads, capacity) = (hidden / HeadDim, length + 3);
        var (qkv, keys, values) = (Draw(device, rows, 3, heads, HeadDim), Draw(device, Slots, capacity, heads, HeadDim).to(ScalarType.BFloat16), Draw(device, Slots, capacity, heads, HeadDim).to(ScalarType.BFloat16));
        int[] places = [length - 1, (length - 1) / 2], slots = [3, 1];
        var (positions, slotsOfRows) = (tensor(places, device: device), tensor(slots, device: device));
        var partial = Empty(device, rows, heads, StepKernels.Splits, 2 + HeadDim);
        var angles = outer(Arithmetic.Range(0, capacity), RotaryTable.Frequencies(new())).to(device);
        var (cosines, sines) = (angles.cos(), angles.sin());
        var (keysBefore, valuesBefore) = (keys.clone(), values.clone());

        using var context = CudaContext.Use(device.index);
        Kernels(backbone, rows, hidden, device).Attend(
            CudaStream.OfTorch,
            new()
            {
                Qkv = qkv.Address(),
                Keys = keys.Address(),
                Values = values.Address(),
                Positions = positions.Address(),
                Slots = slotsOfRows.Address(),
                Cosines = cosines.Address(),
                Sines = sines.Address(),
                Partial = partial.Address(),
                Capacity = capacity,
            },
            overlaps: false);
        var joined = Join(partial);
        for (var row = 0; row < rows; row++)
        {
            var (place, slot) = (places[row], slots[row]);
            var turned = backbone == "llama" ? TorchOps.Plain.Rotate(qkv[row], cat([cosines, cosines], 1)[place], cat([-sines, sines], 1)[place]) : qkv[row];   // [3, heads, size]
            Check("the new key", turned[1], keys[slot, place], RoughBound * 5);
            Check("the new value", qkv[row, 2], values[slot, place], RoughBound * 5);
            var expected = TorchOps.Plain.Attention(turned.narrow(0, 0, 1).transpose(0, 1), Live(keys), Live(values));   // [heads, 1, size]
            Check("attention", expected.flatten(), joined[row], Bound);
            (keysBefore[slot, place], valuesBefore[slot, place]) = (keys[slot, place], values[slot, place]);

            Tensor Live(Tensor cache) => Wide(cache[slot].narrow(0, 0, place + 1).transpose(0, 1));   // [heads, keys, size]
        }

        Assert.True(keys.equal(keysBefore).all().item<bool>() && values.equal(valuesBefore).all().item<bool>(), "other keys or values than the new ones have changed");
    }

    [Theory, MemberData(nameof(Shapes))]
    public void Attentions_way_out_is_torchs(string backbone, int rows, int hidden, int length)
    {
        var device = Gpu.Required();
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var (x, weight, bias) = (Draw(device, rows, hidden), Weight(device, hidden, hidden), Draw(device, hidden));
        var partial = Draw(device, rows, hidden / HeadDim, StepKernels.Splits, 2 + HeadDim);
        partial.narrow(-1, 1, 1).abs_().add_(1);                                                       // sums
        var empty = Math.Min(StepKernels.Splits - 1, length - 1);                                       // parts without a key
        partial.narrow(2, 0, empty).Fill(0);
        partial.narrow(2, 0, empty).narrow(-1, 0, 1).Fill(double.NegativeInfinity);
        var expected = nn.functional.linear(Join(partial), Wide(weight), backbone == "gpt2" ? bias : null).Add(x);

        using var context = CudaContext.Use(device.index);
        Kernels(backbone, rows, hidden, device).AddAttended(
            CudaStream.OfTorch, new() { Weight = weight.Address(), Bias = bias.Address(), Partial = partial.Address(), X = x.Address() }, overlaps: false);
        Check("residual", expected, x, Bound);
    }

    [Theory, MemberData(nameof(Shapes))]
    public void An_MLP_is_torchs(string backbone, int rows, int hidden, int length)
    {
        var device = Gpu.Required();
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var mlp = length % 2 == 0 ? 4 * hidden : 1024;
        var (x, norm) = (Draw(device, rows, hidden).Add(0.3), Norm.Draw(this, backbone, device, hidden));
        var (up, upBias) = (Weight(device, backbone == "llama" ? 2 * mlp : mlp, hidden), Draw(device, mlp));
        var (down, downBias) = (Weight(device, hidden, mlp), Draw(device, hidden));
        var y = Empty(device, rows, mlp);
        var wide = nn.functional.linear(norm.Forward(x), Wide(up), backbone == "gpt2" ? upBias : null);
        var parts = wide.chunk(2, -1);
        wide = backbone == "llama" ? TorchOps.Plain.SiluGate(parts[0], parts[1]) : nn.functional.gelu(wide, TorchSharp.Modules.GELU.Approximate.tanh);

        using var context = CudaContext.Use(device.index);
        var kernels = Kernels(backbone, rows, hidden, device, mlp);
        kernels.Widen(CudaStream.OfTorch, new() { Weight = up.Address(), Norm = norm.Folded(up, upBias), X = x.Address(), Y = y.Address() }, overlaps: false);
        Check("the way up", wide, y, backbone == "llama" ? Bound : RoughBound);

        var expected = nn.functional.linear(y, Wide(down), backbone == "gpt2" ? downBias : null).Add(x);
        kernels.AddWidened(CudaStream.OfTorch, new() { Weight = down.Address(), Bias = downBias.Address(), Y = y.Address(), X = x.Address() }, overlaps: false);
        Check("the way down", expected, x, Bound);
    }

    private static StepKernels Kernels(string backbone, int rows, int hidden, Device device, int? mlp = null)
    {
        BackboneConfig sizes = backbone == "llama"
            ? new LlamaConfig(HiddenSize: hidden, Heads: hidden / HeadDim, MlpSize: mlp ?? 4 * hidden)
            : new Gpt2Config(HiddenSize: hidden, Heads: hidden / HeadDim, MlpSize: mlp ?? 4 * hidden);
        Assert.Null(StepKernels.WhyNot(sizes, rows, device));
        return new(sizes, rows, device);
    }

    /// <summary>Attention of its parts: powers of 2 of their maxima, sums, weighted values.</summary>
    private static Tensor Join(Tensor partial)
    {
        var maxima = partial.narrow(-1, 0, 1);
        var factors = (maxima - maxima.amax([2], keepdim: true)).exp2();
        return ((partial.narrow(-1, 2, HeadDim) * factors).sum(2) / (partial.narrow(-1, 1, 1) * factors).sum(2)).flatten(1);   // [rows, hidden]
    }

    private Tensor Draw(Device device, params long[] shape) => randn(shape, generator: _generator).to(device);

    private Tensor Weight(Device device, long outputs, long inputs) => Draw(device, outputs, inputs).Div(Math.Sqrt(inputs)).to(ScalarType.BFloat16);

    private static Tensor Wide(Tensor x) => x.to(ScalarType.Float32);

    private static Tensor Empty(Device device, params long[] shape) => empty(shape, ScalarType.Float32, device).Fill(double.NaN);

    private static void Check(string what, Tensor expected, Tensor ours, double bound) => Close.AssertWithin(what, Close.RelativeError(expected, ours), bound);

    /// <summary>The norm in front of a product: an RMS norm, or with a shift a layer norm.</summary>
    private sealed record Norm(Tensor Gain, Tensor? Shift)
    {
        public static Norm Draw(StepKernelsTests test, string backbone, Device device, int hidden) =>
            new(test.Draw(device, hidden), backbone == "gpt2" ? test.Draw(device, hidden) : null);

        public Tensor Forward(Tensor x) => Shift is null ? TorchOps.Plain.RmsNorm(x, Gain, Eps) : nn.functional.layer_norm(x, Gain.shape, Gain, Shift, Eps);

        /// <summary>As t3.cuh says.</summary>
        public NormArguments Folded(Tensor weight, Tensor bias) => new()
        {
            Gain = Gain.Address(),
            MeanFactor = Wide(weight).mv(Gain).Address(),
            Shift = Shift is null ? 0 : Wide(weight).mv(Shift).Add(bias).Address(),
            Eps = (float)Eps,
        };
    }
}
