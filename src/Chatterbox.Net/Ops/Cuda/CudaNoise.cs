namespace Chatterbox.Ops.Cuda;

/// <summary>The stream of torch's CPU generator, drawn from on a GPU: the same words, and to rounding the same numbers.</summary>
/// <remarks>Normal numbers are those that torch makes of sixteen or more at once.</remarks>
internal sealed class CudaNoise : IDisposable
{
    private const int Threads = 256,
        Group = 16;

    private static readonly KernelSource Source = new(
        "noise.cu",
        ("WORDS", GeneratorState.WordCount),
        ("THREADS", Threads),
        ("GROUP", Group)
    );

    private readonly CudaModule _kernels;
    private readonly Tensor _state; // [words + 1]: the last holds how many are used
    private readonly byte[] _host; // the generator's state as it was

    /// <param name="state">The generator's state.</param>
    /// <param name="device">The GPU.</param>
    public CudaNoise(Tensor state, Device device)
    {
        Device = device;
        _kernels = CudaModule.Get(Source, device);
        _host = state.data<byte>().ToArray();
        var words = GeneratorState.Words(_host);
        _state = empty([words.Length], ScalarType.Int32, device).DetachFromDisposeScope();
        HostTransfers.Write<int>(words, _state);
    }

    /// <summary>The GPU.</summary>
    public Device Device { get; }

    /// <summary>Why a device cannot draw, or null.</summary>
    public static string? UnsupportedReason(Device device) => CudaModule.UnsupportedReason(Source, device);

    /// <summary>The generator's state behind all that was drawn here.</summary>
    public Tensor State()
    {
        using var scope = NewDisposeScope();
        GeneratorState.SetWords(_host, _state.cpu().data<int>().ToArray());
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
    public void Skip(long count)
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
        _kernels[kernel]
            .Launch(
                new((threads + Threads - 1) / Threads, Threads),
                torch,
                new NumbersArguments
                {
                    Words = drawn.Address(),
                    Numbers = numbers.Address(),
                    Count = (int)numbers.numel(),
                    Low = low,
                    Range = range,
                }
            );
    }

    private void Draw(CudaStream stream, nint words, int count) =>
        _kernels["draw"]
            .Launch(
                new(1, Threads),
                stream,
                new TwistArguments
                {
                    State = _state.Address(),
                    Words = words,
                    Count = count,
                }
            );

    private static int WordsOfNormal(int count) => count % Group == 0 ? count : count + Group;

    // The parameters of the kernels.

    [KernelStruct("noise.cu")]
    private struct TwistArguments
    {
        public nint State,
            Words;
        public int Count;
    }

    [KernelStruct("noise.cu")]
    private struct NumbersArguments
    {
        public nint Words,
            Numbers;
        public int Count;
        public float Low,
            Range;
    }
}
