using System.Collections.Concurrent;
using Chatterbox.Service.Hosting;

namespace Chatterbox.Service.Voices;

/// <summary>Watches the folder: logs which voices are added, changed and removed, and removes old ones from the cache.</summary>
internal sealed class VoiceWatch(VoiceFolder folder, VoiceCache cache, ILogger<VoiceWatch> logger) : IHostedService, IDisposable
{
    private readonly ConcurrentDictionary<string, string> _unusable = new();
    private FileSystemWatcher? _watcher;

    /// <inheritdoc/>
    public Task StartAsync(CancellationToken cancellationToken)
    {
        try
        {
            _watcher = new FileSystemWatcher(folder.Root);
            _watcher.Created += (_, e) => OnChange(e, e.FullPath);
            _watcher.Changed += (_, e) => OnChange(e, e.FullPath);
            _watcher.Deleted += (_, e) => OnChange(e, e.FullPath);
            _watcher.Renamed += (_, e) => OnChange(e, e.OldFullPath);
            _watcher.EnableRaisingEvents = true;
        }
        catch (Exception e) when (e is IOException or ArgumentException)
        {
            // Each use of a voice compares the file's size and time as well.
            logger.LogWarning(
                e,
                "The folder of voices, {Folder}, cannot be watched; each use compares size and time of the file",
                folder.Root
            );
        }

        logger.LogInformation("{Count} voices in {Folder}", folder.All().Count, folder.Root);
        LogUnusable();
        return Task.CompletedTask;
    }

    /// <inheritdoc/>
    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public void Dispose() => _watcher?.Dispose();

    private void OnChange(FileSystemEventArgs change, string path)
    {
        cache.Forget(path);
        if (change.Name is null or ['.', ..])
        {
            return; // not a voice, or not yet
        }

        logger.LogInformation("Voice file {File}: {Change}", LogText.Escape(change.Name), change.ChangeType);
        if (change.ChangeType != WatcherChangeTypes.Created) // which is empty still
        {
            LogUnusable();
        }
    }

    /// <summary>Names what is skipped, each once for each reason.</summary>
    private void LogUnusable()
    {
        try
        {
            foreach (var (file, reason) in folder.Unusable())
            {
                if (!_unusable.TryGetValue(file, out var logged) || logged != reason)
                {
                    _unusable[file] = reason;
                    logger.LogWarning("{File} in the folder of voices is skipped: {Reason}", LogText.Escape(file), reason);
                }
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            logger.LogWarning(e, "The folder of voices, {Folder}, cannot be read", folder.Root);
        }
    }
}
