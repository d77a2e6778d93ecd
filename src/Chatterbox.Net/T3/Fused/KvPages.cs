using Chatterbox.Ops.Cuda;

namespace Chatterbox.T3.Fused;

/// <summary>Keys and values of a GPU's sequences, in pages of 64 positions of one row: taken as a sequence grows, given back when it
/// ends. A page holds [layers, keys and values, positions, heads, headDim] in bfloat16.</summary>
/// <param name="sizes">The backbone's.</param>
/// <param name="device">The GPU.</param>
/// <param name="budget">Most bytes that all pages together take.</param>
internal sealed class KvPages(BackboneConfig sizes, Device device, long budget) : IDisposable
{
    /// <summary>Positions of a page.</summary>
    public const int Positions = 64;

    private const int PagesOfBlock = 8; // allocated at once

    private readonly List<Tensor> _blocks = [];
    private readonly Stack<nint> _free = [];

    /// <summary>Bytes of a page.</summary>
    public long PageBytes { get; } = 2L * 2 * sizes.Layers * Positions * sizes.HiddenSize;

    /// <summary>Most pages in use at once.</summary>
    public int Most => (int)Math.Min(int.MaxValue, budget / PageBytes);

    /// <summary>Pages in use.</summary>
    public int InUse { get; private set; }

    /// <summary>Pages of a row for so many positions.</summary>
    public static int CountFor(int positions) => (positions + Positions - 1) / Positions;

    /// <summary>Takes a page; what is in it is undefined.</summary>
    /// <returns>Its address.</returns>
    /// <exception cref="InvalidOperationException">All pages are in use.</exception>
    public nint Take()
    {
        if (InUse == Most)
        {
            throw new InvalidOperationException($"All {Most} pages are in use; reserve them before a sequence begins.");
        }

        if (_free.Count == 0)
        {
            var block = empty([PagesOfBlock, PageBytes], ScalarType.Byte, device).DetachFromDisposeScope();
            _blocks.Add(block);
            for (var page = PagesOfBlock - 1; page >= 0; page--)
            {
                _free.Push(block.Address() + (nint)(page * PageBytes));
            }
        }

        InUse++;
        return _free.Pop();
    }

    /// <summary>Gives a page back. Work that reads it must come before the work of whoever takes it next.</summary>
    public void Return(nint page)
    {
        InUse--;
        _free.Push(page);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _blocks.ForEach(block => block.Dispose());
        _blocks.Clear();
        _free.Clear();
    }
}
