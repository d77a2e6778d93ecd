using Chatterbox.Tests.Parity;
using Chatterbox.Text;
using Chatterbox.Text.Languages;

namespace Chatterbox.Tests.Text;

/// <summary>The tokenizer files of the family, each loaded once.</summary>
internal static class TokenizerFiles
{
    private static readonly Lazy<CangjieSpelling> Cangjie = new(() => CangjieSpelling.Load(CangjieText));

    private static readonly Lazy<TextTokenizer> LoadedEnglish = new(() => TextTokenizer.LoadEnglish(EnglishJson));
    private static readonly Lazy<TextTokenizer> LoadedMultilingual = new(() => TextTokenizer.LoadMultilingual(MultilingualJson, Cangjie.Value));
    private static readonly Lazy<TextTokenizer> LoadedTurbo = new(() => TextTokenizer.LoadTurbo(TurboFolder));

    /// <summary>The one copy in the repository, which the library embeds.</summary>
    public static string EnglishJson => Path.Combine(Fixtures.Root, "../../src/Chatterbox.Net/Models/Assets/tokenizer.json");

    public static string MultilingualJson => At("chatterbox-multilingual/grapheme_mtl_merged_expanded_v1.json");

    public static string OlderMultilingualJson => At("chatterbox-multilingual/v2/grapheme_mtl_merged_expanded_v1.json");

    public static string CangjieText => At("chatterbox-multilingual/cangjie/Cangjie5_TC-v3.2.txt");

    public static string TurboFolder => At("chatterbox-turbo");

    internal static TextTokenizer English => LoadedEnglish.Value;

    internal static TextTokenizer Multilingual => LoadedMultilingual.Value;

    internal static TextTokenizer Turbo => LoadedTurbo.Value;

    public static string At(string path) => Path.Combine(Fixtures.Root, "tokenizers", path);
}
