using Chatterbox.Text.Languages;

namespace Chatterbox;

/// <summary>Where and how a model is put.</summary>
public sealed record ModelOptions
{
    /// <summary><c>cpu</c>, <c>cuda</c>, or <c>cuda:1</c> for another GPU than the first; null takes the first GPU if there is one.</summary>
    public string? Device { get; init; }

    /// <summary>Element type of T3's weights. The other networks stay in float32, where reduced precision is audible.</summary>
    public ScalarType T3DType { get; init; } = ScalarType.Float32;

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

    /// <summary>The first GPU if there is one that this build can use, else the CPU.</summary>
    public static string BestDevice() => TryInitializeDeviceType(DeviceType.CUDA) ? "cuda" : "cpu";
}
