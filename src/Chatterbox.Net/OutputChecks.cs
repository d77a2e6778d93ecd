using Chatterbox.Ops.Cuda;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Chatterbox;

/// <summary>Checks that the stages' outputs are finite numbers. Each output is summed on its device; the sums are read after the
/// samples that were made of it, so that no stage waits for another.</summary>
internal sealed class OutputChecks : IDisposable
{
    private readonly List<(SynthesisStage Stage, Tensor Sum)> _sums = [];

    /// <summary>Includes a stage's output.</summary>
    /// <param name="stage">The stage.</param>
    /// <param name="output">Float32, any shape.</param>
    public void Add(SynthesisStage stage, Tensor output) => _sums.Add((stage, output.sum().DetachFromDisposeScope()));

    /// <summary>Reads samples to the host and checks them and every output included before.</summary>
    /// <param name="samples">Float32, any shape.</param>
    /// <param name="stage">The stage that made them.</param>
    /// <exception cref="InvalidOutputException">An output is not finite; names the first such stage.</exception>
    public float[] Read(Tensor samples, SynthesisStage stage)
    {
        var read = HostTransfers.Read(samples);
        foreach (var (earlier, sum) in _sums)
        {
            if (!float.IsFinite(sum.item<float>()))
            {
                throw new InvalidOutputException(earlier);
            }
        }

        return Check(read, stage);
    }

    /// <summary>Returns the samples if all of them are finite.</summary>
    /// <param name="samples">On the host.</param>
    /// <param name="stage">The stage that made them.</param>
    /// <exception cref="InvalidOutputException">One is not.</exception>
    public static float[] Check(float[] samples, SynthesisStage stage) =>
        // false of none
        samples.Length == 0
        || TensorPrimitives.IsFiniteAll<float>(samples)
            ? samples
            : throw new InvalidOutputException(stage);

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var (_, sum) in _sums)
        {
            sum.Dispose();
        }
    }
}
