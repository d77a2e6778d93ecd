using Chatterbox;
using Chatterbox.Models;
using Chatterbox.Ops;
using Chatterbox.T3;
using Chatterbox.Text;
using Chatterbox.Voices;
using Chatterbox.Watermark;
using Chatterbox.Weights;
using static TorchSharp.torch;

namespace ConvertWeights;

/// <summary>A file of weights, by what it is for.</summary>
internal enum Part
{
    /// <summary>PerTh.</summary>
    Watermark,

    /// <summary>The voice encoder, ve.</summary>
    SpeakerEncoder,

    /// <summary>S3Gen, HiFT, the S3 tokenizer and CAM++.</summary>
    S3Gen,

    /// <summary>Text tokens to speech tokens.</summary>
    T3,
}

/// <summary>One model of the family: its sizes, and the names under which its files are published.</summary>
/// <param name="Config">Sizes, and the names of files as <c>convert</c> writes them.</param>
/// <param name="Names">Names of each part's file, the best first.</param>
internal sealed record Variant(ChatterboxConfig Config, IReadOnlyDictionary<Part, string[]> Names)
{
    /// <summary>The published models; those of one T3 are one.</summary>
    public static IReadOnlyList<Variant> Published { get; } =
    [
        Of(ChatterboxConfig.English),
        Of(ChatterboxConfig.Multilingual),
        Of(ChatterboxConfig.Turbo),
        Of(ChatterboxConfig.Nano),
        Of(ChatterboxConfig.Flash),
    ];

    /// <summary>How to get the model's files.</summary>
    public string Remedy =>
        DownloadCommand.Knows(Config.Name) ? $"Download the model again: convert-weights download {Config.Name}"
        : SyntheticCheckpoint.Models.Contains(Config.Name) ? $"Write the model again: convert-weights synthesize --model {Config.Name}"
        : "Take the file from where the model came from.";

    /// <summary>The model that a <c>config.json</c> describes.</summary>
    public static Variant Stated(ChatterboxConfig config) => Of(config, [config]);

    /// <summary>The published model that T3's weights are of, told by the size of its text table and, where several models
    /// have one size, by the file's name or else the size of its speech table; null if of none.</summary>
    public static Variant? OfT3(ITensorSource t3)
    {
        var sized = ChatterboxConfig
            .Published.Where(config => SizeOf("text_emb.weight") == (config.T3.TextVocabulary, config.T3.Backbone.HiddenSize))
            .ToList();
        if (sized.FirstOrDefault(config => config.Files.T3.Contains(t3.Name)) is { } named)
        {
            return Stated(named);
        }

        var alike =
            sized.FirstOrDefault(config => SizeOf("speech_emb.weight") == (config.T3.SpeechEmbeddings, config.T3.Backbone.HiddenSize))
            ?? sized.FirstOrDefault();
        return alike is null ? null : Published.First(variant => variant.Config.T3 == alike.T3);

        (long Rows, long Columns)? SizeOf(string table) =>
            t3.Tensors.GetValueOrDefault(table)?.Shape is [var rows, var columns] ? (rows, columns) : null;
    }

    /// <summary>The part that a file's tensors belong to, told by their names; null if to none.</summary>
    public static Part? PartOf(ITensorSource source)
    {
        bool Has(string prefix) => source.Tensors.Keys.Any(name => name.StartsWith(prefix, StringComparison.Ordinal));
        return Has("tfmr.") ? Part.T3
            : Has("flow.") && Has("mel2wav.") ? Part.S3Gen
            : Has("lstm.") && Has("proj.") ? Part.SpeakerEncoder
            : Has("encoder.layers.") && Has("decoder.slow_layers.") ? Part.Watermark
            : null;
    }

    /// <summary>Builds the networks that a part holds, so that they ask for every tensor that they need.</summary>
    public void Build(Part part, WeightScope root)
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var ops = TorchOps.Plain;
        switch (part)
        {
            case Part.T3:
                _ = new T3Model(Config.T3, root, ops);
                break;
            case Part.S3Gen:
                _ = new S3GenNetworks(Config, root, ops);
                break;
            case Part.SpeakerEncoder:
                _ = new SpeakerEncoder(Config.Voices.SpeakerEncoder, root);
                break;
            case Part.Watermark:
                _ = new PerthWatermarker(Config.Watermark, root);
                break;
        }
    }

    /// <summary>Asks a part's networks what they make of a file, by names and shapes alone.</summary>
    /// <param name="part">The part.</param>
    /// <param name="source">The file.</param>
    /// <param name="read">Names of the tensors that inference reads; the others are dead.</param>
    /// <returns>Every fault in one message, or null.</returns>
    public string? FaultsOf(Part part, ITensorSource source, out IReadOnlySet<string> read)
    {
        using var store = new WeightStore(new ShapesOnly(source), META);
        Build(part, store.Root);
        read = store.Asked.Keys.ToHashSet();
        return store.Faults();
    }

    /// <summary>Reads the text tokenizer for what is wrong with it.</summary>
    /// <exception cref="ChatterboxException">Its files are missing or damaged.</exception>
    public void CheckTokenizer(string path, string? cangjie) => TextFrontEnd.Load(Config.Text, Path.GetFullPath(path), cangjie);

    private static Variant Of(ChatterboxConfig config) =>
        Of(config, [.. ChatterboxConfig.Published.Where(published => published.T3 == config.T3)]);

    /// <param name="config">The variant.</param>
    /// <param name="published">The models of its sizes, whose files go by names of their own.</param>
    private static Variant Of(ChatterboxConfig config, IReadOnlyList<ChatterboxConfig> published) =>
        new(
            config,
            new Dictionary<Part, string[]>
            {
                [Part.T3] = [.. published.SelectMany(model => model.Files.T3).Distinct()],
                [Part.S3Gen] = [.. published.SelectMany(model => model.Files.S3Gen).Distinct()],
                [Part.SpeakerEncoder] = [.. config.Files.SpeakerEncoder],
                [Part.Watermark] = [.. config.Files.Watermark],
            }
        );

    /// <summary>A file's names, types and shapes without the elements: networks are built on it without the time and the
    /// memory that their weights would take.</summary>
    private sealed class ShapesOnly(ITensorSource source) : ITensorSource
    {
        public string Name => source.Name;

        public IReadOnlyDictionary<string, TensorInfo> Tensors => source.Tensors;

        public Tensor Read(string name) => empty(Tensors[name].Shape, Tensors[name].DType, META).DetachFromDisposeScope();

        public void Dispose()
        {
            // The file stays open: it is its owner's.
        }
    }
}

/// <summary>The files of one model, in a folder that may overlay another.</summary>
/// <param name="Variant">Which model.</param>
/// <param name="Folders">Where its files are; the first that has one counts.</param>
internal sealed record CheckpointFolder(Variant Variant, IReadOnlyList<string> Folders)
{
    /// <summary>Finds out which model a folder holds.</summary>
    /// <param name="folders">The folder, and those that it overlays.</param>
    /// <exception cref="CheckpointException">A folder is not there, or holds no model of the family.</exception>
    public static CheckpointFolder Open(IReadOnlyList<string> folders)
    {
        if (folders.FirstOrDefault(folder => !Directory.Exists(folder)) is { } missing)
        {
            throw new CheckpointException(
                $"{missing} is not a folder. Give the folder with {ChatterboxConfig.English.Files.T3[0]} and the other files of a model."
            );
        }

        if (folders.Select(folder => Path.Combine(folder, ChatterboxConfig.FileName)).FirstOrDefault(File.Exists) is { } stated)
        {
            return new CheckpointFolder(Variant.Stated(ChatterboxConfig.Load(stated)), folders);
        }

        var t3Names = Variant.Published.SelectMany(variant => variant.Names[Part.T3]).ToList();
        var path =
            folders.SelectMany(folder => t3Names.Select(name => Path.Combine(folder, name))).FirstOrDefault(File.Exists)
            ?? throw new CheckpointException(
                $"{folders[0]} holds no T3 of the family: there is none of {string.Join(", ", t3Names)}. Give the folder of a whole "
                    + $"model, or download one: convert-weights download english."
            );
        using var t3 = TensorFile.Open(path);
        var variant =
            Variant.OfT3(t3)
            ?? throw new CheckpointException(
                $"{path} is not a known T3: its text table 'text_emb.weight' has "
                    + $"{(t3.Tensors.GetValueOrDefault("text_emb.weight") is { } table ? $"shape [{string.Join(", ", table.Shape)}]" : "no such tensor")}, expected one of "
                    + $"{string.Join(", ", Variant.Published.Select(v => $"[{v.Config.T3.TextVocabulary}, {v.Config.T3.Backbone.HiddenSize}] ({v.Config.Name})"))}. Download the model again, in its present version."
            );
        return new CheckpointFolder(variant, folders);
    }

    /// <summary>The file of a part; null if there is none.</summary>
    public string? PathOf(Part part) => Find(Variant.Names[part]);

    /// <summary>A file by name; null if there is none.</summary>
    public string? PathOf(string name) => Find([name]);

    /// <summary>The table that Chinese is spelled by; null if there is none.</summary>
    public string? CangjiePath => Find(Variant.Config.Files.Cangjie);

    /// <summary>What the model can do less for want of a file that it can do without; null if nothing.</summary>
    public string? Lacks =>
        Variant.Config.Files.Cangjie.Count > 0 && CangjiePath is null
            ? $"There is no {string.Join(" or ", Variant.Config.Files.Cangjie)}: Chinese is refused."
            : null;

    /// <summary>The voice that comes with the model; null if there is none.</summary>
    public string? VoicePath => Find(Variant.Config.Files.Voice);

    /// <summary>PerTh's weights where <c>download</c> puts them; null if they are not there.</summary>
    public static string? DownloadedWatermark()
    {
        using var hub = new ModelHub(ModelHubOptions.FromEnvironment());
        return hub.TryFindPerth(out var file) ? file : null;
    }

    private string? Find(IReadOnlyList<string> names) =>
        Folders.SelectMany(folder => names.Select(name => Path.Combine(folder, name))).FirstOrDefault(File.Exists);
}
