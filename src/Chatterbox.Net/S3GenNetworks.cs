using Chatterbox.HiFT;
using Chatterbox.S3Gen;
using Chatterbox.Voices;

namespace Chatterbox;

/// <summary>All that S3Gen's file holds: what hears a recording, and what speaks like it.</summary>
internal sealed class S3GenNetworks
{
    private readonly LazyNetwork<ReferenceEncoder> _reference;
    private readonly LazyNetwork<SpeechNetworks> _plain;
    private readonly bool _isPlain;

    /// <param name="config">The variant.</param>
    /// <param name="weights">The whole file.</param>
    /// <param name="ops">Operations of the device.</param>
    /// <param name="precision">How exactly they compute.</param>
    public S3GenNetworks(ChatterboxConfig config, WeightScope weights, TorchOps ops, Precision precision = Precision.Full)
    {
        Speech = Build(weights, ops, precision);
        _plain = new(weights, scope => Build(scope, TorchOps.Plain, Precision.Full), isChecked: true);
        _isPlain =
            ops == TorchOps.Plain
            && Speech.S3Gen.NoEncoderGraphsReason is not null
            && Speech.S3Gen.Flow.NotFusedReason is not null
            && Speech.HiFT.NotFusedReason is not null;
        _reference = new(weights, scope => new(config.Voices.Reference, scope, ops));

        SpeechNetworks Build(WeightScope file, TorchOps operations, Precision exactness) =>
            new(new(config.S3Gen, file["flow"], operations, exactness), new(config.HiFT, file["mel2wav"], operations, exactness));
    }

    /// <summary>Speech tokens to samples.</summary>
    public SpeechNetworks Speech { get; }

    /// <summary>The same with plain operations alone; its weights are read when it is first asked for.</summary>
    public SpeechNetworks Plain => _isPlain ? Speech : _plain.Value;

    /// <summary>Speech tokens to mel.</summary>
    public S3GenModel S3Gen => Speech.S3Gen;

    /// <summary>Mel to samples.</summary>
    public HiFTGenerator HiFT => Speech.HiFT;

    /// <summary>Recording to what S3Gen continues. It is half of the file, and who speaks with ready voices never needs it.</summary>
    public ReferenceEncoder Reference => _reference.Value;

    /// <summary>What of a variant's config the networks are built by: variants that agree in it can share them.</summary>
    public static object[] SizesOf(ChatterboxConfig config) => [config.S3Gen, config.HiFT, config.Voices.Reference];
}

/// <summary>The networks from speech tokens to samples.</summary>
/// <param name="S3Gen">Speech tokens to mel.</param>
/// <param name="HiFT">Mel to samples.</param>
internal sealed record SpeechNetworks(S3GenModel S3Gen, HiFTGenerator HiFT);
