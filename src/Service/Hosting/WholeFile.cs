namespace Chatterbox.Service.Hosting;

/// <summary>Files that appear whole or not at all: written under a name that nothing reads, and renamed once they are complete. A
/// process that is killed leaves a file of such a name, which is deleted later.</summary>
internal static class WholeFile
{
    private const string Ending = ".part";
    private static readonly TimeSpan LongestWriting = TimeSpan.FromHours(1);

    /// <summary>Writes a file.</summary>
    /// <param name="path">Its path; its folder exists.</param>
    /// <param name="write">Writes all of it to the path that it is given.</param>
    /// <param name="place">Gives it its name: from the first path to the second. It is not called where writing failed.</param>
    public static async Task WriteAsync(string path, Func<string, Task> write, Action<string, string> place)
    {
        var part = Path.Combine(Path.GetDirectoryName(path)!, $".{Guid.NewGuid():N}{Ending}");
        try
        {
            await write(part);
            place(part, path);
        }
        finally
        {
            File.Delete(part);
        }
    }

    /// <summary>Deletes the partial files of processes that were killed while they wrote. A file younger than an hour may still be
    /// written.</summary>
    /// <param name="folder">The folder; it may be missing.</param>
    /// <param name="now">The time.</param>
    public static void Sweep(string folder, DateTime now)
    {
        if (!Directory.Exists(folder))
        {
            return;
        }

        foreach (
            var part in new DirectoryInfo(folder)
                .EnumerateFiles(".*" + Ending)
                .Where(f => IsPart(f.Name) && f.LastWriteTimeUtc < now - LongestWriting)
        )
        {
            try
            {
                part.Delete();
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // Another process's, or gone already.
            }
        }
    }

    /// <summary>Whether a file is one that is being written, or was.</summary>
    public static bool IsPart(string name) =>
        name.StartsWith('.') && name.EndsWith(Ending, StringComparison.Ordinal) && Guid.TryParseExact(name[1..^Ending.Length], "N", out _);
}
