using Chatterbox.Text.Languages;

namespace Chatterbox;

/// <summary>Where and how a model is put.</summary>
public sealed record ModelOptions
{
    /// <summary><c>cpu</c>, <c>cuda</c>, or <c>cuda:1</c> for another GPU than the first; null takes the first GPU if there is one.</summary>
    public string? Device { get; init; }

    /// <summary>How exactly the networks compute; null is <see cref="Chatterbox.Precision.Fast"/> on a GPU, and
    /// <see cref="Chatterbox.Precision.Full"/> on the CPU.</summary>
    public Precision? Precision { get; init; }

    /// <summary>File with the watermark's weights; null for <c>perth_net.safetensors</c> or <c>perth_net_250000.pth.tar</c> in the model's folder.</summary>
    public string? WatermarkFile { get; init; }

    /// <summary>Which variant to load of a folder that holds several, by its name: <c>english</c>, <c>multilingual</c>,
    /// <c>multilingual-v3</c>, <c>turbo</c>, <c>nano</c>, or that of a language pack; null for the first of these that is there.</summary>
    public string? Variant { get; init; }

    /// <summary>What models have in memory together; null for a model that has all of its parts to itself.</summary>
    public SharedParts? SharedParts { get; init; }

    /// <summary>Finds the words of Chinese text; null leaves it without spaces. Multilingual only.</summary>
    public IChineseSegmenter? ChineseSegmenter { get; init; }

    /// <summary>Reads kanji, such as <see cref="MecabReader"/>; null leaves them, which the model does not know. Multilingual only.</summary>
    public IJapaneseReader? JapaneseReader { get; init; }

    /// <summary>The precision asked for, or a device's own.</summary>
    internal Precision PrecisionOn(Device device) =>
        Precision ?? (device.type == DeviceType.CUDA ? Chatterbox.Precision.Fast : Chatterbox.Precision.Full);

    /// <summary>The first GPU if there is one that this build can use, else the CPU.</summary>
    public static string BestDevice() => TryInitializeDeviceType(DeviceType.CUDA) ? "cuda" : "cpu";
}

/// <summary>How exactly the networks compute.</summary>
public enum Precision
{
    /// <summary>In float32 throughout.</summary>
    Full,

    /// <summary>T3 in bfloat16; on a GPU of compute capability 8.0 or later, the networks of flow, vocoder and watermark with operands
    /// in fp16 and sums in float32. What would be heard stays in float32: pitch, the source made from it, and how the speech's
    /// voice was read from its recording.</summary>
    Fast,
}
