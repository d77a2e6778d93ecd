using System.Runtime.InteropServices;

namespace Chatterbox.Service.Hosting;

/// <summary>Makes sure that the folders of the service can be used before anything else is done.</summary>
internal sealed partial class ServiceFolders(ILogger<ServiceFolders> logger)
{
    /// <summary>A folder that can be used: the one that is set; or, where none was set and the default does not exist and
    /// cannot be created by this user, one in the user's own data, with a warning.</summary>
    /// <param name="key">Name of the setting, with its section.</param>
    /// <param name="folder">Its value.</param>
    /// <param name="byDefault">Its value unless set.</param>
    /// <param name="isWritten">Whether files are written to it.</param>
    /// <exception cref="SettingException">It cannot be used.</exception>
    public string Find(string key, string folder, string byDefault, bool isWritten)
    {
        try
        {
            Check(key, folder, isWritten);
            return folder;
        }
        catch (SettingException e) when (folder == byDefault && !Directory.Exists(folder))
        {
            var data = Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData, Environment.SpecialFolderOption.Create);
            var own = Path.Combine(data, "chatterbox-net", Path.GetFileName(byDefault));
            Check(key, own, isWritten);
            logger.LogWarning("{Folder} is used instead. {Reason}", own, e.Message);
            return own;
        }
    }

    private static void Check(string key, string folder, bool isWritten)
    {
        try
        {
            Directory.CreateDirectory(folder);
            _ = Directory.GetFileSystemEntries(folder);
            if (isWritten)
            {
                var probe = Path.Combine(folder, $".{Path.GetRandomFileName()}");
                File.WriteAllBytes(probe, []);
                File.Delete(probe);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            var needed = isWritten ? "created and written to" : "created and read";
            throw new SettingException($"{key} is '{folder}', which cannot be {needed}: {e.Message} {Remedy(key, folder)}", e);
        }
    }

    /// <summary>What to do: a folder that exists lacks rights, as where a container's folder is one of the host's.</summary>
    private static string Remedy(string key, string folder) =>
        Directory.Exists(folder) && !OperatingSystem.IsWindows()
            ? $"Give this program's user the right to use it: 'sudo chown -R {UserId()} FOLDER', where FOLDER is {folder}, or in a "
                + $"container the "
                + "host's folder that is mounted there."
            : $"Set {key} (in the environment: {key.Replace(":", "__", StringComparison.Ordinal)}) to a folder that can.";

    [LibraryImport("libc", EntryPoint = "geteuid")]
    private static partial uint UserId();
}
