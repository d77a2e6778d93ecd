using System.Text.Json;
using Chatterbox.Engine;
using Chatterbox.Service.Hosting;
using Chatterbox.Service.OpenAi;
using Microsoft.Extensions.Options;

namespace Chatterbox.Service.Jobs;

/// <summary>
/// The jobs and their folder. A job is a folder of its own, which appears whole: its plan, a copy of its voice, a file for each piece that
/// is
/// generated, the record of where it stands, and its result. Each of these files appears whole or not at all, so that a process that is
/// killed loses only the piece that it was generating.
/// </summary>
internal sealed class JobStore
{
    private const string PlanFile = "plan.json";
    private const string RecordFile = "record.json";
    private const string TemporaryMark = ".tmp-";

    private readonly Lock _gate = new();
    private readonly Dictionary<string, AudioJob> _jobs = [];
    private readonly JobOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger<JobStore> _logger;
    private readonly string _root;

    /// <exception cref="SettingException">The folder cannot be used.</exception>
    public JobStore(
        IOptions<JobOptions> options,
        IOptions<ServiceOptions> service,
        ServiceMetrics metrics,
        TimeProvider time,
        ILogger<JobStore> logger
    )
    {
        (_options, _time, _logger) = (options.Value, time, logger);
        _root = Path.GetFullPath(options.Value.Folder is { Length: > 0 } set ? set : Path.Combine(service.Value.AudioFolder, ".jobs"));
        Keep = _options.KeepHours > 0 ? TimeSpan.FromHours(_options.KeepHours) : null;
        metrics.ObserveJobs(CountByState);
        if (Directory.Exists(_root))
        {
            Load();
        }
    }

    /// <summary>How long a job is kept after its end; null for ever.</summary>
    public TimeSpan? Keep { get; }

    /// <summary>Every job.</summary>
    public IReadOnlyList<AudioJob> All
    {
        get
        {
            lock (_gate)
            {
                return [.. _jobs.Values];
            }
        }
    }

    /// <summary>A job that its owner asks for; null where there is none.</summary>
    public AudioJob? Find(string id, string owner)
    {
        lock (_gate)
        {
            return _jobs.TryGetValue(id, out var job) && Sees(owner, job) ? job : null;
        }
    }

    /// <summary>Whether a client sees a job: its own; every one where there are no keys.</summary>
    public static bool Sees(string owner, AudioJob job) => owner.Length == 0 || job.Plan.Owner == owner;

    /// <summary>Refuses one job too many, and makes room for another by deleting the oldest that are done.</summary>
    /// <param name="client">Who asks.</param>
    /// <exception cref="RefusedException">There is no room.</exception>
    public void MakeRoomForOne(string client)
    {
        var unfinished = All.Where(job => job.Record.State != JobState.Done).ToList();
        if (!FairShare.Allows(_options.MaxJobs, unfinished.Count, unfinished.Count(job => job.Plan.Client == client)))
        {
            throw new RefusedException(
                new Refusal(
                    StatusCodes.Status429TooManyRequests,
                    $"There are {unfinished.Count} unfinished jobs, {unfinished.Count(job => job.Plan.Client == client)} of them yours; "
                        + $"Jobs:MaxJobs is {_options.MaxJobs}. Wait for some, or delete some.",
                    Code: "too_many_jobs",
                    RetryAfter: TimeSpan.FromMinutes(1)
                )
            );
        }

        foreach (var old in Finished().SkipLast(_options.MaxJobs - unfinished.Count - 1))
        {
            Delete(old);
        }
    }

    /// <summary>Makes room for bytes, by deleting the oldest jobs that are done.</summary>
    /// <exception cref="RefusedException">There is none.</exception>
    public void MakeRoomFor(long bytes)
    {
        var needed = All.Sum(job => job.Bytes) + bytes - _options.MaxBytes;
        foreach (var old in needed > 0 ? Finished() : [])
        {
            if (needed <= 0)
            {
                break;
            }

            needed -= old.Bytes;
            Delete(old);
        }

        if (needed > 0)
        {
            throw new RefusedException(
                new Refusal(
                    StatusCodes.Status507InsufficientStorage,
                    $"The jobs of this service have all the room that they may have ({_options.MaxBytes} bytes, Jobs:MaxBytes). Delete "
                        + $"some, then resume this one.",
                    Code: "disk_full"
                )
            );
        }
    }

    /// <summary>Creates a job.</summary>
    /// <param name="plan">What it is to do.</param>
    /// <param name="voice">Writes the file of its voice; null where it has none.</param>
    public async Task<AudioJob> CreateAsync(JobPlan plan, Func<string, Task>? voice)
    {
        var temporary = Directory.CreateDirectory(Path.Combine(_root, TemporaryMark + plan.Id)).FullName;
        var folder = Path.Combine(_root, plan.Id);
        var record = new JobRecord(JobState.Active, plan.CreatedAt);
        try
        {
            await File.WriteAllBytesAsync(Path.Combine(temporary, PlanFile), JsonSerializer.SerializeToUtf8Bytes(plan, Json.Of<JobPlan>()));
            await File.WriteAllBytesAsync(
                Path.Combine(temporary, RecordFile),
                JsonSerializer.SerializeToUtf8Bytes(record, Json.Of<JobRecord>())
            );
            if (voice is not null)
            {
                await voice(Path.Combine(temporary, plan.VoiceFile!));
            }

            Directory.Move(temporary, folder);
        }
        catch
        {
            Directory.Delete(temporary, recursive: true);
            throw;
        }

        var job = new AudioJob(plan, folder, record);
        lock (_gate)
        {
            _jobs[plan.Id] = job;
        }

        return job;
    }

    /// <summary>Changes where a job stands, and keeps that.</summary>
    public async Task SetAsync(AudioJob job, JobState state, OpenAiError? error = null)
    {
        var record = new JobRecord(state, _time.GetUtcNow(), error);
        try
        {
            await WholeFile.WriteAsync(
                Path.Combine(job.Folder, RecordFile),
                part => File.WriteAllBytesAsync(part, JsonSerializer.SerializeToUtf8Bytes(record, Json.Of<JobRecord>())),
                (part, path) => File.Move(part, path, overwrite: true)
            );
        }
        catch (Exception e) when (error is not null && e is IOException or UnauthorizedAccessException)
        {
            _logger.LogWarning(e, "Job {Job} has failed, which cannot be kept: it is tried again after a restart", job.Plan.Id);
        }

        job.Set(record);
    }

    /// <summary>Deletes a job with all that it has.</summary>
    public void Delete(AudioJob job)
    {
        lock (_gate)
        {
            if (!_jobs.Remove(job.Plan.Id))
            {
                return;
            }
        }

        job.Remove();
        var leaving = Path.Combine(_root, TemporaryMark + job.Plan.Id);
        try
        {
            Directory.Move(job.Folder, leaving); // gone at once, also where the process is killed meanwhile
            Directory.Delete(leaving, recursive: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _logger.LogWarning(e, "The files of job {Job} cannot be deleted", job.Plan.Id);
        }
    }

    /// <summary>Deletes the pieces of a job whose result is written.</summary>
    public static void DeletePieces(AudioJob job)
    {
        for (var piece = 0; piece < job.Plan.Pieces.Count; piece++)
        {
            File.Delete(job.PathOf(piece));
        }

        job.Measure();
    }

    /// <summary>Deletes the jobs whose time is over.</summary>
    public void Sweep()
    {
        var now = _time.GetUtcNow();
        foreach (var job in All.Where(job => job.Record is { State: not JobState.Active } record && record.Changed + Keep < now))
        {
            Delete(job);
        }
    }

    private IEnumerable<AudioJob> Finished() => All.Where(job => job.Record.State == JobState.Done).OrderBy(job => job.Record.Changed);

    private IEnumerable<KeyValuePair<string, int>> CountByState() =>
        All.GroupBy(job => job.Record.State).Select(jobs => KeyValuePair.Create(jobs.Key.ToString().ToLowerInvariant(), jobs.Count()));

    private void Load()
    {
        foreach (var folder in Directory.EnumerateDirectories(_root).ToList())
        {
            if (Path.GetFileName(folder).StartsWith(TemporaryMark, StringComparison.Ordinal))
            {
                Directory.Delete(folder, recursive: true); // not yet a job, or no longer
            }
            else if (Guid.TryParseExact(Path.GetFileName(folder), "N", out _))
            {
                Load(folder);
            }
        }
    }

    private void Load(string folder)
    {
        try
        {
            foreach (var half in new DirectoryInfo(folder).EnumerateFiles(".*"))
            {
                half.Delete(); // of the process before
            }

            var plan = JsonSerializer.Deserialize(File.ReadAllBytes(Path.Combine(folder, PlanFile)), Json.Of<JobPlan>())!;
            var record = JsonSerializer.Deserialize(File.ReadAllBytes(Path.Combine(folder, RecordFile)), Json.Of<JobRecord>())!;
            var job = new AudioJob(plan, folder, record);
            _jobs[plan.Id] = job;
            if (record.State == JobState.Done)
            {
                DeletePieces(job);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            _logger.LogError(e, "The job in {Folder} cannot be read and is left out. Delete the folder if it is of no use", folder);
        }
    }
}
