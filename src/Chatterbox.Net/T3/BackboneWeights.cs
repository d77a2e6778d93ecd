namespace Chatterbox.T3;

/// <summary>What a backbone is made of, for kernels that read its weights themselves.</summary>
/// <param name="Layers">First to last.</param>
/// <param name="Norm">The norm after them.</param>
/// <param name="Positions">A learned table of positions of everything, [positions, hidden], or null.</param>
internal sealed record BackboneWeights(IReadOnlyList<LayerWeights> Layers, NormWeights Norm, Tensor? Positions);

/// <summary>The weights of one decoder layer. A shift or bias is null where the backbone has none.</summary>
/// <param name="AttentionNorm">The norm before attention.</param>
/// <param name="Qkv">Queries, keys and values, [3 · hidden, hidden].</param>
/// <param name="QkvBias">[3 · hidden].</param>
/// <param name="Out">Attention's output projection, [hidden, hidden].</param>
/// <param name="OutBias">[hidden].</param>
/// <param name="MlpNorm">The norm before the MLP.</param>
/// <param name="Up">[MLP, hidden]; with gates, those first, [2 · MLP, hidden].</param>
/// <param name="UpBias">[MLP].</param>
/// <param name="Down">[hidden, MLP].</param>
/// <param name="DownBias">[hidden].</param>
internal sealed record LayerWeights(
    NormWeights AttentionNorm,
    Tensor Qkv,
    Tensor? QkvBias,
    Tensor Out,
    Tensor? OutBias,
    NormWeights MlpNorm,
    Tensor Up,
    Tensor? UpBias,
    Tensor Down,
    Tensor? DownBias
);

/// <summary>Scale of a norm, and shift of a layer norm: [hidden] each.</summary>
internal sealed record NormWeights(Tensor Gain, Tensor? Shift);

/// <summary>T3's weights around its backbone.</summary>
/// <param name="SpeechEmbeddings">[speech vocabulary, hidden].</param>
/// <param name="SpeechPositions">A learned table of the positions of speech, [positions, hidden], or null.</param>
/// <param name="Head">[speech vocabulary, hidden].</param>
/// <param name="HeadBias">[speech vocabulary], or null.</param>
internal sealed record SpeechWeights(Tensor SpeechEmbeddings, Tensor? SpeechPositions, Tensor Head, Tensor? HeadBias);
