using System.Globalization;
using Chatterbox.Weights;

namespace Chatterbox.Tests.Parity;

/// <summary>One file recorded from the Python reference: inputs, outputs, and settings as metadata.</summary>
internal sealed class Fixture : IDisposable
{
    private readonly SafetensorsFile _file;
    private readonly Dictionary<string, Tensor> _read = [];

    private Fixture(string path)
    {
        Name = Path.GetFileNameWithoutExtension(path);
        _file = SafetensorsFile.Open(path);
    }

    /// <summary>Name with its set, such as <c>a-s3gen</c>.</summary>
    public string Name { get; }

    public IReadOnlyDictionary<string, string> Metadata => _file.Metadata;

    /// <summary>Names of the recorded tensors.</summary>
    public IEnumerable<string> Tensors => _file.Tensors.Keys;

    /// <summary>A recorded tensor, alive as long as the fixture.</summary>
    public Tensor this[string tensor] => _read.TryGetValue(tensor, out var value) ? value : _read[tensor] = _file.Read(tensor);

    public long Integer(string setting) => long.Parse(_file.Metadata[setting], CultureInfo.InvariantCulture);

    public double Number(string setting) => double.Parse(_file.Metadata[setting], CultureInfo.InvariantCulture);

    public static Fixture Open(string path) => new(path);

    public void Dispose()
    {
        foreach (var tensor in _read.Values)
        {
            tensor.Dispose();
        }

        _file.Dispose();
    }
}

/// <summary>Finds fixtures: the repository's own set and every folder of CHATTERBOX_PARITY_DIRS.</summary>
public static class Fixtures
{
    /// <summary>Folder of the repository's test data.</summary>
    public static string Root { get; } =
        typeof(Fixtures)
            .Assembly.GetCustomAttributes(typeof(System.Reflection.AssemblyMetadataAttribute), false)
            .Cast<System.Reflection.AssemblyMetadataAttribute>()
            .Single(a => a.Key == "Fixtures")
            .Value!;

    /// <summary>Paths of the fixtures whose name after the set's letter is <paramref name="name"/>, with an optional number behind
    /// it.</summary>
    public static TheoryData<string> All(string name)
    {
        var folders = Directory
            .GetDirectories(Path.Combine(Root, "parity"))
            .Concat((Environment.GetEnvironmentVariable("CHATTERBOX_PARITY_DIRS") ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries));
        var paths = folders
            .SelectMany(Directory.GetFiles)
            .Where(path => Matches(Path.GetFileNameWithoutExtension(path), name))
            .Order()
            .ToArray();
        Assert.NotEmpty(paths);
        return new TheoryData<string>(paths);
    }

    private static bool Matches(string file, string name)
    {
        var dash = file.IndexOf('-', StringComparison.Ordinal);
        var rest = dash < 0 ? file : file[(dash + 1)..];
        return rest == name || (rest.StartsWith(name + "-", StringComparison.Ordinal) && rest[(name.Length + 1)..].All(char.IsAsciiDigit));
    }
}
