namespace Chatterbox.Text.Languages;

/// <summary>What the multilingual model was trained to speak.</summary>
/// <remarks>
/// From SUPPORTED_LANGUAGES in mtl_tts.py. Chinese, Japanese and Korean have a spelling of their own in this folder. Hebrew
/// and Russian are spelled as they come, as in a plain install of the reference: its diacritics and stress marks come from
/// optional packages, and callers who have marked text send that. All others need lower-casing and decomposition only.
/// </remarks>
internal static class SupportedLanguages
{
    /// <summary>English names by ISO 639-1 code.</summary>
    public static IReadOnlyDictionary<string, string> Names { get; } =
        new SortedDictionary<string, string>(StringComparer.Ordinal)
        {
            ["ar"] = "Arabic",
            ["da"] = "Danish",
            ["de"] = "German",
            ["el"] = "Greek",
            ["en"] = "English",
            ["es"] = "Spanish",
            ["fi"] = "Finnish",
            ["fr"] = "French",
            ["he"] = "Hebrew",
            ["hi"] = "Hindi",
            ["it"] = "Italian",
            ["ja"] = "Japanese",
            ["ko"] = "Korean",
            ["ms"] = "Malay",
            ["nl"] = "Dutch",
            ["no"] = "Norwegian",
            ["pl"] = "Polish",
            ["pt"] = "Portuguese",
            ["ru"] = "Russian",
            ["sv"] = "Swedish",
            ["sw"] = "Swahili",
            ["tr"] = "Turkish",
            ["zh"] = "Chinese",
        };
}
