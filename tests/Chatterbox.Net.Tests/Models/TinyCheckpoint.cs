using Chatterbox.Models;

namespace Chatterbox.Tests.Models;

/// <summary>A tiny checkpoint, written once for the whole run.</summary>
internal static class TinyCheckpoint
{
    private static readonly Lazy<string> Written = new(() =>
    {
        var folder = Directory.CreateTempSubdirectory("chatterbox-tiny-").FullName;
        AppDomain.CurrentDomain.ProcessExit += (_, _) => Directory.Delete(folder, recursive: true);
        SyntheticCheckpoint.Write("tiny", folder);
        return folder;
    });

    /// <summary>Its folder; not to be changed.</summary>
    public static string Folder => Written.Value;

    /// <summary>A copy that a test may damage.</summary>
    public static string Copy()
    {
        var copy = Directory.CreateTempSubdirectory("chatterbox-tiny-copy-").FullName;
        foreach (var file in Directory.GetFiles(Folder))
        {
            File.Copy(file, Path.Combine(copy, Path.GetFileName(file)));
        }

        return copy;
    }
}
