namespace Chatterbox.Tests.Parity;

/// <summary>The recorded signals that voices were made from.</summary>
internal static class VoiceInputs
{
    /// <summary>The fixture <c>audio</c> of the same set.</summary>
    public static Fixture AudioOf(string path)
    {
        var set = Path.GetFileName(path).Split('-')[0];
        return Fixture.Open(Path.Combine(Path.GetDirectoryName(path)!, $"{set}-audio.safetensors"));
    }

    /// <summary>The 16 kHz signal without the silence at its ends, cut where the reference cut it.</summary>
    public static Tensor Trimmed16(Fixture audio) =>
        audio["wav16"][(int)audio["trim_index"][0].item<long>()..(int)audio["trim_index"][1].item<long>()];
}
