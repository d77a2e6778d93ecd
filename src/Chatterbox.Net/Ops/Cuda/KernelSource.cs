using System.Globalization;
using System.Text.RegularExpressions;

namespace Chatterbox.Ops.Cuda;

/// <summary>A source file of kernels, and what it shares with its host code: constants, which exist in C# alone and are passed to the
/// compiler, and the structures that C# types mirror, whose layouts the compiler checks (see <see cref="KernelLayout"/>).</summary>
/// <param name="file">Its name, such as ops.cu.</param>
/// <param name="constants">Names that the file uses without declaring them, and their values.</param>
internal sealed partial class KernelSource(string file, params (string Name, double Value)[] constants)
{
    /// <summary>Threads of a warp.</summary>
    public const int Lanes = 32;

    /// <summary>Numbers that a thread loads at once.</summary>
    public const int Vector = 8;

    private const string Folder = "Chatterbox.Ops.Cuda.Kernels.";

    private static readonly (string Name, double Value)[] Common = [("LANES", Lanes), ("VECTOR", Vector)];

    private static readonly Lazy<(string Name, string Text)[]> AllHeaders = new(() =>
        [
            .. typeof(KernelSource)
                .Assembly.GetManifestResourceNames()
                .Where(name => name.StartsWith(Folder, StringComparison.Ordinal) && name.EndsWith(".cuh", StringComparison.Ordinal))
                .Select(name => (name[Folder.Length..], Read(name[Folder.Length..]))),
        ]
    );

    /// <summary>Names and texts of the files that sources include.</summary>
    public static IReadOnlyList<(string Name, string Text)> Headers => AllHeaders.Value;

    /// <summary>Name of the file.</summary>
    public string File => file;

    /// <summary>The text as it was written.</summary>
    public string Text { get; } = Read(file);

    /// <summary>The text, followed by the checks of the structures that it shares.</summary>
    public string CheckedText => $"{Text}\n#line 1 \"structures of {file} in C#\"\n{KernelLayout.Preamble}{string.Concat(Checks)}";

    /// <summary>The source and what it includes.</summary>
    public IReadOnlyList<string> Files
    {
        get
        {
            var files = new List<string> { file };
            for (var i = 0; i < files.Count; i++)
            {
                var text = i == 0 ? Text : Headers.First(header => header.Name == files[i]).Text;
                files.AddRange(Include().Matches(text).Select(match => match.Groups[1].Value).Except(files));
            }

            return files;
        }
    }

    private IEnumerable<string> Checks => KernelLayout.Of(Files).Select(KernelLayout.Check);

    /// <summary>Options of the compiler that define the constants.</summary>
    /// <param name="sizes">Those that differ from model to model.</param>
    public IEnumerable<string> Defines(IEnumerable<(string Name, double Value)> sizes) =>
        Common.Concat(constants).Concat(sizes).Select(c => string.Create(CultureInfo.InvariantCulture, $"-D{c.Name}={c.Value}"));

    private static string Read(string file)
    {
        using var stream =
            typeof(KernelSource).Assembly.GetManifestResourceStream(Folder + file)
            ?? throw new ArgumentException($"There is no kernel source {file}.", nameof(file));
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }

    [GeneratedRegex("^#include \"(.+)\"", RegexOptions.Multiline)]
    private static partial Regex Include();
}
