using Chatterbox.Service.Hosting;
using Chatterbox.Service.Streaming;
using Microsoft.Extensions.Options;

namespace Chatterbox.Service.Speak;

/// <summary>
/// The finished files: written whole, found by id, and kept within the bounds of the settings. Those unused
/// for longest are deleted first; other files in the folder are not touched.
/// </summary>
internal sealed class FinishedFiles(IOptions<ServiceOptions> options, TimeProvider time, ILogger<FinishedFiles> logger) : BackgroundService
{
    private const double KeptShare = 0.9; // of the bound, so that not every new file is a reason to look at all of them
    private static readonly TimeSpan BetweenSweeps = TimeSpan.FromMinutes(10);

    private readonly ServiceOptions _options = options.Value;
    private readonly Lock _sweeping = new();
    private long _bytes;

    /// <summary>Writes a file.</summary>
    /// <param name="samples">24 kHz, mono.</param>
    /// <param name="cancellationToken">Cancels; no file remains.</param>
    /// <returns>Its id.</returns>
    public async Task<string> Save(ReadOnlyMemory<float> samples, CancellationToken cancellationToken)
    {
        var id = Guid.NewGuid().ToString("N");
        var wav = WavFormat.File(samples.Span);
        await WholeFile.WriteAsync(PathOf(id)!, half => File.WriteAllBytesAsync(half, wav, cancellationToken), File.Move);
        if (Interlocked.Add(ref _bytes, wav.Length) > _options.MaxAudioBytes)
        {
            Sweep();
        }

        return id;
    }

    /// <summary>Opens a file, which then can be read to its end even if it has to go; null if it is not there.</summary>
    public FileStream? Open(string id)
    {
        if (PathOf(id) is not { } path || !File.Exists(path))
        {
            return null;
        }

        try
        {
            var file = new FileStream(
                path,
                FileMode.Open,
                FileAccess.Read,
                FileShare.ReadWrite | FileShare.Delete,
                1 << 16,
                useAsync: true
            );
            File.SetLastAccessTimeUtc(file.SafeFileHandle, time.GetUtcNow().UtcDateTime);
            return file;
        }
        catch (FileNotFoundException)
        {
            return null; // it has just gone
        }
    }

    /// <summary>Deletes what is beyond the bounds.</summary>
    public void Sweep()
    {
        try
        {
            lock (_sweeping)
            {
                Interlocked.Exchange(ref _bytes, KeepWithin(time.GetUtcNow().UtcDateTime));
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            logger.LogWarning(e, "The finished files in {Folder} cannot be listed", _options.AudioFolder);
        }
    }

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(BetweenSweeps, time);
        do
        {
            await Task.Run(Sweep, stoppingToken);
        } while (await timer.WaitForNextTickAsync(stoppingToken));
    }

    private static bool IsId(string id) => Guid.TryParseExact(id, "N", out _);

    private string? PathOf(string id) => IsId(id) ? Path.Combine(_options.AudioFolder, $"{id.ToLowerInvariant()}.wav") : null;

    /// <returns>Bytes of the files that are kept.</returns>
    private long KeepWithin(DateTime now)
    {
        WholeFile.Sweep(_options.AudioFolder, now);
        var finished = new DirectoryInfo(_options.AudioFolder)
            .GetFiles()
            .Where(f => f.Extension == ".wav" && IsId(Path.GetFileNameWithoutExtension(f.Name)))
            .OrderByDescending(f => f.LastAccessTimeUtc)
            .ToList();
        var unused = _options.MaxAudioHours > 0 ? now.AddHours(-_options.MaxAudioHours) : DateTime.MinValue;
        var most =
            finished.Sum(f => f.Length) > _options.MaxAudioBytes ? (long)(KeptShare * _options.MaxAudioBytes) : _options.MaxAudioBytes;
        var (kept, deleted) = (0L, 0);
        foreach (var file in finished)
        {
            if (kept + file.Length <= most && file.LastAccessTimeUtc >= unused)
            {
                kept += file.Length;
                continue;
            }

            most = kept; // what was used before this one goes too
            deleted += Delete(file) ? 1 : 0;
        }

        if (deleted > 0)
        {
            logger.LogInformation("{Count} finished files were deleted, {Megabytes} MB are kept", deleted, kept >> 20);
        }

        return kept;
    }

    private bool Delete(FileInfo file)
    {
        try
        {
            file.Delete();
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            logger.LogWarning(e, "{File} cannot be deleted", file.FullName);
            return false;
        }
    }
}
