using System.Diagnostics;
using System.Threading.Channels;

namespace Chatterbox.Engine;

/// <summary>Where one request stands: what of it has been spoken, who listens, and until when.</summary>
internal sealed class SpeechSequence : IDisposable
{
    private readonly Channel<SpeechEvent> _events = Channel.CreateUnbounded<SpeechEvent>(new() { SingleReader = true, SingleWriter = true });
    private readonly TaskCompletionSource _begun = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CancellationTokenSource _deadline;
    private readonly CancellationTokenSource _ended;
    private readonly CancellationToken _caller;
    private readonly double _timeoutSeconds;
    private readonly TimeProvider _time;
    private readonly long _arrived;
    private bool _isOver;
    private long? _heardAll;

    public SpeechSequence(EngineRequest request, double timeoutSeconds, TimeProvider time, CancellationToken caller)
    {
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

    /// <summary>The trace of whoever asked.</summary>
    public ActivityContext Trace { get; }

    /// <summary>Time since it came.</summary>
    public TimeSpan Age => _time.GetElapsedTime(_arrived);

    /// <summary>Set when the caller leaves, the deadline passes or the engine gives the request up.</summary>
    public CancellationToken Ended { get; }

    /// <summary>Index of the piece that is spoken next.</summary>
    public int NextPiece { get; private set; }

    public bool HasBegun { get; private set; }

    /// <summary>Completes when the request has begun, or will not.</summary>
    public Task Begun => _begun.Task;

    /// <summary>Characters that have not been spoken yet: the measure of the work left.</summary>
    public int CharactersLeft => Enumerable.Range(NextPiece, Request.PieceCount - NextPiece).Sum(Request.CharactersOf);

    /// <summary>What a model has begun of the request and goes on with in its next turn; null between pieces.</summary>
    public OpenWork? Work { get; set; }

    /// <summary>How long its next turn takes: what is known of it, or as long as the last.</summary>
    public TimeSpan NextTurn { get; set; }

    /// <summary>True where the listener hears chunks while others are being made.</summary>
    public bool IsStream => HasBegun && Request is SpeechRequest { Chunks: not null };

    /// <summary>Time until a listener of a stream has heard all there is; negative where they are waiting. Null where nothing
    /// has been heard yet, or pieces come whole.</summary>
    public TimeSpan? PlaybackLeft => _heardAll is { } end ? _time.GetElapsedTime(_time.GetTimestamp(), end) : null;

    public IAsyncEnumerable<SpeechEvent> Events => _events.Reader.ReadAllAsync(CancellationToken.None);

    /// <summary>Marks the next piece as being spoken.</summary>
    /// <returns>Its index.</returns>
    public int Begin()
    {
        HasBegun = true;
        _begun.TrySetResult();
        return NextPiece;
    }

    /// <summary>Ends what a model has begun, on the model's thread.</summary>
    public void EndWork()
    {
        var work = Work;
        Work = null;
        work?.Dispose();
    }

    /// <summary>Hands over what happened to the piece that was begun.</summary>
    /// <returns>True if more follows; otherwise the request is over.</returns>
    public bool Advance(SpeechEvent last)
    {
        _events.Writer.TryWrite(last);
        if (IsStream && last is AudioChunk chunk)
        {
            var now = _time.GetTimestamp();
            _heardAll = Math.Max(_heardAll ?? now, now) + (chunk.Samples.Length * _time.TimestampFrequency / SpeechResult.SampleRate);
        }

        NextPiece += last is AudioChunk { EndsPiece: false } ? 0 : 1;
        if (NextPiece < Request.PieceCount)
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
    public void FailAsEnded() => Fail(_caller.IsCancellationRequested || !_deadline.IsCancellationRequested
        ? new OperationCanceledException(_caller)
        : new UnavailableException($"The request was given up after {_timeoutSeconds:0} s. Shorten the text, or try again when fewer requests are waiting."));

    /// <summary>Gives the request up; whoever speaks it stops before the next speech token.</summary>
    public void Abandon()
    {
        lock (_ended)
        {
            if (!_isOver)
            {
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
}

/// <summary>What a model has begun for a request and has not finished. Only the model's thread goes on with it or ends it.</summary>
/// <param name="Model">The model.</param>
/// <param name="Doing">A stream or a conversion.</param>
internal sealed record OpenWork(ISpeechModel Model, IDisposable Doing) : IDisposable
{
    /// <summary>Time spent on it.</summary>
    public TimeSpan Taken { get; set; }

    /// <summary>Samples it has given.</summary>
    public int Samples { get; set; }

    public void Dispose() => Doing.Dispose();
}
