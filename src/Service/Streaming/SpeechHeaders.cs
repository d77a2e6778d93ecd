using Chatterbox.Engine;

namespace Chatterbox.Service.Streaming;

/// <summary>What a response's headers report of its speech.</summary>
internal static class SpeechHeaders
{
    private const int MostCharacters = 100; // a header is no place for a text

    /// <summary>Reports repairs and unknown characters, as far as they are known.</summary>
    public static void Set(IHeaderDictionary headers, JoinedSpeech speech)
    {
        if (speech.Repairs.Count > 0)
        {
            headers["X-Chatterbox-Repairs"] = string.Join(", ", speech.Repairs);
        }

        if (speech.UnknownCharacters.Count > 0)
        {
            var codes = speech.UnknownCharacters.SelectMany(character => character.EnumerateRunes()).Distinct().Take(MostCharacters);
            headers["X-Chatterbox-Unknown-Characters"] = string.Join(", ", codes.Select(rune => $"U+{rune.Value:X4}"));
        }
    }
}
