using Chatterbox.Ops.Cuda;

namespace Chatterbox;

/// <summary>
/// The random numbers of one request: torch's CPU stream (Mersenne Twister) from the request's own seed, so that a seed
/// means the same on every device, and nobody else's drawing changes it.
/// </summary>
/// <remarks>
/// The stages draw in the reference's order, which makes the same seed give the same speech tokens. The reference seeds
/// the process instead. Draws are made on the CPU and moved, but many numbers for a GPU are made there, where the stream
/// then stays until the CPU draws again.
/// </remarks>
internal sealed class NoiseSource : IDisposable
{
    private const int ManyNumbers = 4096,
        Group = 16;

    private readonly Generator _generator;
    private CudaNoise? _onGpu;
    private long _passedOver; // normal numbers that the stream has yet to go past

    /// <param name="seed">Any 64-bit number; the same seed gives the same stream.</param>
    public NoiseSource(long seed)
    {
        _generator = new Generator(0);
        _generator.manual_seed(seed);
    }

    /// <summary>Standard normal numbers, float32.</summary>
    public Tensor Normal(ReadOnlySpan<long> shape, Device? device = null) =>
        OnGpu(device, shape, least: Group)?.Normal(shape) ?? Move(randn(shape, ScalarType.Float32, generator: OnHost()), device);

    /// <summary>Goes past as many standard normal numbers as one draw of <paramref name="count"/> makes. Nothing is drawn before
    /// somebody draws again.</summary>
    /// <param name="count">Sixteen or more; fewer are drawn in another way.</param>
    public void Skip(long count)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, Group);
        SkipPending();
        _passedOver = count;
    }

    /// <summary>Uniform numbers in [low, high), float32.</summary>
    public Tensor Uniform(double low, double high, ReadOnlySpan<long> shape, Device? device = null)
    {
        if (OnGpu(device, shape, least: 1) is { } gpu)
        {
            return gpu.Uniform(low, high, shape);
        }

        using var scope = NewDisposeScope();
        return Move(rand(shape, ScalarType.Float32, generator: OnHost()).Mul(high - low).Add(low), device).MoveToOuterDisposeScope();
    }

    /// <summary>One index for each row of <paramref name="probabilities"/>, drawn by its weights.</summary>
    /// <param name="probabilities">Weights, [rows, choices]; they need not sum to one.</param>
    /// <returns>Indices, [rows, 1], int64.</returns>
    public Tensor Multinomial(Tensor probabilities)
    {
        using var scope = NewDisposeScope();
        return multinomial(probabilities.cpu(), 1, generator: OnHost()).to(probabilities.device).MoveToOuterDisposeScope();
    }

    /// <summary>Fills a row with what <see cref="Multinomial"/> divides the probabilities of one draw by: the largest quotient
    /// is the choice.</summary>
    /// <param name="row">[1, choices], float32, on the CPU.</param>
    public void Exponential(Tensor row) => row.exponential_(generator: OnHost());

    /// <summary>Where the stream stands: the words of its generator, and how many of them are used up.</summary>
    public int[] SaveWords()
    {
        using var state = OnHost().get_state();
        return GeneratorState.Words(state.bytes);
    }

    /// <summary>Moves the stream to where <see cref="SaveWords"/> has found it, or to where another draw of its numbers has led.</summary>
    public void RestoreWords(ReadOnlySpan<int> words)
    {
        using var state = OnHost().get_state();
        GeneratorState.SetWords(state.bytes, words);
        _generator.set_state(state);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _onGpu?.Dispose();
        _generator.Dispose();
    }

    /// <summary>Goes past what <see cref="Skip"/> left.</summary>
    private void SkipPending()
    {
        var count = _passedOver;
        _passedOver = 0;
        if (count == 0)
        {
            return;
        }

        if (_onGpu is not null)
        {
            _onGpu.Skip(count);
        }
        else
        {
            randn([count], ScalarType.Float32, generator: _generator).Dispose();
        }
    }

    /// <summary>The generator, brought to where the stream stands.</summary>
    private Generator OnHost()
    {
        SkipPending();
        if (_onGpu is not null)
        {
            using var state = _onGpu.State();
            _generator.set_state(state);
            _onGpu.Dispose();
            _onGpu = null;
        }

        return _generator;
    }

    /// <summary>The stream on a GPU, if numbers for it are better made there.</summary>
    private CudaNoise? OnGpu(Device? device, ReadOnlySpan<long> shape, int least)
    {
        var count = 1L;
        foreach (var size in shape)
        {
            count *= size;
        }

        if (
            device is null
            || device.type != DeviceType.CUDA
            || count < least
            || count > int.MaxValue - Group
            || CudaNoise.UnsupportedReason(device) is not null
        )
        {
            return null;
        }

        SkipPending();
        if (_onGpu is null || _onGpu.Device.index != device.index)
        {
            if (count < ManyNumbers)
            {
                return null;
            }

            using var state = OnHost().get_state();
            _onGpu = new CudaNoise(state, device);
        }

        return _onGpu;
    }

    private static Tensor Move(Tensor drawn, Device? device) =>
        device is null || device.type == DeviceType.CPU ? drawn : drawn.to(device, disposeAfter: true);
}
