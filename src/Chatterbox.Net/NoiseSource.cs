namespace Chatterbox;

/// <summary>
/// The random numbers of one request: torch's CPU stream (Mersenne Twister) from the request's own seed, so that a seed
/// means the same on every device, and nobody else's drawing changes it.
/// </summary>
/// <remarks>
/// The stages draw in the reference's order, which makes the same seed give the same speech tokens. The reference seeds
/// the process instead. Draws are made on the CPU and moved.
/// </remarks>
internal sealed class NoiseSource : IDisposable
{
    private readonly Generator _generator;

    /// <param name="seed">Any 64-bit number; the same seed gives the same stream.</param>
    public NoiseSource(long seed)
    {
        _generator = new Generator(0);
        _generator.manual_seed(seed);
    }

    /// <summary>Standard normal numbers, float32.</summary>
    public Tensor Normal(ReadOnlySpan<long> shape, Device? device = null) => Move(randn(shape, ScalarType.Float32, generator: _generator), device);

    /// <summary>Uniform numbers in [low, high), float32.</summary>
    public Tensor Uniform(double low, double high, ReadOnlySpan<long> shape, Device? device = null)
    {
        using var scope = NewDisposeScope();
        return Move(rand(shape, ScalarType.Float32, generator: _generator) * (high - low) + low, device).MoveToOuterDisposeScope();
    }

    /// <summary>One index for each row of <paramref name="probabilities"/>, drawn by its weights.</summary>
    /// <param name="probabilities">Weights, [rows, choices]; they need not sum to one.</param>
    /// <returns>Indices, [rows, 1], int64.</returns>
    public Tensor Multinomial(Tensor probabilities)
    {
        using var scope = NewDisposeScope();
        return multinomial(probabilities.cpu(), 1, generator: _generator).to(probabilities.device).MoveToOuterDisposeScope();
    }

    /// <summary>Fills a row with what <see cref="Multinomial"/> divides the probabilities of one draw by: the largest quotient
    /// is the choice.</summary>
    /// <param name="row">[1, choices], float32, on the CPU.</param>
    public void Exponential(Tensor row) => row.exponential_(generator: _generator);

    /// <summary>Where the stream stands, for <see cref="Restore"/>.</summary>
    public Tensor Save() => _generator.get_state().DetachFromDisposeScope();

    /// <summary>Goes back to where the stream stood.</summary>
    public void Restore(Tensor state) => _generator.set_state(state);

    /// <inheritdoc/>
    public void Dispose() => _generator.Dispose();

    private static Tensor Move(Tensor drawn, Device? device) =>
        device is null || device.type == DeviceType.CPU ? drawn : drawn.to(device, disposeAfter: true);
}
