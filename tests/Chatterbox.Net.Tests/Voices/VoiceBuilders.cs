using Chatterbox.Models;
using Chatterbox.Ops;
using Chatterbox.Voices;
using Chatterbox.Weights;

namespace Chatterbox.Tests.Voices;

/// <summary>Builders of voices, at full size on synthetic weights; each is made when it is first asked for.</summary>
public sealed class VoiceBuilders : IDisposable
{
    private readonly List<IDisposable> _stores = [];
    private VoiceBuilder? _llama;
    private VoiceBuilder? _turbo;

    internal VoiceBuilder Llama => _llama ??= Build(VoiceConfig.Llama);

    /// <summary>As the fixtures were recorded: the loudness is left as it is.</summary>
    internal VoiceBuilder Turbo => _turbo ??= Build(VoiceConfig.Turbo with { TargetLoudness = null });

    public void Dispose() => _stores.ForEach(store => store.Dispose());

    internal VoiceBuilder Build(VoiceConfig config)
    {
        var ve = new WeightStore(SyntheticTensors.FullSize("ve"), TestDevice.Device);
        var s3gen = new WeightStore(SyntheticTensors.FullSize("s3gen"), TestDevice.Device);
        _stores.AddRange([ve, s3gen]);
        var builder = new VoiceBuilder(config, ve.Root, s3gen.Root, TorchOps.Plain);
        s3gen.Root.Skip("flow.*", "mel2wav.*");
        ve.ThrowIfFaulty();
        s3gen.ThrowIfFaulty();
        return builder;
    }
}
