using Chatterbox.HiFT;
using Chatterbox.Models;
using Chatterbox.Ops;
using Chatterbox.Weights;

namespace Chatterbox.Tests.HiFT;

/// <summary>The full-size vocoder on synthetic weights, built once for a class of tests.</summary>
public sealed class HiFTNetwork : IDisposable
{
    private readonly WeightStore _store;

    public HiFTNetwork()
    {
        _store = new WeightStore(SyntheticTensors.FullSize("s3gen"), TestDevice.Device);
        HiFT = Build(_store);
    }

    internal HiFTConfig Config { get; } = new();

    internal HiFTGenerator HiFT { get; }

    internal static HiFTGenerator Build(WeightStore store, HiFTConfig? config = null)
    {
        store.Root.Skip("tokenizer.*", "speaker_encoder.*", "flow.*");
        var hift = new HiFTGenerator(config ?? new(), store.Root["mel2wav"], TorchOps.Plain);
        store.ThrowIfFaulty();
        return hift;
    }

    public void Dispose() => _store.Dispose();
}
