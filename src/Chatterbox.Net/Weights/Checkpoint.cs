using Chatterbox.Voices;

namespace Chatterbox.Weights;

/// <summary>A folder with a model's files: what it holds is decided and checked before anything is loaded.</summary>
internal sealed class Checkpoint
{
    private readonly string _folder;

    private Checkpoint(string folder, ChatterboxConfig config, string watermark)
    {
        _folder = folder;
        Config = config;
        WatermarkPath = watermark;
    }

    /// <summary>The variant that the folder holds.</summary>
    public ChatterboxConfig Config { get; }

    /// <summary>Path of the text tokenizer's first file.</summary>
    public string TokenizerPath => Path.Combine(_folder, Config.Files.Tokenizer[0]);

    /// <summary>Paths of every file that text is encoded by.</summary>
    public IEnumerable<string> TextPaths =>
        Config.Files.Tokenizer.Select(file => Path.Combine(_folder, file)).Concat(CangjiePath is { } table ? [table] : []);

    /// <summary>Path of the table that Chinese is spelled by, or null.</summary>
    public string? CangjiePath => Find(_folder, Config.Files.Cangjie);

    /// <summary>Finds out what a folder holds and that nothing is missing.</summary>
    /// <param name="folder">Folder with the files of one model, or of several.</param>
    /// <param name="variant">Name of the variant that is wanted; null takes the first that is there.</param>
    /// <param name="watermarkFile">The watermark's weights, where they are not in the folder.</param>
    /// <exception cref="CheckpointException">There is no such folder or variant, or files are missing: names all of them.</exception>
    public static Checkpoint Open(string folder, string? variant = null, string? watermarkFile = null)
    {
        var config = VariantOf(folder, variant);
        var missing = Missing(folder, config).ToList();
        var watermark = watermarkFile ?? Find(folder, config.Files.Watermark);
        if (watermark is null)
        {
            missing.Add(AnyOf(config.Files.Watermark));
        }

        return missing.Count == 0
            ? new Checkpoint(folder, config, watermark!)
            : throw new CheckpointException(
                $"{folder} lacks {string.Join(", ", missing)} of the {config.Name} model. Download the model again, or give the folder "
                    + $"that holds all of its files."
            );
    }

    /// <summary>The variant that a folder holds, as its config.json states it or its files tell.</summary>
    /// <param name="folder">Folder with the files of one model, or of several.</param>
    /// <param name="variant">Name of the variant that is wanted; null takes the first that is there.</param>
    /// <exception cref="CheckpointException">There is no such folder or variant.</exception>
    public static ChatterboxConfig VariantOf(string folder, string? variant = null)
    {
        if (!Directory.Exists(folder))
        {
            throw new CheckpointException(
                $"{folder} is not a folder. Give the folder that holds {ChatterboxConfig.English.Files.T3[0]} and its companions."
            );
        }

        if (variant is not null && ChatterboxConfig.Published.All(config => config.Name != variant))
        {
            throw new CheckpointException(
                $"There is no variant '{variant}'. Choose one of "
                    + $"{string.Join(", ", ChatterboxConfig.Published.Select(config => config.Name))}, or none to take what the "
                    + $"folder holds."
            );
        }

        var stated = Path.Combine(folder, ChatterboxConfig.FileName);
        return variant is null && File.Exists(stated)
            ? ChatterboxConfig.Load(stated)
            : ChatterboxConfig
                .Published.Where(config => variant is null || config.Name == variant)
                .MinBy(config => (Find(folder, config.Files.T3) is null, Missing(folder, config).Count()))!;
    }

    /// <summary>Weights of T3.</summary>
    public string T3Path => PathOf(Config.Files.T3);

    /// <summary>Weights of S3Gen, HiFT, the S3 tokenizer and CAM++.</summary>
    public string S3GenPath => PathOf(Config.Files.S3Gen);

    /// <summary>Weights of the voice encoder.</summary>
    public string SpeakerEncoderPath => PathOf(Config.Files.SpeakerEncoder);

    /// <summary>Weights of the watermark.</summary>
    public string WatermarkPath { get; }

    /// <summary>Opens a file of weights, of either format.</summary>
    /// <exception cref="CheckpointException">The file is damaged.</exception>
    public static ITensorSource OpenFile(string path) =>
        Path.GetExtension(path) == ".safetensors" ? SafetensorsFile.Open(path) : TorchFile.Open(path);

    /// <summary>The voice that comes with the model, or null.</summary>
    public Voice? ReadVoice()
    {
        var path = Find(_folder, Config.Files.Voice);
        return path is null ? null
            : Path.GetExtension(path) == ".pt"
                ? CondsFile.Read(path, Config.T3.SpeakerSize, Config.S3Gen.MelBands, Config.S3Gen.XVectorSize)
            : VoiceFile.Load(path).Voice;
    }

    /// <summary>What a folder lacks of a variant, but for the watermark, which may lie elsewhere.</summary>
    private static IEnumerable<string> Missing(string folder, ChatterboxConfig config) =>
        new[] { config.Files.T3, config.Files.S3Gen, config.Files.SpeakerEncoder }
            .Concat(config.Files.Tokenizer.Select(file => new[] { file }))
            .Where(names => Find(folder, names) is null)
            .Select(AnyOf);

    private static string? Find(string folder, IEnumerable<string> names) =>
        names.Select(name => Path.Combine(folder, name)).FirstOrDefault(File.Exists);

    private static string AnyOf(IReadOnlyList<string> names) => string.Join(" or ", names);

    private string PathOf(IReadOnlyList<string> names) => Find(_folder, names) ?? Path.Combine(_folder, names[0]);
}
