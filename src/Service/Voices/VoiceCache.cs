using System.Collections.Concurrent;
using System.Diagnostics;
using System.Security.Cryptography;
using Chatterbox.Audio;
using Chatterbox.Service.Hosting;
using Chatterbox.Service.Models;
using Chatterbox.Service.Recordings;
using Chatterbox.Voices;
using Microsoft.Extensions.Options;

namespace Chatterbox.Service.Voices;

/// <summary>How recordings and finished voices are read and written.</summary>
/// <param name="LoadRecording">Reads a recording of any kind, unless it is longer than the time given.</param>
/// <param name="LoadVoice">Reads a finished voice.</param>
/// <param name="SaveVoice">Writes one.</param>
internal sealed record VoiceFormats(
    Func<string, TimeSpan, AudioClip> LoadRecording,
    Func<string, Voice> LoadVoice,
    Action<string, Voice, VoiceInfo> SaveVoice
);

/// <summary>
/// Voices by the content of their files: what a model computes from a recording once is kept in memory and on disk, both
/// bounded, and those who ask for the same at the same time wait for one computation.
/// </summary>
internal sealed class VoiceCache(
    VoiceFormats formats,
    RecordingGate gate,
    IOptions<VoiceOptions> options,
    IOptions<ServiceOptions> service,
    ServiceMetrics metrics,
    ILogger<VoiceCache> logger
)
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, LinkedListNode<(string Key, Voice Voice)>> _byKey = [];
    private readonly LinkedList<(string Key, Voice Voice)> _byUse = new();
    private readonly Dictionary<string, Task<Voice>> _pending = [];
    private readonly ConcurrentDictionary<string, (long Length, DateTime Written, string Hash)> _hashes = new();

    /// <summary>The folder in which voices are kept; it may be missing.</summary>
    public string Folder { get; } =
        options.Value.CacheFolder is { Length: > 0 } set ? set : Path.Combine(service.Value.AudioFolder, ".voices");

    /// <summary>The voice of a file.</summary>
    /// <param name="entry">The file.</param>
    /// <param name="model">Who is to speak with it: another model makes another voice of the same recording.</param>
    /// <param name="client">Who asks.</param>
    /// <param name="cancellationToken">Stops waiting for it.</param>
    /// <exception cref="VoiceException">The file cannot become a voice.</exception>
    public async Task<Voice> GetAsync(VoiceEntry entry, FleetModel model, string client, CancellationToken cancellationToken)
    {
        var key = KeyOf(await HashOf(entry, cancellationToken), model);
        while (true)
        {
            Task<Voice> making;
            var isOwn = false;
            lock (_gate)
            {
                if (_byKey.TryGetValue(key, out var node))
                {
                    _byUse.Remove(node);
                    _byUse.AddFirst(node);
                    metrics.VoiceFound("memory");
                    return node.Value.Voice;
                }

                if (!_pending.TryGetValue(key, out making!))
                {
                    // Made for all who wait for it, so no one of them can cancel it.
                    isOwn = true;
                    _pending[key] = making = Task.Run(() => Make(entry, model, key, client), CancellationToken.None);
                }
            }

            try
            {
                return await making.WaitAsync(cancellationToken);
            }
            catch (EngineBusyException) when (!isOwn)
            {
                // Another client had its share of the queue; this one may have room.
            }
        }
    }

    /// <summary>Forgets what is known about a file that has changed or gone.</summary>
    public void Forget(string path) => _hashes.TryRemove(path, out _);

    private async Task<Voice> Make(VoiceEntry entry, FleetModel model, string key, string client)
    {
        Voice? made = null;
        try
        {
            made = entry.IsVoiceFile ? formats.LoadVoice(entry.Path) : await LoadOrCompute(entry, model, key, client);
            return made;
        }
        catch (VoiceException e) when (entry.WithoutPath(e.Message) is var message && message != e.Message)
        {
            throw new VoiceException(message, e);
        }
        finally
        {
            lock (_gate)
            {
                _pending.Remove(key);
                if (made is not null)
                {
                    Keep(key, made);
                }
            }
        }
    }

    private void Keep(string key, Voice voice)
    {
        _byKey[key] = _byUse.AddFirst((key, voice));
        while (_byUse.Count > options.Value.MaxInMemory)
        {
            _byKey.Remove(_byUse.Last!.Value.Key);
            _byUse.RemoveLast();
        }
    }

    private async Task<Voice> LoadOrCompute(VoiceEntry entry, FleetModel model, string key, string client)
    {
        var file = Path.Combine(Folder, key + VoiceFolder.VoiceFileExtension);
        if (options.Value.MaxOnDisk > 0 && File.Exists(file))
        {
            try
            {
                var kept = formats.LoadVoice(file);
                File.SetLastWriteTimeUtc(file, DateTime.UtcNow);
                metrics.VoiceFound("disk");
                return kept;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or ChatterboxException)
            {
                logger.LogWarning(e, "The cached voice {File} cannot be read and is computed again", file);
            }
        }

        metrics.VoiceFound("made");
        var started = Stopwatch.GetTimestamp();
        var recording = await gate.DecodeAsync(() => formats.LoadRecording(entry.Path, AudioFile.DefaultLongest), CancellationToken.None);
        var voice = await model.CreateVoiceAsync(recording, client);
        logger.LogInformation("Voice {Voice} was computed in {Seconds:0.00} s", entry.Id, Stopwatch.GetElapsedTime(started).TotalSeconds);
        if (options.Value.MaxOnDisk > 0)
        {
            SaveToDisk(
                file,
                voice,
                new VoiceInfo(entry.Id)
                {
                    Model = model.Name,
                    SourceHash = key.Split('-')[0],
                    Created = DateTimeOffset.UtcNow,
                }
            );
        }

        return voice;
    }

    private void SaveToDisk(string file, Voice voice, VoiceInfo info)
    {
        try
        {
            var folder = Directory.CreateDirectory(Folder);
            WholeFile.Sweep(Folder, DateTime.UtcNow);
            formats.SaveVoice(file, voice, info);
            foreach (
                var old in folder
                    .EnumerateFiles("*" + VoiceFolder.VoiceFileExtension)
                    .OrderByDescending(f => f.LastWriteTimeUtc)
                    .Skip(options.Value.MaxOnDisk)
            )
            {
                old.Delete();
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or VoiceException)
        {
            logger.LogWarning(e, "A voice could not be cached in {Folder}: it will be computed again after a restart", Folder);
        }
    }

    private static string KeyOf(string hash, FleetModel model) =>
        $"{hash}-{Convert.ToHexStringLower(SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(model.Name)))[..8]}";

    private async Task<string> HashOf(VoiceEntry entry, CancellationToken cancellationToken)
    {
        var file = new FileInfo(entry.Path);
        if (
            _hashes.TryGetValue(entry.Path, out var known)
            && file.Exists
            && known.Length == file.Length
            && known.Written == file.LastWriteTimeUtc
        )
        {
            return known.Hash;
        }

        try
        {
            await using var stream = new FileStream(
                entry.Path,
                FileMode.Open,
                FileAccess.Read,
                FileShare.ReadWrite | FileShare.Delete,
                1 << 16,
                useAsync: true
            );
            var hash = Convert.ToHexStringLower(await SHA256.HashDataAsync(stream, cancellationToken));
            _hashes[entry.Path] = (file.Length, file.LastWriteTimeUtc, hash);
            return hash;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new VoiceException($"The file of voice '{entry.Id}' cannot be read. Try again, or use another voice.", e);
        }
    }
}
