using Chatterbox.Voices;

namespace Chatterbox.Weights;

/// <summary>A folder with a model's files: what it holds is decided and checked before anything is loaded.</summary>
internal sealed class Checkpoint
{
    private readonly string _folder;
    private readonly string _watermark;

    private Checkpoint(string folder, ChatterboxConfig config, string watermark)
    {
        _folder = folder;
        Config = config;
        _watermark = watermark;
    }

    /// <summary>The variant that the folder holds.</summary>
    public ChatterboxConfig Config { get; }

    /// <summary>Path of the text tokenizer.</summary>
    public string TokenizerPath => PathOf(Config.Files.Tokenizer);

    /// <summary>Finds out what a folder holds and that nothing is missing.</summary>
    /// <param name="folder">Folder with the files of one model.</param>
    /// <param name="watermarkFile">The watermark's weights, where they are not in the folder.</param>
    /// <exception cref="CheckpointException">There is no such folder, or files are missing: names all of them.</exception>
    public static Checkpoint Open(string folder, string? watermarkFile = null)
    {
        if (!Directory.Exists(folder))
        {
            throw new CheckpointException($"{folder} is not a folder. Give the folder that holds {ChatterboxConfig.English.Files.T3} and its companions.");
        }

        var stated = Path.Combine(folder, ChatterboxConfig.FileName);
        var config = File.Exists(stated) ? ChatterboxConfig.Load(stated) : ChatterboxConfig.English;
        var files = config.Files;
        var missing = new[] { files.T3, files.S3Gen, files.SpeakerEncoder, files.Tokenizer }
            .Where(file => !File.Exists(Path.Combine(folder, file))).ToList();
        var watermark = watermarkFile ?? files.Watermark.Select(file => Path.Combine(folder, file)).FirstOrDefault(File.Exists);
        if (watermark is null)
        {
            missing.Add(string.Join(" or ", files.Watermark));
        }

        return missing.Count == 0
            ? new Checkpoint(folder, config, watermark!)
            : throw new CheckpointException(
                $"{folder} lacks {string.Join(", ", missing)} of the {config.Name} model. Download the model again, or give the folder that holds all of its files.");
    }

    /// <summary>Weights of T3.</summary>
    public WeightStore OpenT3(Device device, ScalarType dtype) => Open(PathOf(Config.Files.T3), device, dtype);

    /// <summary>Weights of S3Gen, HiFT, the S3 tokenizer and CAM++, in float32.</summary>
    public WeightStore OpenS3Gen(Device device) => Open(PathOf(Config.Files.S3Gen), device, ScalarType.Float32);

    /// <summary>Weights of the voice encoder, in float32.</summary>
    public WeightStore OpenSpeakerEncoder(Device device) => Open(PathOf(Config.Files.SpeakerEncoder), device, ScalarType.Float32);

    /// <summary>Weights of the watermark, in float32.</summary>
    public WeightStore OpenWatermark(Device device) => Open(_watermark, device, ScalarType.Float32);

    /// <summary>The voice that comes with the model, or null.</summary>
    public Voice? ReadVoice()
    {
        var path = Config.Files.Voice.Select(PathOf).FirstOrDefault(File.Exists);
        return path is null ? null
            : Path.GetExtension(path) == ".pt" ? CondsFile.Read(path, Config.T3.SpeakerSize, Config.S3Gen.MelBands, Config.S3Gen.XVectorSize)
            : VoiceFile.Load(path).Voice;
    }

    private static WeightStore Open(string path, Device device, ScalarType dtype) =>
        new(Path.GetExtension(path) == ".safetensors" ? SafetensorsFile.Open(path) : TorchFile.Open(path), device, dtype);

    private string PathOf(string file) => Path.Combine(_folder, file);
}
