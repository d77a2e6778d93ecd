namespace Chatterbox.Models;

/// <summary>What a disk's refusal means.</summary>
public static class DiskErrors
{
    /// <summary>Whether a disk, or a user's share of it, has no room left.</summary>
    /// <param name="e">The error of a write.</param>
    public static bool IsFull(IOException e)
    {
        const int UnixNoSpace = 28,
            LinuxQuota = 122,
            WindowsDiskFull = unchecked((int)0x80070070),
            WindowsHandleDiskFull = unchecked((int)0x80070027);
        return e.HResult is UnixNoSpace or LinuxQuota or WindowsDiskFull or WindowsHandleDiskFull;
    }

    /// <summary>Runs a download, turning the disk's errors into ones that say what to do.</summary>
    /// <param name="folder">Where the download goes.</param>
    /// <param name="variable">The environment variable that chooses the folder.</param>
    /// <param name="download">The download.</param>
    internal static async Task<T> ExplainAsync<T>(string folder, string variable, Func<Task<T>> download)
    {
        try
        {
            return await download();
        }
        catch (IOException e) when (IsFull(e))
        {
            throw new UnavailableException(
                $"The disk of {folder} is full. Free some room, or set {variable} to a folder on another disk; what has been "
                    + $"downloaded is kept.",
                e
            );
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UnavailableException(
                $"{folder} cannot be written to: {e.Message} Give this user the right to, or set {variable} to another folder.",
                e
            );
        }
    }

    /// <summary>Asks for the room before the first byte is downloaded.</summary>
    internal static void ThrowIfFull(ModelHubOptions options, string folder, long bytes, string variable)
    {
        Directory.CreateDirectory(folder);
        var free = options.FreeBytes(folder);
        if (free < bytes)
        {
            throw new UnavailableException(
                $"The download needs {bytes / 1e6:0} MB in {folder}, and {free / 1e6:0} MB are free there. Free some room, or set "
                    + $"{variable} to a folder on another disk."
            );
        }
    }
}
