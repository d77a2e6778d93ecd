using System.Globalization;
using Chatterbox.Models;
using Chatterbox.Service.Hosting;

namespace Chatterbox.Service.Diagnostics;

/// <summary>Checks the folders that the service reads and writes.</summary>
internal static class FolderChecks
{
    private const string Topic = "files";
    private const double GiB = 1L << 30;

    /// <summary>The folders of the settings, and the model's cache.</summary>
    /// <param name="service">Names the folders.</param>
    /// <param name="logging">The log of a folder that is used instead of another.</param>
    public static IEnumerable<Finding> Of(ServiceOptions service, ILoggerFactory logging)
    {
        var folders = new ServiceFolders(logging.CreateLogger<ServiceFolders>());
        var defaults = new ServiceOptions();
        yield return OfSetting(nameof(service.VoicesFolder), service.VoicesFolder, defaults.VoicesFolder, isWritten: false, folders);
        yield return OfSetting(nameof(service.AudioFolder), service.AudioFolder, defaults.AudioFolder, isWritten: true, folders);
        yield return OfCache(ModelHubOptions.FromEnvironment());
    }

    private static Finding OfSetting(string key, string folder, string byDefault, bool isWritten, ServiceFolders folders)
    {
        try
        {
            var used = folders.Find($"Service:{key}", folder, byDefault, isWritten);
            return used == folder
                ? new(Topic, key, Verdict.Ok, folder)
                : new(
                    Topic,
                    key,
                    Verdict.Note,
                    $"{used}, as {folder} cannot be used",
                    $"Set Service:{key} to a folder of your own to choose another."
                );
        }
        catch (SettingException e)
        {
            return new(Topic, key, Verdict.Fault, e.Message, $"Set Service:{key} to a folder that can be written to.");
        }
    }

    private static Finding OfCache(ModelHubOptions hub)
    {
        try
        {
            Directory.CreateDirectory(hub.CacheFolder);
            var probe = Path.Combine(hub.CacheFolder, $".{Path.GetRandomFileName()}");
            File.WriteAllBytes(probe, []);
            File.Delete(probe);
            var free = (new DriveInfo(hub.CacheFolder).AvailableFreeSpace / GiB).ToString("0.0", CultureInfo.InvariantCulture);
            return new(Topic, "model cache", Verdict.Ok, $"{hub.CacheFolder}, {free} GiB free");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            return new(
                Topic,
                "model cache",
                Verdict.Warning,
                $"{hub.CacheFolder} cannot be written to: {e.Message} Models that are in it are used, others cannot be downloaded.",
                "Set HF_HOME to a folder that can be written to."
            );
        }
    }
}
