using System.CommandLine;
using System.Reflection;
using System.Text.Json;
using Chatterbox.Models;

namespace ConvertWeights.Tests;

/// <summary>What one run of the program said.</summary>
internal sealed record Said(int Code, string Output, string Error)
{
    public JsonElement Json => JsonDocument.Parse(Output).RootElement;
}

/// <summary>Runs command lines through the program's own entry, and keeps files for them.</summary>
internal sealed class Cli : IDisposable
{
    private static readonly Lazy<string> TinyFolder = new(() =>
    {
        var folder = Directory.CreateTempSubdirectory("tiny-").FullName;
        AppDomain.CurrentDomain.ProcessExit += (_, _) => Directory.Delete(folder, recursive: true);
        SyntheticCheckpoint.Write("tiny", folder);
        return folder;
    });

    /// <summary>The repository's test data.</summary>
    public static string Fixtures { get; } =
        typeof(Cli).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(a => a.Key == "Fixtures").Value!;

    /// <summary>A tiny checkpoint; not to be changed.</summary>
    public static string Tiny => TinyFolder.Value;

    /// <summary>A folder of its own.</summary>
    public string Folder { get; } = Directory.CreateTempSubdirectory("cli-").FullName;

    public static async Task<Said> RunAsync(params string[] args)
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        var code = await CommandLine.RunAsync(args, new InvocationConfiguration { Output = output, Error = error });
        return new Said(code, output.ToString(), error.ToString());
    }

    public string In(string name) => Path.Combine(Folder, name);

    /// <summary>A copy of <see cref="Tiny"/> that a test may damage.</summary>
    public string CopyOfTiny(string name = "copy")
    {
        var copy = Directory.CreateDirectory(In(name)).FullName;
        foreach (var file in Directory.GetFiles(Tiny))
        {
            File.Copy(file, Path.Combine(copy, Path.GetFileName(file)));
        }

        return copy;
    }

    public void Dispose() => Directory.Delete(Folder, recursive: true);
}
