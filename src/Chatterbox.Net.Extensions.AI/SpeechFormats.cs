using Chatterbox.Audio;

namespace Chatterbox.Extensions.AI;

/// <summary>Formats by name or media type.</summary>
internal static class SpeechFormats
{
    /// <summary>Media types that are in use in addition to those of <see cref="AudioFormat.ContentType"/>.</summary>
    private static readonly Dictionary<string, string> OtherTypes = new(StringComparer.OrdinalIgnoreCase)
    {
        ["audio/mp3"] = "mp3",
        ["audio/ogg"] = "opus",
        ["audio/wave"] = "wav",
        ["audio/x-wav"] = "wav",
        ["audio/x-flac"] = "flac",
    };

    /// <summary>Finds a format.</summary>
    /// <param name="name">A name such as mp3 or pcm_16000, or a media type such as audio/mpeg.</param>
    /// <exception cref="RequestException">There is no such format.</exception>
    public static AudioFormat Find(string name) =>
        AudioFormat.Named.Values.FirstOrDefault(format => format.ContentType.Equals(name, StringComparison.OrdinalIgnoreCase))
        ?? AudioFormat.Parse(OtherTypes.GetValueOrDefault(name, name));
}
