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

    /// <summary>The first GPU if there is one that this build can use, else the CPU.</summary>
    public static string BestDevice() => TryInitializeDeviceType(DeviceType.CUDA) ? "cuda" : "cpu";
}
