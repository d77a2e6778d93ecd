using System.Globalization;
using Chatterbox;
using Chatterbox.Weights;

namespace ConvertWeights;

/// <summary>A file of tensors of either kind, told apart by its content.</summary>
internal static class TensorFile
{
    private static readonly string[] TorchExtensions = [".pt", ".pth", ".tar", ".bin", ".ckpt"];

    /// <summary>Opens a safetensors file, or a file of torch.save.</summary>
    /// <exception cref="CheckpointException">It is missing, damaged or neither.</exception>
    public static ITensorSource Open(string path) => IsTorch(path) ? TorchFile.Open(path) : SafetensorsFile.Open(path);

    /// <summary>The free-form strings of a file's header, and settings saved beside its tensors, by name.</summary>
    public static IReadOnlyDictionary<string, string> Notes(ITensorSource source) =>
        source switch
        {
            SafetensorsFile file => file.Metadata,
            TorchFile file => Settings(file.Root, "").ToDictionary(setting => setting.Name, setting => setting.Value),
            _ => new Dictionary<string, string>(),
        };

    private static bool IsTorch(string path)
    {
        Span<byte> head = stackalloc byte[2];
        if (File.Exists(path))
        {
            using var file = File.OpenRead(path);
            if (file.ReadAtLeast(head, head.Length, throwOnEndOfStream: false) == head.Length && head.SequenceEqual("PK"u8))
            {
                return true;
            }
        }

        return TorchExtensions.Contains(Path.GetExtension(path), StringComparer.OrdinalIgnoreCase);
    }

    private static IEnumerable<(string Name, string Value)> Settings(object? value, string name)
    {
        string Inside(object key) => (name.Length == 0 ? "" : name + ".") + Convert.ToString(key, CultureInfo.InvariantCulture);
        return value switch
        {
            StoredTensor => [],
            IReadOnlyDictionary<object, object?> dict => dict.SelectMany(item => Settings(item.Value, Inside(item.Key))),
            IReadOnlyList<object?> list => list.SelectMany((item, i) => Settings(item, Inside(i))),
            null => [(name, "None")],
            _ => [(name, Convert.ToString(value, CultureInfo.InvariantCulture)!)],
        };
    }
}
