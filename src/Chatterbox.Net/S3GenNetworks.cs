using Chatterbox.HiFT;
using Chatterbox.S3Gen;
using Chatterbox.Voices;

namespace Chatterbox;

/// <summary>All that S3Gen's file holds: what hears a recording, and what speaks like it.</summary>
/// <param name="config">The variant.</param>
/// <param name="weights">The whole file.</param>
/// <param name="ops">Operations of the device.</param>
/// <param name="precision">How exactly they compute.</param>
internal sealed class S3GenNetworks(ChatterboxConfig config, WeightScope weights, TorchOps ops, Precision precision = Precision.Full)
{
    /// <summary>Speech tokens to mel.</summary>
    public S3GenModel S3Gen { get; } = new(config.S3Gen, weights["flow"], ops, precision);

    /// <summary>Mel to samples.</summary>
    public HiFTGenerator HiFT { get; } = new(config.HiFT, weights["mel2wav"], ops, precision);

    /// <summary>Recording to what S3Gen continues.</summary>
    public ReferenceEncoder Reference { get; } = new(config.Voices.Reference, weights, ops);

    /// <summary>What of a variant's config the networks are built by: variants that agree in it can share them.</summary>
    public static object[] SizesOf(ChatterboxConfig config) => [config.S3Gen, config.HiFT, config.Voices.Reference];
}
