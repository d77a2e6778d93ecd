using System.Buffers.Binary;

namespace Chatterbox.Ops.Cuda;

/// <summary>The stream of torch's CPU generator, drawn from on a GPU: the same words, and to rounding the same numbers.</summary>
/// <remarks>Normal numbers are those that torch makes of sixteen or more at once.</remarks>
internal sealed class CudaNoise : IDisposable
{
    // As in the source, and as torch lays out a generator's state: seed, words left, seeded, next word, words as 64 bits.
    private const int Words = 624, LeftAt = 8, NextAt = 16, WordsAt = 24;
    private const int Threads = 256, Group = 16;

    private const string Source = "noise.cu";

    private readonly CudaModule _kernels;
    private readonly Tensor _state;       // [words + 1]: the last tells how many are used up
    private readonly byte[] _host;        // the generator's state as it was; only words and places change

    /// <param name="state">The generator's state.</param>
    /// <param name="device">The GPU.</param>
    public CudaNoise(Tensor state, Device device)
    {
        Device = device;
        _kernels = CudaModule.Get(Source, device);
        _host = state.data<byte>().ToArray();
        var words = new int[Words + 1];
        for (var i = 0; i < Words; i++)
        {
            words[i] = (int)BinaryPrimitives.ReadUInt64LittleEndian(_host.AsSpan(WordsAt + (i * sizeof(ulong))));
        }

        // With one word left the next draw makes new ones, whatever word would be next.
        words[Words] = BinaryPrimitives.ReadInt32LittleEndian(_host.AsSpan(LeftAt)) == 1 ? Words : (int)BinaryPrimitives.ReadUInt64LittleEndian(_host.AsSpan(NextAt));
        _state = empty([words.Length], ScalarType.Int32, device).DetachFromDisposeScope();
        HostCopies.Write<int>(words, _state);
    }

    /// <summary>The GPU.</summary>
    public Device Device { get; }

    /// <summary>Why a device cannot draw, or null.</summary>
    public static string? WhyNot(Device device) => CudaModule.WhyNot(Source, device);

    /// <summary>The generator's state behind all that was drawn here.</summary>
    public Tensor State()
    {
        using var scope = NewDisposeScope();
        var words = _state.cpu().data<int>().ToArray();
        for (var i = 0; i < Words; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(_host.AsSpan(WordsAt + (i * sizeof(ulong))), (uint)words[i]);
        }

        BinaryPrimitives.WriteInt32LittleEndian(_host.AsSpan(LeftAt), Words + 1 - words[Words]);
        BinaryPrimitives.WriteUInt64LittleEndian(_host.AsSpan(NextAt), (ulong)words[Words]);
        return tensor(_host).MoveToOuterDisposeScope();
    }

    /// <summary>Standard normal numbers, sixteen or more.</summary>
    public Tensor Normal(ReadOnlySpan<long> shape)
    {
        var numbers = empty(shape, ScalarType.Float32, Device);
        var count = (int)numbers.numel();
        Make("normal", numbers, WordsOfNormal(count), threads: (count + Group - 1) / Group * (Group / 2));
        return numbers;
    }

    /// <summary>Goes past as many normal numbers, sixteen or more.</summary>
    public void PassOver(long count)
    {
        using var context = CudaContext.Use(Device.index);
        Draw(CudaStream.OfTorch, words: 0, WordsOfNormal(checked((int)count)));
    }

    /// <summary>Uniform numbers in [low, high).</summary>
    public Tensor Uniform(double low, double high, ReadOnlySpan<long> shape)
    {
        var numbers = empty(shape, ScalarType.Float32, Device);
        var count = (int)numbers.numel();
        Make("uniform", numbers, count, count, (float)low, (float)(high - low));
        return numbers;
    }

    /// <inheritdoc/>
    public void Dispose() => _state.Dispose();

    private void Make(string kernel, Tensor numbers, int words, int threads, float low = 0, float range = 1)
    {
        using var context = CudaContext.Use(Device.index);
        var torch = CudaStream.OfTorch;
        using var drawn = empty([words], ScalarType.Int32, Device);
        Draw(torch, drawn.Address(), words);
        _kernels[kernel].Launch(new((threads + Threads - 1) / Threads, Threads), torch, new NumbersArguments
        {
            Words = drawn.Address(),
            Numbers = numbers.Address(),
            Count = (int)numbers.numel(),
            Low = low,
            Range = range,
        });
    }

    private void Draw(CudaStream stream, nint words, int count) =>
        _kernels["draw"].Launch(new(1, Threads), stream, new TwistArguments { State = _state.Address(), Words = words, Count = count });

    private static int WordsOfNormal(int count) => count % Group == 0 ? count : count + Group;

    // The parameters of the kernels, laid out as in noise.cu.

    private struct TwistArguments
    {
        public nint State, Words;
        public int Count;
    }

    private struct NumbersArguments
    {
        public nint Words, Numbers;
        public int Count;
        public float Low, Range;
    }
}
