using Chatterbox.Ops.Cuda;

namespace Chatterbox.Ops.Cpu;

/// <summary>Operations that a CPU does in one pass over memory, on all threads.</summary>
internal sealed unsafe class CpuOps : TorchOps
{
    private const int Chunk = 1 << 14; // numbers: 64 KiB, which stay in a core's cache

    /// <inheritdoc/>
    public override Tensor Snake(Tensor x, Tensor alpha)
    {
        if (x.dtype != ScalarType.Float32 || alpha.dtype != ScalarType.Float32)
        {
            return base.Snake(x, alpha);
        }

        using var scope = NewDisposeScope();
        var input = x.contiguous();
        var output = empty_like(input);
        var (channels, time) = (x.shape[1], x.shape[2]);
        var (from, to, alphas) = (input.Address(), output.Address(), alpha.Address());
        var perChannel = (int)((time + Chunk - 1) / Chunk);
        WorkerPool.Shared.Run(
            checked((int)(x.shape[0] * channels * perChannel)),
            chunk =>
            {
                var (channel, part) = Math.DivRem(chunk, perChannel);
                var first = ((long)channel * time) + ((long)part * Chunk);
                Cpu.Snake.Compute(
                    (float*)from + first,
                    ((float*)alphas)[channel % channels],
                    (float*)to + first,
                    Math.Min(Chunk, time - ((long)part * Chunk))
                );
            }
        );
        return output.MoveToOuterDisposeScope();
    }
}
