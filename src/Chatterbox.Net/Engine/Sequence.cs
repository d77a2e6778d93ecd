using System.Diagnostics;
using System.Threading.Channels;

namespace Chatterbox.Engine;

/// <summary>The state of one request: what of it is complete, what a model has open for it, its reader and its deadline.</summary>
/// <remarks>Used under the engine's lock, except <see cref="Work"/>, which belongs to the worker that has begun the request.</remarks>
internal sealed class Sequence : IDisposable
{
    private readonly Channel<SpeechEvent> _events = Channel.CreateUnbounded<SpeechEvent>(new() { SingleReader = true });
    private readonly TaskCompletionSource _begun = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CancellationTokenSource _deadline;
    private readonly CancellationTokenSource _ended;
    private readonly CancellationToken _caller;
    private readonly double _timeoutSeconds;
    private readonly TimeProvider _time;
    private readonly long _arrived;
    private readonly long _mostUnread;
    private readonly Action _readOn;
    private bool _isOver;
    private bool _isAbandoned;
    private long? _playedAll;
    private long _unread;

    /// <param name="request">The request.</param>
    /// <param name="options">Limits.</param>
    /// <param name="time">The clock.</param>
    /// <param name="readOn">Called when <see cref="IsAhead"/> has ended, as its reader has read on.</param>
    /// <param name="caller">Set when the caller leaves.</param>
    public Sequence(EngineRequest request, EngineOptions options, TimeProvider time, Action readOn, CancellationToken caller)
    {
        var timeoutSeconds = options.RequestTimeoutSeconds;
        _mostUnread = (long)(options.MaxUnreadSeconds * SpeechResult.SampleRate);
        _readOn = readOn;
        Request = request;
        _caller = caller;
        _time = time;
        _arrived = time.GetTimestamp();
        Trace = Activity.Current?.Context ?? default;
        _timeoutSeconds = timeoutSeconds;
        _deadline = new CancellationTokenSource(TimeSpan.FromSeconds(timeoutSeconds), time);
        _ended = CancellationTokenSource.CreateLinkedTokenSource(caller, _deadline.Token);
        Ended = _ended.Token;
    }

    public EngineRequest Request { get; }

    /// <summary>The trace of the caller.</summary>
    public ActivityContext Trace { get; }

    /// <summary>Time since it arrived.</summary>
    public TimeSpan Age => _time.GetElapsedTime(_arrived);

    /// <summary>Set when the caller leaves, the deadline passes or the engine gives the request up.</summary>
    public CancellationToken Ended { get; }

    /// <summary>Index of the next piece.</summary>
    public int Piece { get; private set; }

    public bool HasBegun { get; private set; }

    /// <summary>Completes when the request has begun, or will not.</summary>
    public Task Begun => _begun.Task;

    /// <summary>Characters left: the measure of the work.</summary>
    public int CharactersLeft => Enumerable.Range(Piece, Request.PieceCount - Piece).Sum(Request.CharactersOf);

    /// <summary>The worker that has it in hand, or has begun a piece of it.</summary>
    public ModelWorker? Worker { get; set; }

    /// <summary>What the worker has open of the piece; null where there is nothing yet.</summary>
    public OpenWork? Work { get; set; }

    /// <summary>Whether a chunk, a stretch or a job of it is being done.</summary>
    public bool IsInHand { get; set; }

    /// <summary>Why its speech tokens ended while a chunk was in hand; its next turn passes it on.</summary>
    public Exception? StepError { get; set; }

    /// <summary>Time stamp of the beginning of its turn.</summary>
    public long TurnBegan { get; set; }

    /// <summary>Time stamp of the moment since which a chunk, a stretch or a job of it is in hand.</summary>
    public long InHandSince { get; set; }

    /// <summary>How long its next turn takes: what is known of it, or as long as the last.</summary>
    public TimeSpan NextTurn { get; set; }

    /// <summary>The piece's first attempt, which went wrong; null before there is one.</summary>
    public FailedAttempt? FailedAttempt { get; set; }

    /// <summary>True where the listener plays chunks while others are being made.</summary>
    public bool IsStream => HasBegun && Request is SpeechRequest { Chunks: not null };

    /// <summary>Time until a listener of a stream has played all there is; negative where playback has stalled. Null where
    /// nothing is being played yet, or pieces come whole.</summary>
    public TimeSpan? PlaybackLeft => _playedAll is { } end ? _time.GetElapsedTime(_time.GetTimestamp(), end) : null;

    public IAsyncEnumerable<SpeechEvent> Events => ReadAsync();

    /// <summary>True while so much of its audio is unread that more would only take memory.</summary>
    private bool IsAhead => Interlocked.Read(ref _unread) > _mostUnread;

    private Stage NextStage =>
        Request is not SpeechRequest || StepError is not null ? Stage.Due
        : Work?.Utterance is not { } utterance ? Stage.Begin
        : utterance.IsDue ? Stage.Due
        : Stage.Steps;

    /// <summary>Where it stands for the scheduler.</summary>
    /// <param name="waitsForReader">Whether it pauses while more than <see cref="EngineOptions.MaxUnreadSeconds"/> of its audio is
    /// unread.</param>
    public Standing StandingFor(bool waitsForReader)
    {
        var stage =
            IsInHand ? Stage.InHand
            : Ended.IsCancellationRequested ? Stage.Ended
            : waitsForReader && IsAhead ? Stage.Paused
            : NextStage;
        var canStep = stage != Stage.Paused && (Work?.Utterance?.NeedsSteps ?? false);
        return new(stage, Worker, Work is not null, canStep, Request.IsBackground ? TimeSpan.MaxValue : PlaybackLeft, NextTurn);
    }

    /// <summary>Notes that a model has begun with it.</summary>
    public void Begin()
    {
        HasBegun = true;
        _begun.TrySetResult();
    }

    /// <summary>Hands over what happened to the piece.</summary>
    /// <returns>True if more follows; otherwise the request is over.</returns>
    public bool Advance(SpeechEvent last)
    {
        Interlocked.Add(ref _unread, SamplesOf(last));
        _events.Writer.TryWrite(last);
        if (IsStream && last is AudioChunk chunk)
        {
            var now = _time.GetTimestamp();
            _playedAll = Math.Max(_playedAll ?? now, now) + (chunk.Samples.Length * _time.TimestampFrequency / SpeechResult.SampleRate);
        }

        if (last is not AudioChunk { EndsPiece: false })
        {
            Piece++;
            (FailedAttempt, StepError) = (null, null);
        }

        if (Piece < Request.PieceCount)
        {
            return true;
        }

        _events.Writer.TryComplete();
        return false;
    }

    /// <summary>Ends the request early: its reader gets the error.</summary>
    public void Fail(Exception error)
    {
        _events.Writer.TryComplete(error);
        _begun.TrySetResult();
    }

    /// <summary>Ends the request because <see cref="Ended"/> was set, with the reason for it.</summary>
    public void FailAsEnded() =>
        Fail(
            _caller.IsCancellationRequested ? new OperationCanceledException(_caller)
            : _isAbandoned
                ? new UnavailableException("The engine is stopping, and the time for what had begun is over. Try again when it is back.")
            : new UnavailableException(
                $"The request was given up after {_timeoutSeconds:0} s. Shorten the text, or try again when fewer requests are waiting."
            )
        );

    /// <summary>Gives the request up; it leaves its model before the next speech token.</summary>
    public void Abandon()
    {
        lock (_ended)
        {
            if (!_isOver)
            {
                _isAbandoned = true;
                _ended.Cancel();
            }
        }
    }

    public void Dispose()
    {
        lock (_ended)
        {
            _isOver = true;
        }

        _ended.Dispose();
        _deadline.Dispose();
    }

    private static int SamplesOf(SpeechEvent happened) => happened is AudioChunk chunk ? chunk.Samples.Length : 0;

    private void ReadOn()
    {
        lock (_ended)
        {
            if (!_isOver)
            {
                _readOn();
            }
        }
    }

    private async IAsyncEnumerable<SpeechEvent> ReadAsync()
    {
        await foreach (var happened in _events.Reader.ReadAllAsync(CancellationToken.None).ConfigureAwait(false))
        {
            var samples = SamplesOf(happened);
            var left = Interlocked.Add(ref _unread, -samples);
            if (left <= _mostUnread && left + samples > _mostUnread)
            {
                ReadOn();
            }

            yield return happened;
        }
    }
}

/// <summary>What a model has open for a piece.</summary>
/// <param name="Doing">An utterance or a conversion.</param>
internal sealed record OpenWork(IDisposable Doing) : IDisposable
{
    /// <summary>The utterance, where it is one.</summary>
    public IUtterance? Utterance => Doing as IUtterance;

    /// <summary>Chunks that it has given.</summary>
    public int Chunks { get; set; }

    /// <summary>Time of the turns spent on it.</summary>
    public TimeSpan Taken { get; set; }

    /// <summary>Samples that it has given.</summary>
    public int Samples { get; set; }

    public void Dispose() => Doing.Dispose();
}

/// <summary>Speech that went wrong and is made once more.</summary>
/// <param name="Speech">The speech.</param>
/// <param name="Fault">What is wrong with it.</param>
internal sealed record FailedAttempt(SpeechResult Speech, string Fault);
