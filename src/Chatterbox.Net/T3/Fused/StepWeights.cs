using Chatterbox.Ops.Cuda;

namespace Chatterbox.T3.Fused;

/// <summary>A norm and the bias of the product that follows it, as the kernels take them; t3.cuh says how.</summary>
[KernelStruct("t3.cuh", "Norm")]
internal struct NormArguments
{
    public nint Gain,
        MeanFactor,
        Shift;
    public float Eps;
}

/// <summary>A layer's weights with the norms folded, and its other biases in float32 (0: none).</summary>
internal sealed record StepLayer(LayerWeights Weights, NormArguments AttentionNorm, NormArguments MlpNorm, nint OutBias, nint DownBias);

/// <summary>The weights of T3's steps as the kernels read them: those of the model, norms folded into the products that follow them, and
/// tables in float32.</summary>
internal sealed class StepWeights : IDisposable
{
    private readonly List<Tensor> _owned = [];
    private readonly double _eps;

    /// <param name="config">The variant.</param>
    /// <param name="backbone">The backbone's weights, on a GPU.</param>
    /// <param name="speech">Speech embeddings and head.</param>
    public StepWeights(T3Config config, BackboneWeights backbone, SpeechWeights speech)
    {
        using var scope = NewDisposeScope();
        _eps = config.Backbone.NormEps;
        Speech = speech;
        Places = speech.SpeechPositions ?? backbone.Positions!;
        if (config.Backbone is LlamaConfig llama)
        {
            var angles = outer(Arithmetic.Range(0, config.MaxLength), RotaryTable.Frequencies(llama));
            Cosines = Own(angles.cos().to(speech.Head.device)).Address();
            Sines = Own(angles.sin().to(speech.Head.device)).Address();
        }

        Layers =
        [
            .. backbone.Layers.Select(layer => new StepLayer(
                layer,
                Fold(layer.AttentionNorm, layer.Qkv, layer.QkvBias),
                Fold(layer.MlpNorm, layer.Up, layer.UpBias),
                Wide(layer.OutBias),
                Wide(layer.DownBias)
            )),
        ];
        HeadNorm = Fold(backbone.Norm, speech.Head, speech.HeadBias);
    }

    /// <summary>First to last.</summary>
    public IReadOnlyList<StepLayer> Layers { get; }

    /// <summary>Speech embeddings and head.</summary>
    public SpeechWeights Speech { get; }

    /// <summary>The norm before the head.</summary>
    public NormArguments HeadNorm { get; }

    /// <summary>Learned positions, [positions, hidden]: of speech (Llama), of everything (GPT-2).</summary>
    public Tensor Places { get; }

    /// <summary>Of the rotary positions, [positions, headDim / 2] in float32; 0 where there are none.</summary>
    public nint Cosines { get; }

    /// <inheritdoc cref="Cosines"/>
    public nint Sines { get; }

    /// <inheritdoc/>
    public void Dispose() => _owned.ForEach(tensor => tensor.Dispose());

    /// <summary>Moves a norm to the other side of the product that follows it; t3.cuh says how.</summary>
    private NormArguments Fold(NormWeights norm, Tensor weight, Tensor? bias)
    {
        using var scope = NewDisposeScope();
        var gain = Own(norm.Gain.to(ScalarType.Float32));
        if (norm.Shift is null)
        {
            return new() { Gain = gain.Address(), Eps = (float)_eps };
        }

        var wide = weight.to(ScalarType.Float32);
        var shift = wide.mv(norm.Shift.to(ScalarType.Float32));
        return new()
        {
            Gain = gain.Address(),
            MeanFactor = Own(wide.mv(gain)).Address(),
            Shift = Own(bias is null ? shift : shift.Add(bias.to(ScalarType.Float32))).Address(),
            Eps = (float)_eps,
        };
    }

    private Tensor Own(Tensor tensor)
    {
        _owned.Add(tensor.DetachFromDisposeScope());
        return tensor;
    }

    private nint Wide(Tensor? bias) => bias is null ? 0 : Own(bias.to(ScalarType.Float32)).Address();
}
