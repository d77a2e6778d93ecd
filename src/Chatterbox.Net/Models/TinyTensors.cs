namespace Chatterbox.Models;

/// <summary>
/// The weights of a small network by the rule of the full-size ones: each tensor keeps its name and offset, and its scale
/// is adapted to the number of inputs it sums over. T3's are given a clock, so that it stops.
/// </summary>
/// <remarks>
/// Random weights never say the stop token. So the last hidden dimension of T3 is kept as a clock that counts speech
/// positions: only the learned positions write to it, no layer does, and only the stop token's row of the head reads it.
/// The stop token then overtakes the others around <see cref="StopPosition"/>.
/// </remarks>
internal sealed class TinyTensors : ITensorSource
{
    private const int StopPosition = 40;
    private const float ClockStep = 0.2f;      // a position, in units of the residual stream
    private const float StopGain = 6f;

    private readonly SyntheticTensors _rule;
    private readonly int _stopToken;

    /// <param name="fullSize">File of the full-size model with the same names, such as <c>t3_cfg</c>.</param>
    /// <param name="shapes">Names and shapes that the small network asks for.</param>
    /// <param name="stopToken">T3's stop token; unused for other files.</param>
    public TinyTensors(string fullSize, IReadOnlyDictionary<string, long[]> shapes, int stopToken)
    {
        using var full = SyntheticTensors.FullSize(fullSize);
        _stopToken = stopToken;
        _rule = new SyntheticTensors($"tiny {fullSize}", shapes.ToDictionary(t => t.Key, t => Shrink(full[t.Key], t.Key, t.Value)));
    }

    /// <inheritdoc/>
    public string Name => _rule.Name;

    /// <inheritdoc/>
    public IReadOnlyDictionary<string, TensorInfo> Tensors => _rule.Tensors;

    /// <inheritdoc/>
    public Tensor Read(string name)
    {
        using var scope = NewDisposeScope();
        var tensor = _rule.Read(name);
        switch (name)
        {
            case "speech_pos_emb.emb.weight":
                tensor[.., -1] = (arange(tensor.shape[0], ScalarType.Float32) - StopPosition) * ClockStep;
                break;
            case "speech_head.weight":
                tensor[.., -1] = zeros([]);
                tensor[_stopToken] = zeros([]);
                tensor[_stopToken, -1] = full([], StopGain);
                break;
            case "speech_emb.weight":
                tensor[.., -1] = zeros([]);
                break;
            default:
                if (name.StartsWith("tfmr.layers.", StringComparison.Ordinal)
                    && (name.EndsWith("o_proj.weight", StringComparison.Ordinal) || name.EndsWith("down_proj.weight", StringComparison.Ordinal)))
                {
                    tensor[-1] = zeros([]);
                }

                break;
        }

        return tensor;
    }

    /// <inheritdoc/>
    public void Dispose() => _rule.Dispose();

    private static SyntheticTensor Shrink(SyntheticTensor full, string name, long[] shape)
    {
        // Tables are looked up, norms and biases are not summed: only weights that sum over inputs are scaled.
        var sums = shape.Length >= 2 && !name.Contains("emb", StringComparison.Ordinal);
        var inputs = (double)full.Info.Shape.Skip(1).Aggregate(1L, (n, d) => n * d);
        var fewer = (double)shape.Skip(1).Aggregate(1L, (n, d) => n * d);
        return new SyntheticTensor(new TensorInfo(full.Info.DType, shape), full.Offset, sums ? (float)(full.Scale * Math.Sqrt(inputs / fewer)) : full.Scale);
    }
}
