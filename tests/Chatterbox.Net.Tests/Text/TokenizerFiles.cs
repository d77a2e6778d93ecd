using Chatterbox.Tests.Parity;
using Chatterbox.Text;
using Chatterbox.Text.Languages;

namespace Chatterbox.Tests.Text;

/// <summary>The tokenizer files of the family, each loaded once.</summary>
internal static class TokenizerFiles
{
    private static readonly Lazy<CangjieSpelling> Cangjie = new(() => CangjieSpelling.Load(CangjieText));

    private static readonly Lazy<TextTokenizer> LoadedEnglish = new(() => TextTokenizer.LoadEnglish(EnglishJson));
    private static readonly Lazy<TextTokenizer> LoadedMultilingual = new(() =>
        TextTokenizer.LoadMultilingual(MultilingualJson, Cangjie.Value)
    );
    private static readonly Lazy<TextTokenizer> LoadedTurbo = new(() => TextTokenizer.LoadTurbo(TurboFolder));

    public static string EnglishJson => Asset("tokenizer.json");

    public static string MultilingualJson => Asset("multilingual/grapheme_mtl_merged_expanded_v1.json");

    public static string OlderMultilingualJson => At("chatterbox-multilingual/v2/grapheme_mtl_merged_expanded_v1.json");

    public static string CangjieText => Asset("multilingual/Cangjie5_TC.txt");

    public static string TurboFolder => Asset("turbo");

    internal static TextTokenizer English => LoadedEnglish.Value;

    internal static TextTokenizer Multilingual => LoadedMultilingual.Value;

    internal static TextTokenizer Turbo => LoadedTurbo.Value;

    public static string At(string path) => Path.Combine(Fixtures.Root, "tokenizers", path);

    /// <summary>The one copy in the repository, which the library embeds.</summary>
    private static string Asset(string path) => Path.Combine(Fixtures.Root, "../../src/Chatterbox.Net/Models/Assets", path);
}
