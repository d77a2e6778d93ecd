namespace Chatterbox.Service.Voices;

/// <summary>The header that names the voice of an answer.</summary>
internal static class VoiceHeader
{
    /// <summary>Sets it; a name with other characters than a header may have is percent-encoded.</summary>
    public static void Set(IHeaderDictionary headers, string voice) => headers["X-Chatterbox-Voice"] = Uri.EscapeDataString(voice);
}
