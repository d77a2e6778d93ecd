using Chatterbox.Models;
using Chatterbox.Ops;
using Chatterbox.Voices;
using Chatterbox.Weights;

namespace Chatterbox.Tests.Voices;

/// <summary>Builders of voices, at full size on synthetic weights.</summary>
public sealed class VoiceBuilders : IDisposable
{
    private readonly WeightStore _ve = new(SyntheticTensors.FullSize("ve"), TestDevice.Device);
    private readonly WeightStore _s3gen = new(SyntheticTensors.FullSize("s3gen"), TestDevice.Device);
    private readonly SpeakerEncoder _speakerEncoder;

    public VoiceBuilders()
    {
        _speakerEncoder = new(new(), _ve.Root);
        Reference = new(new(), _s3gen.Root, TorchOps.Plain);
        _s3gen.Root.Skip("flow.*", "mel2wav.*");
        _ve.ThrowIfFaulty();
        _s3gen.ThrowIfFaulty();
        Llama = Build(VoiceConfig.Llama);
        Turbo = Build(VoiceConfig.Turbo with { TargetLoudness = null });
    }

    internal ReferenceEncoder Reference { get; }

    internal VoiceBuilder Llama { get; }

    /// <summary>As the fixtures were recorded: the loudness is left as it is.</summary>
    internal VoiceBuilder Turbo { get; }

    public void Dispose()
    {
        _ve.Dispose();
        _s3gen.Dispose();
    }

    internal VoiceBuilder Build(VoiceConfig config) => new(config, _speakerEncoder, Reference);
}
