using System.Diagnostics;
using System.Threading.Channels;

namespace Chatterbox.Engine;

/// <summary>Where one request stands: what of it has been spoken, who listens, and until when.</summary>
internal sealed class SpeechSequence : IDisposable
{
    private readonly Channel<SpeechEvent> _events = Channel.CreateUnbounded<SpeechEvent>(new() { SingleReader = true, SingleWriter = true });
    private readonly CancellationTokenSource _deadline;
    private readonly CancellationTokenSource _ended;
    private readonly CancellationToken _caller;
    private readonly double _timeoutSeconds;
    private readonly TimeProvider _time;
    private readonly long _arrived;
    private bool _isOver;

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

    /// <summary>Characters that have not been spoken yet: the measure of the work left.</summary>
    public int CharactersLeft => Enumerable.Range(NextPiece, Request.PieceCount - NextPiece).Sum(Request.CharactersOf);

    /// <summary>A recording's conversion once it has begun; goes with the request.</summary>
    public IVoiceConversion? Conversion { get; set; }

    public IAsyncEnumerable<SpeechEvent> Events => _events.Reader.ReadAllAsync(CancellationToken.None);

    /// <summary>Marks the next piece as being spoken.</summary>
    /// <returns>Its index.</returns>
    public int Begin()
    {
        HasBegun = true;
        return NextPiece;
    }

    /// <summary>Hands over what happened to the piece that was begun.</summary>
    /// <returns>True if more follows; otherwise the request is over.</returns>
    public bool Advance(SpeechEvent last)
    {
        _events.Writer.TryWrite(last);
        NextPiece += last is AudioChunk { EndsPiece: false } ? 0 : 1;
        if (NextPiece < Request.PieceCount)
        {
            return true;
        }

        _events.Writer.TryComplete();
        return false;
    }

    /// <summary>Ends the request early: its reader gets the error.</summary>
    public void Fail(Exception error) => _events.Writer.TryComplete(error);

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

        Conversion?.Dispose();
        _ended.Dispose();
        _deadline.Dispose();
    }
}
