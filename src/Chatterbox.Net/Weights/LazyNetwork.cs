namespace Chatterbox.Weights;

/// <summary>A network that few need, read when it is first asked for.</summary>
internal sealed class LazyNetwork<T>
    where T : class
{
    private readonly Lock _gate = new();
    private readonly WeightScope _weights;
    private readonly Func<WeightScope, T> _build;
    private T? _network;

    /// <param name="weights">The file, or a part of it, whose store lives as long as the network.</param>
    /// <param name="build">Builds the network.</param>
    /// <param name="isChecked">True where another network has asked the file for the same tensors; otherwise it is checked at once.</param>
    public LazyNetwork(WeightScope weights, Func<WeightScope, T> build, bool isChecked = false)
    {
        (_weights, _build) = (weights, build);
        if (!isChecked)
        {
            build(weights.Unread);
        }
    }

    /// <summary>The network.</summary>
    public T Value
    {
        get
        {
            lock (_gate)
            {
                return _network ??= Task.Run(Build).GetAwaiter().GetResult(); // on a thread where no scope takes its tensors
            }
        }
    }

    private T Build()
    {
        using var mode = inference_mode();
        return _build(_weights);
    }
}
