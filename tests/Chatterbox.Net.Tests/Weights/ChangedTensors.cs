using Chatterbox.Weights;

namespace Chatterbox.Tests.Weights;

/// <summary>A checkpoint with some of its tensors changed, so that a test can isolate a part of a network.</summary>
internal sealed class ChangedTensors(ITensorSource inner, Dictionary<string, Func<Tensor, Tensor>> changes) : ITensorSource
{
    public string Name => inner.Name;

    public IReadOnlyDictionary<string, TensorInfo> Tensors => inner.Tensors;

    public Tensor Read(string name)
    {
        var stored = inner.Read(name);
        if (!changes.TryGetValue(name, out var change))
        {
            return stored;
        }

        using (stored)
        {
            using var scope = NewDisposeScope();
            return change(stored).DetachFromDisposeScope();
        }
    }

    public void Dispose() => inner.Dispose();
}
