using System.Collections.Concurrent;
using Chatterbox.Models;

namespace Chatterbox.Tests.Models;

/// <summary>Tiny checkpoints, each written once for the whole run.</summary>
internal static class TinyCheckpoint
{
    private static readonly ConcurrentDictionary<string, Lazy<string>> Written = new();

    /// <summary>The English one's folder; not to be changed.</summary>
    public static string Folder => FolderOf("tiny");

    /// <summary>The folder of one of them; not to be changed.</summary>
    public static string FolderOf(string model) =>
        Written
            .GetOrAdd(
                model,
                _ =>
                    new(() =>
                    {
                        var folder = Directory.CreateTempSubdirectory("chatterbox-tiny-").FullName;
                        AppDomain.CurrentDomain.ProcessExit += (_, _) => Directory.Delete(folder, recursive: true);
                        SyntheticCheckpoint.Write(model, folder);
                        return folder;
                    })
            )
            .Value;

    /// <summary>A copy that a test may damage.</summary>
    public static string Copy(string model = "tiny")
    {
        var copy = Directory.CreateTempSubdirectory("chatterbox-tiny-copy-").FullName;
        foreach (var file in Directory.GetFiles(FolderOf(model)))
        {
            File.Copy(file, Path.Combine(copy, Path.GetFileName(file)));
        }

        return copy;
    }
}
