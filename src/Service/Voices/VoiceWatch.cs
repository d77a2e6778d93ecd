namespace Chatterbox.Service.Voices;

/// <summary>Watches the folder: says in the log which voices come, change and go, and has the cache forget the old ones.</summary>
internal sealed class VoiceWatch(VoiceFolder folder, VoiceCache cache, ILogger<VoiceWatch> logger) : IHostedService, IDisposable
{
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
            logger.LogWarning(e, "The folder of voices, {Folder}, cannot be watched", folder.Root);
        }

        logger.LogInformation("{Count} voices in {Folder}", folder.All().Count, folder.Root);
        return Task.CompletedTask;
    }

    /// <inheritdoc/>
    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public void Dispose() => _watcher?.Dispose();

    private void OnChange(FileSystemEventArgs change, string path)
    {
        cache.Forget(path);
        logger.LogInformation("Voice file {File}: {Change}", change.Name, change.ChangeType);
    }
}
