using Chatterbox.Models;
using Chatterbox.Ops;
using Chatterbox.Voices;
using Chatterbox.Weights;

namespace Chatterbox.Tests.Voices;

/// <summary>The networks that make a voice, at full size on synthetic weights.</summary>
public sealed class VoiceNetworks : IDisposable
{
    private readonly WeightStore _ve = new(SyntheticTensors.FullSize("ve"));
    private readonly WeightStore _s3gen = new(SyntheticTensors.FullSize("s3gen"));

    public VoiceNetworks()
    {
        SpeakerEncoder = new(new(), _ve.Root);
        SpeechTokenizer = new(new(), _s3gen.Root["tokenizer"], TorchOps.Plain);
        CamPlus = new(new(), _s3gen.Root["speaker_encoder"]);
        _s3gen.Root.Skip("flow.*", "mel2wav.*");
        _ve.ThrowIfFaulty();
        _s3gen.ThrowIfFaulty();
    }

    internal SpeakerEncoder SpeakerEncoder { get; }

    internal SpeechTokenizer SpeechTokenizer { get; }

    internal CamPlus CamPlus { get; }

    internal WeightScope Tables => _s3gen.Root;

    public void Dispose()
    {
        _ve.Dispose();
        _s3gen.Dispose();
    }
}
