namespace Chatterbox.HiFT;

/// <summary>Pitch from mel: a stack of convolutions, then one number a frame. Always in float32: the source adds up F0
/// over the whole utterance, and what rounding adds up to there turns the phases.</summary>
/// <remarks>Ports ConvRNNF0Predictor of chatterbox models/s3gen/f0_predictor.py. Weights: mel2wav.f0_predictor.</remarks>
internal sealed class F0Predictor(HiFTConfig config, WeightScope weights)
{
    private const int Kernel = 3;

    // An ELU follows each convolution in the list, so that convolutions have the even numbers.
    private readonly Conv1d[] _convs =
    [
        .. Enumerable
            .Range(0, config.F0Layers)
            .Select(layer => new Conv1d(
                weights.InFloat32["condnet"][2 * layer],
                layer == 0 ? config.MelBands : config.F0Channels,
                config.F0Channels,
                Kernel,
                padding: Kernel / 2,
                weightNorm: true
            )),
    ];

    private readonly Linear _classifier = new(weights.InFloat32["classifier"], config.F0Channels, 1);

    /// <summary>What the predictor is made of.</summary>
    public PitchWeights Weights => new(_convs, _classifier);

    /// <summary>Frames on either side that a frame's pitch depends on.</summary>
    public static int Reach(HiFTConfig config) => config.F0Layers * (Kernel / 2);

    /// <param name="mel">[rows, bands, frames].</param>
    /// <returns>F0 in Hz, 0 or more, [rows, frames], float32.</returns>
    public Tensor Forward(Tensor mel)
    {
        using var scope = NewDisposeScope();
        var x = mel.to(ScalarType.Float32).transpose(1, 2);
        foreach (var conv in _convs)
        {
            x = conv.Multiply(x).Elu(); // [rows, frames, channels]
        }

        return _classifier.Forward(x).squeeze(-1).abs().MoveToOuterDisposeScope();
    }
}
