using Chatterbox;
using Chatterbox.Voices;

namespace ConvertWeights;

/// <summary>Voices in either form: files of this library, and the Python package's <c>conds.pt</c>.</summary>
internal static class VoiceFiles
{
    /// <summary>Reads a voice of a model with these sizes.</summary>
    /// <exception cref="ChatterboxException">The file is missing, damaged, or no voice of such a model.</exception>
    public static (Voice Voice, VoiceInfo Info) Read(string path, ChatterboxConfig config) =>
        IsConds(path)
            ? (
                CondsFile.Read(path, config.T3.SpeakerSize, config.S3Gen.MelBands, config.S3Gen.XVectorSize),
                new VoiceInfo(Path.GetFileNameWithoutExtension(path))
            )
            : VoiceFile.Load(path);

    /// <summary>True for a file of torch.save, by its name.</summary>
    public static bool IsConds(string path) => !Path.GetExtension(path).Equals(".safetensors", StringComparison.OrdinalIgnoreCase);
}
