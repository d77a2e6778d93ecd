namespace Chatterbox.Service.Jobs;

/// <summary>A job in memory: which of its pieces are generated, being generated, and left. Every change wakes those who watch it.</summary>
internal sealed class AudioJob
{
    private readonly Lock _gate = new();
    private readonly SortedSet<int> _left;
    private readonly HashSet<int> _done = [];
    private TaskCompletionSource _changed = New();
    private CancellationTokenSource _stop = new();
    private JobRecord _record;
    private int _inHand;
    private bool _hasBegun;
    private bool _isRemoved;
    private bool _isWriting;
    private string? _waiting;
    private DateTimeOffset _notBefore;
    private long _samples;
    private long _resultBytes;

    /// <param name="plan">What it is to do.</param>
    /// <param name="folder">Its folder.</param>
    /// <param name="record">Where it stands.</param>
    public AudioJob(JobPlan plan, string folder, JobRecord record)
    {
        (Plan, Folder, _record) = (plan, folder, record);
        _left = [.. Enumerable.Range(0, plan.Pieces.Count)];
        foreach (var piece in _left.Where(piece => File.Exists(PathOf(piece))).ToList())
        {
            _left.Remove(piece);
            _done.Add(piece);
            _samples += PieceFile.SamplesOf(PathOf(piece));
        }

        if (record.State == JobState.Done)
        {
            _done.UnionWith(_left);
            _left.Clear();
            _resultBytes = new FileInfo(ResultPath).Length;
        }

        Bytes = new DirectoryInfo(folder).EnumerateFiles().Sum(file => file.Length);
    }

    /// <summary>What it is to do.</summary>
    public JobPlan Plan { get; }

    /// <summary>Its folder.</summary>
    public string Folder { get; }

    /// <summary>The file of its result.</summary>
    public string ResultPath => Path.Combine(Folder, Plan.Format.FileName);

    /// <summary>Bytes of its files.</summary>
    public long Bytes { get; private set; }

    /// <summary>Where it stands, as it is kept.</summary>
    public JobRecord Record
    {
        get
        {
            lock (_gate)
            {
                return _record;
            }
        }
    }

    /// <summary>Set when it is paused or deleted: what is being generated for it is given up.</summary>
    public CancellationToken Stopped
    {
        get
        {
            lock (_gate)
            {
                return _stop.Token;
            }
        }
    }

    /// <summary>Whether it was deleted.</summary>
    public bool IsRemoved
    {
        get
        {
            lock (_gate)
            {
                return _isRemoved;
            }
        }
    }

    /// <summary>Completes with its next change.</summary>
    public Task Changed
    {
        get
        {
            lock (_gate)
            {
                return _changed.Task;
            }
        }
    }

    /// <summary>The file of a piece.</summary>
    public string PathOf(int piece) => Path.Combine(Folder, PieceFile.NameOf(piece));

    /// <summary>Whether a piece can be generated now, or the result written.</summary>
    public bool HasWork(DateTimeOffset now)
    {
        lock (_gate)
        {
            return !_isRemoved && _record.State == JobState.Active && !_isWriting && now >= _notBefore && (_left.Count > 0 || _inHand == 0);
        }
    }

    /// <summary>Takes what comes next: a piece, or null for the result.</summary>
    public int? Take()
    {
        lock (_gate)
        {
            _hasBegun = true;
            int? piece = _left.Count > 0 ? _left.Min : null;
            if (piece is { } next)
            {
                _left.Remove(next);
                _inHand++;
            }
            else
            {
                _isWriting = true;
            }

            Tell();
            return piece;
        }
    }

    /// <summary>What was taken is not done: it is taken again later.</summary>
    /// <param name="piece">The piece, or null for the result.</param>
    public void PutBack(int? piece)
    {
        lock (_gate)
        {
            if (piece is { } again)
            {
                _left.Add(again);
                _inHand--;
            }
            else
            {
                _isWriting = false;
            }

            Tell();
        }
    }

    /// <summary>A piece has been generated and kept.</summary>
    public void Finish(int piece, long samples)
    {
        lock (_gate)
        {
            _inHand--;
            _done.Add(piece);
            _samples += samples;
            Bytes += PieceFile.BytesOf(samples);
            (_waiting, _notBefore) = (null, default);
            Tell();
        }
    }

    /// <summary>It cannot continue before a time.</summary>
    public void WaitUntil(DateTimeOffset time, string reason)
    {
        lock (_gate)
        {
            (_waiting, _notBefore) = (reason, time);
            Tell();
        }
    }

    /// <summary>Changes where it stands. Where it is paused, what is being generated for it is given up.</summary>
    public void Set(JobRecord record)
    {
        CancellationTokenSource? stopped = null;
        lock (_gate)
        {
            _record = record;
            (_waiting, _notBefore) = (null, default);
            if (record.State == JobState.Paused)
            {
                (stopped, _stop) = (_stop, new CancellationTokenSource());
            }
            else if (record.State == JobState.Done)
            {
                _isWriting = false;
                _resultBytes = new FileInfo(ResultPath).Length;
            }

            Tell();
        }

        stopped?.Cancel();
    }

    /// <summary>Counts its files again.</summary>
    public void Measure()
    {
        var bytes = new DirectoryInfo(Folder).EnumerateFiles().Sum(file => file.Length);
        lock (_gate)
        {
            Bytes = bytes;
        }
    }

    /// <summary>It has been deleted.</summary>
    public void Remove()
    {
        CancellationTokenSource stopped;
        lock (_gate)
        {
            (_isRemoved, stopped) = (true, _stop);
            Tell();
        }

        stopped.Cancel();
    }

    /// <summary>It as clients see it.</summary>
    /// <param name="keep">How long it is kept after its end; null for ever.</param>
    public Job Describe(TimeSpan? keep)
    {
        lock (_gate)
        {
            var isDone = _record.State == JobState.Done;
            return new Job(
                Plan.Id,
                "audio.job",
                _isRemoved ? "deleted"
                    : _record.State != JobState.Active ? _record.State.ToString().ToLowerInvariant()
                    : _hasBegun ? "running"
                    : "queued",
                Plan.Book.Title,
                Plan.Model,
                Plan.Speech.Voice.Name,
                Plan.Format.Name,
                Plan.Speech.Seed!.Value,
                Plan.CreatedAt.ToUnixTimeSeconds(),
                _record.State != JobState.Active && keep is { } time ? (_record.Changed + time).ToUnixTimeSeconds() : null,
                _done.Count,
                Plan.Pieces.Count,
                Math.Round(_samples / (double)SpeechResult.SampleRate, 2),
                [
                    .. Plan.Book.Chapters.Select(chapter => new JobChapter(
                        chapter.Title,
                        Enumerable.Range(chapter.FirstPiece, chapter.Plan.Pieces.Count).Count(_done.Contains),
                        chapter.Plan.Pieces.Count
                    )),
                ],
                _waiting,
                _record.Error,
                isDone ? new JobFile($"/v1/audio/jobs/{Plan.Id}/result", Plan.Format.ContentType, _resultBytes) : null
            );
        }
    }

    private static TaskCompletionSource New() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private void Tell()
    {
        var changed = _changed;
        _changed = New();
        changed.SetResult();
    }
}
