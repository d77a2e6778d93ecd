using Chatterbox.Weights;

namespace Chatterbox.Tests.Voices;

/// <summary>Weights written down in a test.</summary>
internal sealed class GivenTensors(Dictionary<string, Tensor> tensors) : ITensorSource
{
    public string Name => "given tensors";

    public IReadOnlyDictionary<string, TensorInfo> Tensors { get; } =
        tensors.ToDictionary(t => t.Key, t => new TensorInfo(t.Value.dtype, t.Value.shape));

    public Tensor Read(string name) => tensors[name].clone().DetachFromDisposeScope();

    public void Dispose() { }
}
