using static TorchSharp.torch.nn.functional;

namespace Chatterbox.Layers;

/// <summary>Convolution in a form that gives right numbers on every processor: torch's own, or a matrix product.</summary>
/// <remarks>
/// oneDNN 3.7.1, which is torch's convolution on x86 processors, returns wrong numbers and reads memory that was never written where
/// the channels do not fill its blocks of 16: with AVX, AVX2 and AVX-512, from some length on, whatever the stride. Seen on AMD's
/// Zen 5; in bfloat16 the output channels matter too. Such convolutions are computed as products.
/// </remarks>
internal static class Convolution
{
    private const int Block = 16;

    /// <summary>Convolution over time.</summary>
    /// <param name="x">[rows, inputs, time].</param>
    /// <param name="weight">[outputs, inputs / groups, kernel].</param>
    /// <param name="bias">[outputs], or null.</param>
    /// <param name="stride">Time steps from one window to the next.</param>
    /// <param name="padding">Zeros before and after.</param>
    /// <param name="dilation">Time steps from one number of a window to the next.</param>
    /// <param name="groups">Groups of channels, each of which sees its own inputs only.</param>
    /// <returns>[rows, outputs, time'].</returns>
    public static Tensor Forward(Tensor x, Tensor weight, Tensor? bias, long stride, long padding, long dilation, long groups) =>
        groups > 1 || FillsBlocks(weight)
            ? conv1d(x, weight, bias, stride, padding, dilation, groups)
            : Product(x, weight, bias, stride, padding, dilation, groups);

    /// <summary>Convolution over images.</summary>
    /// <param name="x">[rows, inputs, height, width].</param>
    /// <param name="weight">[outputs, inputs, kernel height, kernel width].</param>
    /// <param name="bias">[outputs], or null.</param>
    /// <param name="stride">From one window to the next.</param>
    /// <param name="padding">Zeros on each of the four sides.</param>
    /// <returns>[rows, outputs, height', width'].</returns>
    public static Tensor Forward(Tensor x, Tensor weight, Tensor? bias, (long Height, long Width) stride, long padding) =>
        FillsBlocks(weight)
            ? conv2d(x, weight, bias, [stride.Height, stride.Width], [padding, padding])
            : Product(x, weight, bias, stride, padding);

    /// <summary>Transposed convolution over time.</summary>
    /// <param name="x">[rows, inputs, time].</param>
    /// <param name="weight">[inputs, outputs, kernel].</param>
    /// <param name="bias">[outputs].</param>
    /// <param name="stride">Time steps from one window to the next.</param>
    /// <param name="padding">Time steps left out at either end.</param>
    /// <returns>[rows, outputs, (time − 1)·stride − 2·padding + kernel].</returns>
    public static Tensor Transposed(Tensor x, Tensor weight, Tensor bias, long stride, long padding) =>
        weight.dtype == ScalarType.Float32 || FillsBlocks(weight)
            ? conv_transpose1d(x, weight, bias, stride, padding)
            : TransposedProduct(x, weight, bias, stride, padding);

    /// <summary><see cref="Forward(Tensor, Tensor, Tensor?, long, long, long, long)"/> as a matrix product.</summary>
    public static Tensor Product(Tensor x, Tensor weight, Tensor? bias, long stride, long padding, long dilation, long groups)
    {
        using var scope = NewDisposeScope();
        var y = Multiply(pad(x, (padding, padding)).unsqueeze(2), weight.unsqueeze(2), bias, (1, stride), dilation, groups);
        return y.squeeze(2).MoveToOuterDisposeScope();
    }

    /// <summary><see cref="Forward(Tensor, Tensor, Tensor?, ValueTuple{long, long}, long)"/> as a matrix product.</summary>
    public static Tensor Product(Tensor x, Tensor weight, Tensor? bias, (long Height, long Width) stride, long padding)
    {
        using var padded = pad(x, (padding, padding, padding, padding));
        return Multiply(padded, weight, bias, stride, dilation: 1, groups: 1);
    }

    /// <summary><see cref="Transposed"/> as a matrix product: each input gives a window of outputs, and windows are added where they
    /// overlap.</summary>
    public static Tensor TransposedProduct(Tensor x, Tensor weight, Tensor bias, long stride, long padding)
    {
        using var scope = NewDisposeScope();
        var kernel = weight.size(2);
        var length = ((x.size(2) - 1) * stride) - (2 * padding) + kernel;
        var windows = matmul(weight.flatten(1).t(), x).to(ScalarType.Float32); // [rows, outputs·kernel, time]
        var sum = fold(windows, (1, length), (1, kernel), (1, 1), (0, padding), (1, stride)).squeeze(2); // [rows, outputs, length]
        return sum.Add(bias.unsqueeze(1)).to(x.dtype).MoveToOuterDisposeScope();
    }

    /// <summary>Weights times the windows that the outputs see.</summary>
    /// <param name="x">With its padding, [rows, inputs, height, width].</param>
    /// <param name="weight">[outputs, inputs / groups, kernel height, kernel width].</param>
    /// <param name="bias">[outputs], or null.</param>
    /// <param name="stride">From one window to the next.</param>
    /// <param name="dilation">From one column of a window to the next.</param>
    /// <param name="groups">Groups of channels.</param>
    /// <returns>[rows, outputs, height', width'].</returns>
    private static Tensor Multiply(Tensor x, Tensor weight, Tensor? bias, (long Height, long Width) stride, long dilation, long groups)
    {
        using var scope = NewDisposeScope();
        x = x.contiguous();
        var (rows, inputs, lines, columns) = (x.size(0), x.size(1), x.size(2), x.size(3));
        var (outputs, height, width) = (weight.size(0), weight.size(2), weight.size(3));
        var down = ((lines - height) / stride.Height) + 1;
        var along = ((columns - ((width - 1) * dilation) - 1) / stride.Width) + 1;
        var windows = x.as_strided(
            [rows, inputs, height, width, down, along],
            [inputs * lines * columns, lines * columns, columns, dilation, stride.Height * columns, stride.Width]
        );
        var y = matmul( // [rows, groups, outputs / groups, places]
                weight.reshape(groups, outputs / groups, -1),
                windows.reshape(rows, groups, inputs / groups * height * width, down * along)
            )
            .reshape(rows, outputs, down, along);
        return (bias is null ? y : y.AddInPlace(bias.reshape(-1, 1, 1))).MoveToOuterDisposeScope();
    }

    private static bool FillsBlocks(Tensor weight) =>
        weight.device_type != DeviceType.CPU
        || weight.dtype == ScalarType.Float64
        || (weight.size(1) % Block == 0 && (weight.dtype == ScalarType.Float32 || weight.size(0) % Block == 0));
}
