using static TorchSharp.torch.nn.functional;

namespace Chatterbox.Watermark;

/// <summary>The watermark network's encoder, which adds the mark to the low bins of a magnitude spectrum.</summary>
/// <remarks>Ports perth_net.py and encoder.py of perth, perth_net/perth_net_implicit/model. Left out: the attacks of training.
/// Weights: encoder.layers.</remarks>
internal sealed class PerthEncoder(PerthConfig config, WeightScope weights)
{
    private readonly ConvStack _layers = new(config, weights["encoder"]["layers"], config.MarkedBins);

    /// <summary>The network's convolutions.</summary>
    public IReadOnlyList<Conv1d> Convs => _layers.Convs;

    /// <summary>Frames on either side that a frame's mark depends on.</summary>
    public static int Reach => ConvStack.Reach;

    /// <summary>Makes the mark.</summary>
    /// <param name="magnitude">Scaled, [rows, bins, frames].</param>
    /// <param name="loudest">Level of the utterance's loudest frame, [rows, 1, 1]; null where these frames are all of it.</param>
    /// <returns>What is to be added to the lowest bins, [rows, marked bins, frames].</returns>
    public Tensor Forward(Tensor magnitude, Tensor? loudest = null)
    {
        using var scope = NewDisposeScope();
        return (_layers.Forward(magnitude.narrow(1, 0, config.MarkedBins)) * Mask(config, magnitude, loudest)).MoveToOuterDisposeScope();
    }

    /// <summary>1 for frames loud enough to carry the mark, 0 for the rest, [rows, 1, frames].</summary>
    public static Tensor Mask(PerthConfig config, Tensor magnitude, Tensor? loudest = null)
    {
        using var scope = NewDisposeScope();
        var level = magnitude.sum(1, keepdim: true);
        return (level > (loudest ?? level.amax([2], keepdim: true)).Mul(config.MaskFraction))
            .to(ScalarType.Float32)
            .MoveToOuterDisposeScope();
    }

    /// <summary>Level of the loudest frame, [rows, 1, 1].</summary>
    public static Tensor Loudest(Tensor magnitude)
    {
        using var level = magnitude.sum(1, keepdim: true);
        return level.amax([2], keepdim: true);
    }
}

/// <summary>The watermark network's decoder, which says how sure it is of a mark.</summary>
/// <remarks>Ports decoder.py of perth, perth_net/perth_net_implicit/model, and its __init__.py. Weights: decoder.slow_layers,
/// decoder.normal_layers, decoder.fast_layers.</remarks>
internal sealed class PerthDecoder(PerthConfig config, WeightScope weights)
{
    private readonly DecoderBranch[] _branches =
    [
        new(config, weights["decoder"]["slow_layers"], stretch: 1.25),
        new(config, weights["decoder"]["normal_layers"], stretch: 1),
        new(config, weights["decoder"]["fast_layers"], stretch: 0.75),
    ];

    /// <summary>Looks for the mark at three speeds and lets the network weigh what it found.</summary>
    /// <param name="magnitude">Scaled, [rows, bins, frames]; two frames or more.</param>
    /// <returns>About 1 with a mark and about 0 without, [rows]; NaN where no frame counts, as in silence.</returns>
    public Tensor Forward(Tensor magnitude)
    {
        using var scope = NewDisposeScope();
        var low = magnitude.narrow(1, 0, config.MarkedBins);
        var mask = PerthEncoder.Mask(config, magnitude);
        var found = stack(_branches.Select(branch => branch.Forward(low, mask)), 1); // [rows, branches, 2]
        var attention = found.select(2, 0).softmax(1);
        return (found.select(2, 1) * attention).sum(1).MoveToOuterDisposeScope();
    }
}

/// <summary>One speed of the decoder: the spectrum stretched in time, the network, and the mean over the frames that count.</summary>
internal sealed class DecoderBranch(PerthConfig config, WeightScope weights, double stretch)
{
    private readonly ConvStack _layers = new(config, weights, outputs: 2);

    /// <param name="low">[rows, marked bins, frames].</param>
    /// <param name="mask">[rows, 1, frames].</param>
    /// <returns>How much to heed this branch, and what it found, [rows, 2].</returns>
    public Tensor Forward(Tensor low, Tensor mask)
    {
        using var scope = NewDisposeScope();
        long[] frames = [(long)(low.shape[2] * stretch)];
        var outputs = _layers.Forward(interpolate(low, frames, mode: InterpolationMode.Linear, align_corners: true));
        mask = interpolate(mask, frames, mode: InterpolationMode.Nearest);
        return ((outputs * mask).sum(2) / mask.sum(2)).MoveToOuterDisposeScope();
    }
}

/// <summary>Convolutions over time, leaky ReLUs between them; the first and the last see one frame.
/// Weights: {layer}.conv.</summary>
internal sealed class ConvStack(PerthConfig config, WeightScope weights, int outputs)
{
    /// <summary>Slope of the leaky ReLUs.</summary>
    public const double Slope = 0.01;

    private const int Layers = 7;
    private const int InnerKernel = 7;

    /// <summary>Frames on either side that a frame's output depends on.</summary>
    public const int Reach = (Layers - 2) * (InnerKernel / 2);

    /// <summary>In their order.</summary>
    public IReadOnlyList<Conv1d> Convs { get; } =
    [
        .. Enumerable
            .Range(0, Layers)
            .Select(layer =>
                layer switch
                {
                    0 => new Conv1d(weights[layer]["conv"], config.MarkedBins, config.HiddenSize, kernel: 1),
                    Layers - 1 => new Conv1d(weights[layer]["conv"], config.HiddenSize, outputs, kernel: 1),
                    _ => new Conv1d(weights[layer]["conv"], config.HiddenSize, config.HiddenSize, InnerKernel, padding: InnerKernel / 2),
                }
            ),
    ];

    /// <param name="x">[rows, marked bins, frames].</param>
    /// <returns>[rows, outputs, frames].</returns>
    public Tensor Forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        x = Convs[0].Forward(x);
        foreach (var conv in Convs.Skip(1))
        {
            x = conv.Forward(x.LeakyRelu(Slope));
        }

        return x.MoveToOuterDisposeScope();
    }
}
