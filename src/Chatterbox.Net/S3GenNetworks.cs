using Chatterbox.HiFT;
using Chatterbox.S3Gen;
using Chatterbox.Voices;

namespace Chatterbox;

/// <summary>All that S3Gen's file holds: what hears a recording, and what speaks like it.</summary>
internal sealed class S3GenNetworks
{
    private readonly LateNetwork<ReferenceEncoder> _reference;

    /// <param name="config">The variant.</param>
    /// <param name="weights">The whole file.</param>
    /// <param name="ops">Operations of the device.</param>
    /// <param name="precision">How exactly they compute.</param>
    public S3GenNetworks(ChatterboxConfig config, WeightScope weights, TorchOps ops, Precision precision = Precision.Full)
    {
        S3Gen = new(config.S3Gen, weights["flow"], ops, precision);
        HiFT = new(config.HiFT, weights["mel2wav"], ops, precision);
        _reference = new(weights, scope => new(config.Voices.Reference, scope, ops));
    }

    /// <summary>Speech tokens to mel.</summary>
    public S3GenModel S3Gen { get; }

    /// <summary>Mel to samples.</summary>
    public HiFTGenerator HiFT { get; }

    /// <summary>Recording to what S3Gen continues. It is half of the file, and who speaks with ready voices never needs it.</summary>
    public ReferenceEncoder Reference => _reference.Value;

    /// <summary>What of a variant's config the networks are built by: variants that agree in it can share them.</summary>
    public static object[] SizesOf(ChatterboxConfig config) => [config.S3Gen, config.HiFT, config.Voices.Reference];
}
