using System.Text.RegularExpressions;

namespace Chatterbox.Models;

/// <summary>
/// One repository's folder in the hub's cache, laid out as the hub's Python library does: <c>blobs</c> holds each content
/// once, by its ETag; <c>snapshots/COMMIT</c> links the repository's file names to them; <c>refs/BRANCH</c> names a commit.
/// </summary>
/// <remarks>Ports the cache of huggingface_hub, file_download.py. Files come into being by renaming alone.</remarks>
internal sealed partial class HubCache(ModelHubOptions options, string repository)
{
    private static readonly TimeSpan LockPoll = TimeSpan.FromMilliseconds(200);

    private readonly string _name = "models--" + repository.Replace("/", "--", StringComparison.Ordinal);

    private string Root => Path.Combine(options.CacheFolder, _name);

    /// <summary>True if a revision is a commit, which never changes.</summary>
    public static bool IsCommit(string revision) => Commit().IsMatch(revision);

    /// <summary>True if a file's name is the SHA-256 of its content, as the names of large contents are.</summary>
    public static bool IsSha256(string name) => Sha256().IsMatch(name);

    /// <summary>Folder of a commit's files.</summary>
    public string Snapshot(string commit) => Path.Combine(Root, "snapshots", commit);

    /// <summary>Folders of every commit that the cache has files of.</summary>
    public IEnumerable<string> Snapshots()
    {
        var folder = Path.Combine(Root, "snapshots");
        return Directory.Exists(folder) ? Directory.GetDirectories(folder).Order(StringComparer.Ordinal) : [];
    }

    /// <summary>Place of a content, whether or not it is there.</summary>
    public string Blob(string etag) => Path.Combine(Root, "blobs", etag);

    /// <summary>Place of a content that has not come in whole. Not Python's name for it: its older versions take such a
    /// file's length for what is there of it, which downloads in parts would belie.</summary>
    public string Partial(string etag) => Blob(etag) + ".chatterbox.incomplete";

    /// <summary>The commit that a revision stood for when it was last asked for, or null.</summary>
    public string? CommitOf(string revision)
    {
        var file = Path.Combine(Root, "refs", revision);
        return IsCommit(revision) ? revision
            : File.Exists(file) && File.ReadAllText(file).Trim() is var commit && IsCommit(commit) ? commit
            : null;
    }

    /// <summary>Notes the commit that a branch or tag stands for.</summary>
    public void Remember(string revision, string commit)
    {
        if (!IsCommit(revision))
        {
            var file = Path.Combine(Root, "refs", revision);
            Directory.CreateDirectory(Path.GetDirectoryName(file)!);
            var fresh = $"{file}.{Guid.NewGuid():N}.tmp";
            File.WriteAllText(fresh, commit);
            File.Move(fresh, file, overwrite: true);
        }
    }

    /// <summary>
    /// True if a snapshot's file is there with its known size. Content is not read again, unless
    /// <paramref name="byHash"/> is set: then a link to a content of the known SHA-256 will do, and any other file is hashed.
    /// </summary>
    public static bool Holds(string snapshot, HubFile file, bool byHash)
    {
        var path = Path.Combine(snapshot, file.Path);
        if (!File.Exists(path))
        {
            return false;
        }

        var found = (FileInfo?)File.ResolveLinkTarget(path, returnFinalTarget: true) ?? new FileInfo(path);
        if ((file.Size ?? found.Length) != found.Length)
        {
            return false;
        }

        var named = IsSha256(found.Name) ? found.Name : null;
        return file.Sha256 is null || (named is null && !byHash) || (named ?? ContentHash.Sha256(found.FullName)) == file.Sha256;
    }

    /// <summary>Gives a snapshot's file the content of an ETag: by a link where there can be one.</summary>
    /// <param name="commit">Commit of the snapshot.</param>
    /// <param name="path">The file's path in the repository.</param>
    /// <param name="etag">Its content, which is there.</param>
    /// <param name="isNew">True if no other snapshot can be using the content, which may then be moved instead of copied.</param>
    public void Link(string commit, string path, string etag, bool isNew)
    {
        var file = Path.Combine(Snapshot(commit), path);
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        var fresh = $"{file}.{Guid.NewGuid():N}.tmp";
        if (!options.UseSymlinks || !TryLink(fresh, Path.GetRelativePath(Path.GetDirectoryName(file)!, Blob(etag))))
        {
            if (isNew)
            {
                File.Move(Blob(etag), fresh);
            }
            else
            {
                File.Copy(Blob(etag), fresh);
            }
        }

        File.Move(fresh, file, overwrite: true);
    }

    /// <summary>Waits until no other process downloads a content, as Python programs do too, and keeps them waiting then.</summary>
    /// <returns>Disposing it lets the others go on.</returns>
    public Task<IDisposable> LockAsync(string etag, CancellationToken cancellationToken) =>
        LockFileAsync(Path.Combine(options.CacheFolder, ".locks", _name, etag + ".lock"), options.Time, cancellationToken);

    /// <summary>Takes a lock file, waiting for as long as another process holds it.</summary>
    public static async Task<IDisposable> LockFileAsync(string path, TimeProvider time, CancellationToken cancellationToken)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        while (true)
        {
            try
            {
                return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            }
            catch (IOException e) when (IsLocked(e))
            {
                await Task.Delay(LockPoll, time, cancellationToken);
            }
        }
    }

    private static bool IsLocked(IOException e)
    {
        const int WindowsSharingViolation = unchecked((int)0x80070020),
            LinuxWouldBlock = 11,
            MacWouldBlock = 35;
        return e.HResult is WindowsSharingViolation or LinuxWouldBlock or MacWouldBlock;
    }

    private static bool TryLink(string link, string target)
    {
        try
        {
            File.CreateSymbolicLink(link, target);
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or PlatformNotSupportedException)
        {
            return false;
        }
    }

    [GeneratedRegex("^[0-9a-f]{40}$")]
    private static partial Regex Commit();

    [GeneratedRegex("^[0-9a-f]{64}$")]
    private static partial Regex Sha256();
}
