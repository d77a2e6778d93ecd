using Chatterbox.Layers;
using Chatterbox.Ops;
using Chatterbox.Tests.Voices;
using Chatterbox.Weights;

namespace Chatterbox.Tests.Layers;

/// <summary>Every kind of layer, with the shapes that the networks use, against float64: one and two rows, several lengths, one and two
/// threads, and a heap full of NaN, so that memory that was never written is noticed. <see cref="InstructionSetTests"/> runs this class
/// under each instruction set.</summary>
public class LayerNumericsTests
{
    private const double WideBound = 1e-5,
        NarrowBound = 3e-2; // of float32, and of bfloat16, against the largest number

    /// <summary>Name, shape of the input but for its rows, with its lengths in place of 0, and how the layer is made.</summary>
    private static readonly Dictionary<string, (long[] Shape, long[] Lengths, Func<WeightScope, Func<Tensor, Tensor>> Make)> All = new()
    {
        ["HiFT: first convolution"] = Conv(80, 512, 7, padding: 3, lengths: [5, 90]),
        ["HiFT: first source convolution"] = Conv(18, 256, 30, stride: 15, padding: 7, lengths: [481, 2401]),
        ["HiFT: second source convolution"] = Conv(18, 128, 6, stride: 3, padding: 1, lengths: [481, 3001]),
        ["HiFT: third source convolution"] = Conv(18, 64, 1, lengths: [481, 3001]),
        ["HiFT: first block"] = Conv(256, 256, 7, padding: 9, dilation: 3, lengths: [80]),
        ["HiFT: second block"] = Conv(128, 128, 11, padding: 25, dilation: 5, lengths: [400]),
        ["HiFT: third block"] = Conv(64, 64, 3, padding: 1, lengths: [481, 3001]),
        ["HiFT: last convolution"] = Conv(64, 18, 7, padding: 3, lengths: [481, 2401]),
        ["HiFT: first upsampling"] = Transposed(512, 256, 16, stride: 8, padding: 4),
        ["HiFT: second upsampling"] = Transposed(256, 128, 11, stride: 5, padding: 3),
        ["HiFT: third upsampling"] = Transposed(128, 64, 7, stride: 3, padding: 2),
        ["HiFT: Snake"] = (
            [64, 0],
            [481],
            weights =>
            {
                var alpha = weights.Get("alpha", 1, 64, 1);
                return x => weights.Ops.Snake(x, alpha.abs().Add(0.5));
            }
        ),
        ["odd channels"] = Conv(20, 40, 3, padding: 1, lengths: [33, 3001]),
        ["odd channels, upsampling"] = Transposed(20, 10, 16, stride: 8, padding: 4),
        ["F0 predictor: convolution as a product"] = ([0, 80], [90], weights => new Conv1d(weights, 80, 512, 3, padding: 1).Multiply),
        ["flow: causal convolution"] = ([320, 0], [33, 300], weights => new CausalConv1d(weights, 320, 256, 3).Forward),
        ["flow: projection"] = Conv(256, 80, 1, lengths: [33, 300]),
        ["speech tokenizer: first convolution"] = Conv(128, 320, 3, stride: 2, padding: 1, lengths: [37, 500]),
        ["speech tokenizer: memory"] = Conv(640, 640, 31, padding: 15, groups: 640, lengths: [9, 125]),
        ["CAM++: time-delay convolution"] = Conv(320, 128, 5, stride: 2, padding: 2, lengths: [37, 250]),
        ["CAM++: dilated convolution"] = Conv(128, 32, 3, padding: 2, dilation: 2, lengths: [19, 250]),
        ["CAM++: context"] = Conv(128, 64, 1, lengths: [1, 5]),
        ["CAM++: first image convolution"] = Image(1, 32, 3, (1, 1), padding: 1),
        ["CAM++: halving image convolution"] = Image(32, 32, 3, (2, 1), padding: 1),
        ["CAM++: shortcut"] = Image(32, 32, 1, (2, 1), padding: 0),
        ["CAM++: batch norm"] = ([128, 0], [37], weights => new BatchNorm(weights, 128, 3, affine: true).Forward),
        ["watermark: inner convolution"] = Conv(256, 256, 7, padding: 3, lengths: [37, 150]),
        ["watermark: last convolution"] = Conv(256, 2, 1, lengths: [37, 150]),
        ["resampler"] = Conv(1, 2, 23, stride: 3, lengths: [2400, 24000]),
        ["linear"] = ([0, 1024], [1, 33], weights => new Linear(weights, 1024, 1024).Forward),
        ["linear of few inputs"] = ([0, 9], [1, 2400], weights => new Linear(weights, 9, 1).Forward),
        ["linear of few outputs"] = ([0, 1280], [1, 125], weights => new Linear(weights, 1280, 8).Forward),
        ["layer norm"] = ([0, 512], [1, 90], weights => new LayerNorm(weights, 512).Forward),
        ["RMS norm"] = ([0, 1024], [1, 90], weights => new RmsNorm(weights, weights.Ops, 1024, 1e-5).Forward),
        ["attention"] = Attend((q, k, v) => TorchOps.Plain.Attention(q, k, v)),
        ["attention with a mask"] = Attend((q, k, v) => TorchOps.Plain.Attention(q, k, v, Distances(q))),
        ["causal attention"] = Attend((q, k, v) => TorchOps.Plain.Attention(q, k, v, causal: true)),
        ["gates"] = ([0, 512], [1, 33], _ => x => TorchOps.Plain.SiluGate(x, x.flip(-1))),
        ["activations"] = (
            [0, 256],
            [33],
            _ => x => cat([nn.functional.gelu(x), x.Mish(), x.Elu(), x.tanh(), x.sigmoid(), x.softmax(-1), x.sin()])
        ),
        ["exponentials"] = ([0, 256], [33], _ => x => x.exp()),
        ["LSTM"] = (
            [0, 40],
            [1, 40],
            weights =>
            {
                var lstm = new Lstm(weights, 40, 256, 3);
                return x => lstm.Forward(x).Outputs;
            }
        ),
        ["Fourier transform of HiFT"] = Transform(16, 4),
        ["Fourier transform of the mel"] = Transform(1920, 480),
        ["Fourier transform of the watermark"] = Transform(2048, 320),
    };

    /// <summary>Names of the layers.</summary>
    public static TheoryData<string> Layers => [.. All.Keys];

    [Theory, MemberData(nameof(Layers))]
    public void A_layer_is_right(string layer)
    {
        using var mode = inference_mode();
        var threads = get_num_threads();
        try
        {
            var wrong = Check(layer);
            Assert.True(wrong.Count == 0, string.Join('\n', wrong));
        }
        finally
        {
            set_num_threads(threads);
        }
    }

    private static List<string> Check(string layer)
    {
        using var all = NewDisposeScope();
        var wrong = new List<string>();
        var (shape, lengths, make) = All[layer];
        ScalarType[] types = layer.StartsWith("Fourier", StringComparison.Ordinal)
            ? [ScalarType.Float32]
            : [ScalarType.Float32, ScalarType.BFloat16];
        foreach (var type in types)
        {
            var weights = Draw(make, type);
            using var wide = new WeightStore(weights, CPU, ScalarType.Float64);
            using var store = new WeightStore(weights, CPU, type);
            var (truth, forward) = (make(wide.Root), make(store.Root));
            foreach (var (rows, length) in new[] { 1L, 2L }.SelectMany(rows => lengths.Select(length => (rows, length))))
            {
                using var scope = NewDisposeScope();
                var generator = new Generator(3);
                var x = randn([rows, .. shape.Select(size => size == 0 ? length : size)], generator: generator).to(type);
                var expected = truth(x.to(ScalarType.Float64));
                foreach (var threads in new[] { 1, 2 })
                {
                    set_num_threads(threads);
                    FillHeap();
                    var actual = forward(x);
                    var error = ((actual.to(ScalarType.Float64) - expected).abs().max() / expected.abs().max()).item<double>();
                    var bound = type == ScalarType.Float32 ? WideBound : NarrowBound;
                    if (!(error <= bound))
                    {
                        wrong.Add(
                            $"{layer}, [{string.Join(", ", x.shape)}] in {type}, {threads} thread(s): error {error:g2} (bound {bound:g1})"
                        );
                    }
                }
            }
        }

        return wrong;
    }

    /// <summary>Leaves NaN in the memory that the next tensors are likely to get.</summary>
    private static void FillHeap()
    {
        using var scope = NewDisposeScope();
        foreach (var size in new long[] { 1 << 8, 1 << 11, 1 << 13, 1 << 15, 1 << 17, 1 << 19 })
        {
            for (var i = 0; i < 3; i++)
            {
                full([size], float.NaN);
            }
        }
    }

    private static (long[], long[], Func<WeightScope, Func<Tensor, Tensor>>) Conv(
        long inputs,
        long outputs,
        long kernel,
        long[] lengths,
        long stride = 1,
        long padding = 0,
        long dilation = 1,
        long groups = 1
    ) => ([inputs, 0], lengths, weights => new Conv1d(weights, inputs, outputs, kernel, stride, padding, dilation, groups).Forward);

    private static (long[], long[], Func<WeightScope, Func<Tensor, Tensor>>) Transposed(
        long inputs,
        long outputs,
        long kernel,
        long stride,
        long padding
    ) => ([inputs, 0], [7, 90], weights => new ConvTranspose1d(weights, inputs, outputs, kernel, stride, padding).Forward);

    private static (long[], long[], Func<WeightScope, Func<Tensor, Tensor>>) Image(
        long inputs,
        long outputs,
        long kernel,
        (long, long) stride,
        long padding
    ) => ([inputs, 80, 0], [37, 150], weights => new Conv2d(weights, inputs, outputs, kernel, stride, padding, bias: false).Forward);

    private static (long[], long[], Func<WeightScope, Func<Tensor, Tensor>>) Attend(Func<Tensor, Tensor, Tensor, Tensor> attention) =>
        (
            [0, 3 * 4 * 64],
            [1, 33, 150],
            _ =>
                x =>
                {
                    // [rows, heads, time, 64]
                    var parts = x.chunk(3, -1).Select(part => part.unflatten(2, 4, 64).transpose(1, 2)).ToArray();
                    return attention(parts[0], parts[1], parts[2]);
                }
        );

    /// <summary>A mask of numbers that bfloat16 holds exactly: how far each key is from each query, [time, time].</summary>
    private static Tensor Distances(Tensor q)
    {
        var places = Arithmetic.Range(0, q.size(2));
        return (places.unsqueeze(0) - places.unsqueeze(1)).Div(16).to(q.dtype);
    }

    private static (long[], long[], Func<WeightScope, Func<Tensor, Tensor>>) Transform(int size, int hop) =>
        (
            [0],
            [(10 * size) + 1],
            _ =>
                x =>
                {
                    var window = hann_window(size, dtype: ScalarType.Float64).to(x.dtype);
                    var spectrum = stft(x, size, hop, size, window, return_complex: true);
                    return cat([view_as_real(spectrum).flatten(), istft(spectrum, size, hop, size, window).flatten()]);
                }
        );

    /// <summary>Random weights for a layer, scaled so that sums stay about as large as what goes in.</summary>
    private static GivenTensors Draw(Func<WeightScope, Func<Tensor, Tensor>> make, ScalarType type)
    {
        using var names = new WeightStore(new GivenTensors([]));
        make(names.Root);
        var generator = new Generator(5);
        return new(
            names
                .Asked.OrderBy(weight => weight.Key, StringComparer.Ordinal)
                .ToDictionary(
                    weight => weight.Key,
                    weight =>
                    {
                        var drawn = randn(weight.Value, generator: generator)
                            .Div(Math.Sqrt(weight.Value.Skip(1).Aggregate(1L, (product, size) => product * size)));
                        return (weight.Key == "running_var" ? drawn.abs().Add(0.5) : drawn).to(type);
                    }
                )
        );
    }
}
