namespace Chatterbox.Models;

/// <summary>One file of a model on the hub.</summary>
/// <param name="Path">Its path in the repository, with slashes.</param>
/// <param name="Size">Its size in bytes, if known beforehand.</param>
/// <param name="Sha256">SHA-256 of its content in lower-case hexadecimal, if known beforehand.</param>
public sealed record HubFile(string Path, long? Size = null, string? Sha256 = null);

/// <summary>The files of one model on the Hugging Face hub.</summary>
/// <remarks>
/// The published models are pinned to a revision whose file sizes and hashes are known; each loads the files that the
/// Python package loads for it, so that one cache serves both.
/// </remarks>
/// <param name="Repository">Owner and name, such as <c>ResembleAI/chatterbox</c>.</param>
/// <param name="Revision">A commit, branch or tag.</param>
/// <param name="Files">What is needed of it.</param>
public sealed record HubModel(string Repository, string Revision, IReadOnlyList<HubFile> Files)
{
    private const string ChatterboxRevision = "5bb1f6ee58e50c3b8d408bc82a6d3740c2db6e18";

    private static readonly HubFile VoiceEncoder = new(
        "ve.safetensors",
        5_695_784,
        "f0921cab452fa278bc25cd23ffd59d36f816d7dc5181dd1bef9751a7fb61f63c"
    );
    private static readonly HubFile Tokenizer = new(
        "tokenizer.json",
        25_470,
        "d71e3a44eabb1784df9a68e9f95b251ecbf1a7af6a9f50835856b2ca9d8c14a5"
    );
    private static readonly HubFile Voice = new("conds.pt", 107_374, "6552d70568833628ba019c6b03459e77fe71ca197d5c560cef9411bee9d87f4e");

    /// <summary>Chatterbox, English.</summary>
    public static HubModel English { get; } =
        new(
            "ResembleAI/chatterbox",
            ChatterboxRevision,
            [
                VoiceEncoder,
                new("t3_cfg.safetensors", 2_129_653_744, "914cb1696f47527fe8852ca8f1fe1fa63cb34f76f9c715e84e067b744dd0da81"),
                new("s3gen.safetensors", 1_056_484_620, "2b78103c654207393955e4900aac14a12de8ef25f4b09424f1ef91941f161d4e"),
                Tokenizer,
                Voice,
            ]
        );

    /// <summary>Chatterbox Multilingual, second version: the Python package's default.</summary>
    public static HubModel MultilingualV2 { get; } =
        Multilingual(new("t3_mtl23ls_v2.safetensors", 2_143_989_752, "b1237586127ce98e7800a68e49938eb5092846862aabcb6e17b2fda7889a6c75"));

    /// <summary>Chatterbox Multilingual, third version.</summary>
    public static HubModel MultilingualV3 { get; } =
        Multilingual(new("t3_mtl23ls_v3.safetensors", 2_143_989_928, "5abca8321ede76f8e61f1cc0d19aea6c946b28871017ce8726f8a69203f05953"));

    /// <summary>Chatterbox Turbo, English.</summary>
    public static HubModel Turbo { get; } =
        Gpt2(
            "ResembleAI/chatterbox-turbo",
            "749d1c1a46eb10492095d68fbcf55691ccf137cd",
            new("t3_turbo_v1.safetensors", 1_915_480_052, "fcf1f8c1d651bb7e3acd69ee5be269b4ac10c02980b7708213d598bc9f7cdf87")
        );

    /// <summary>Chatterbox Nano, English.</summary>
    public static HubModel Nano { get; } =
        Gpt2(
            "ResembleAI/chatterbox-nano",
            "71ccd1d0081b430592cea481f4307e764e07bc64",
            new("t3_nano_v1.safetensors", 869_899_204, "72b110185087d945dbdf54dee4e333848e1811bdd5fd6cb16ceb8da50006f0c9")
        );

    /// <summary>Chatterbox-Flash, English. It has no voice of its own.</summary>
    public static HubModel Flash { get; } =
        new(
            "ResembleAI/chatterbox-flash",
            "4385507288b8197e6dab8b4e6b1603328d549d9d",
            [
                new("ve.safetensors"), // of these three, the hub says size and hash
                new("t3_flash.safetensors"),
                new("s3gen.safetensors"),
                Tokenizer,
            ]
        );

    /// <summary>The same files at another revision, where only the hub knows their sizes and hashes.</summary>
    public HubModel At(string revision) => this with { Revision = revision, Files = [.. Files.Select(file => new HubFile(file.Path))] };

    private static HubModel Multilingual(HubFile t3) =>
        new(
            "ResembleAI/chatterbox",
            ChatterboxRevision,
            [
                new("ve.pt", 5_698_626, "4b16d836bc598509860f6fa068165a8bb5e9ac84f05582dfcf278a5a372879f1"),
                t3,
                new("s3gen.pt", 1_057_165_844, "9b9ff07e60b20c136e2b1b3d7563a24604e8d2c4c267888d1ee929dd0151d2a3"),
                new("grapheme_mtl_merged_expanded_v1.json", 69_989, "69632f47220a788a52ce2661d096453c5655e9bf25289d89a8d832c46ee07dbf"),
                new("Cangjie5_TC.json", 1_920_163, "7073fd9de919443ae88e0bd2449917a65fe54898a4413ed1edcc4b67f28bce8c"),
                Voice,
            ]
        );

    private static HubModel Gpt2(string repository, string revision, HubFile t3) =>
        new(
            repository,
            revision,
            [
                VoiceEncoder,
                t3,
                new("s3gen_meanflow.safetensors", 1_064_875_036, "d65cb687a2ed581ee6cc297e919ffefa63386944f42364ae13b78a594945514f"),
                new("vocab.json", 999_186, "f6bd25a65e4e63ca31360e9fb11c7e4f9a391a78385d640acd814092dd6eee4f"),
                new("merges.txt", 456_318, "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5"),
                new("added_tokens.json", 418, "72e4ab6acb0d9309ac3df4b526ae5fd80a2da5bc5ab7bb02d85096a374f69193"),
                new("special_tokens_map.json", 470, "92ba8063bf40aa163eadebbfe0de07c2aebe44cf0d4a9e8726580b0781fd2640"),
                new("tokenizer_config.json", 3_878, "bca16a2ac1ddbd78b8d6228f0031884cc74b6ea54b967d6f6d2ebae9ccde23e6"),
                new("conds.pt", 169_454, "b1852099306fd6a7814eb9d0bd10186caba7249596cc23868f78a0eefbfa5033"),
            ]
        );
}
