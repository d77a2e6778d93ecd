using Chatterbox.Text.Languages;

namespace Chatterbox;

/// <summary>Device, precision and files of a model.</summary>
public sealed record ModelOptions
{
    /// <summary><c>cpu</c>, <c>cuda</c>, or <c>cuda:1</c> for another GPU than the first; null takes the first GPU if there is
    /// one.</summary>
    public string? Device { get; init; }

    /// <summary>How exactly the networks compute; null is <see cref="Chatterbox.Precision.Fast"/>.</summary>
    public Precision? Precision { get; init; }

    /// <summary>File with the watermark's weights; null for <c>perth_net.safetensors</c> or <c>perth_net_250000.pth.tar</c> in the model's
    /// folder.</summary>
    public string? WatermarkFile { get; init; }

    /// <summary>Which variant to load of a folder that holds several, by its name: <c>english</c>, <c>multilingual</c>,
    /// <c>multilingual-v3</c>, <c>turbo</c>, <c>nano</c>, <c>flash</c>, or that of a language pack; null for the first of these that
    /// exists.</summary>
    public string? Variant { get; init; }

    /// <summary>Parts that several models have in common; null for a model that shares nothing.</summary>
    public SharedParts? SharedParts { get; init; }

    /// <summary>Finds the words of Chinese text; null leaves it without spaces. Multilingual only.</summary>
    public IChineseSegmenter? ChineseSegmenter { get; init; }

    /// <summary>Reads kanji, such as <see cref="MecabReader"/>; null leaves them, which the model does not know. Multilingual
    /// only.</summary>
    public IJapaneseReader? JapaneseReader { get; init; }

    /// <summary>Whether the device's arithmetic is checked as the model is loaded, against known answers: an operation that it gets wrong,
    /// as some processors do, is then computed in another way. On a CPU this takes place while the weights are read.</summary>
    public bool SelfCheck { get; init; } = true;

    /// <summary>The device's usual operations; tests put wrong ones in.</summary>
    internal Func<Device, Precision, TorchOps> OpsOf { get; init; } = TorchOps.Of;

    /// <summary>A device that is taken to be right.</summary>
    internal CheckedDevice Unchecked(Device device) =>
        new(Chatterbox.SelfCheck.TurnedOff, OpsOf(device, EffectivePrecision), EffectivePrecision);

    /// <summary>Checks a device, unless that is turned off.</summary>
    /// <exception cref="SelfCheckException">The device gives wrong numbers.</exception>
    internal CheckedDevice Check(Device device)
    {
        var usual = Unchecked(device);
        return SelfCheck ? DeviceCheck.Run(device, usual.Ops, usual.Precision) : usual;
    }

    /// <summary>The precision asked for, or the default.</summary>
    internal Precision EffectivePrecision => Precision ?? Chatterbox.Precision.Fast;

    /// <summary>The first GPU if there is one that this build can use, else the CPU.</summary>
    public static string BestDevice() => TryInitializeDeviceType(DeviceType.CUDA) ? "cuda" : "cpu";
}

/// <summary>How exactly the networks compute.</summary>
public enum Precision
{
    /// <summary>In float32 throughout, as the Python reference on a CPU: the same seed gives its speech tokens.</summary>
    Full,

    /// <summary>On a GPU: T3 in bfloat16, and from compute capability 8.0 on the networks of flow, vocoder and watermark with operands in
    /// fp16
    /// and sums in float32. On a CPU: T3's weights in 8-bit integers (Turbo, Nano) or bfloat16 (English, multilingual; not Flash), its keys
    /// and values in
    /// bfloat16, everything else in float32. Where reduced precision is audible, float32 stays: pitch, the source computed from it, and the
    /// voice's networks.</summary>
    Fast,
}
