using Chatterbox.Audio;
using Microsoft.Extensions.Logging;

namespace Chatterbox.Engine;

/// <summary>
/// The engine over one or several models: each lives on its own thread, which loads it and alone touches it; all take
/// their work from one fair, bounded queue.
/// </summary>
public sealed class SpeechEngine : ISpeechEngine
{
    private readonly Lock _gate = new();
    private readonly EngineOptions _options;
    private readonly ILogger<SpeechEngine> _logger;
    private readonly TimeProvider _time;
    private readonly EngineMetrics? _metrics;
    private readonly Turn _turn;
    private readonly RequestQueue<SpeechSequence> _queue = new();
    private readonly HashSet<SpeechSequence> _speaking = [];
    private readonly Errands _errands = new();
    private readonly SemaphoreSlim _work = new(0);
    private readonly TaskCompletionSource _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Task _workersEnded;
    private readonly int _workers;
    private EngineState _state = EngineState.Loading;
    private int _loaded;
    private double? _secondsPerCharacter;
    private TimeSpan _longestTurn;              // of late

    /// <summary>Starts one thread for each model and begins to load them.</summary>
    /// <param name="models">Loads a model; called once on each thread.</param>
    /// <param name="options">Limits.</param>
    /// <param name="logger">Where the engine tells what it does; never the texts.</param>
    /// <param name="time">The clock of deadlines and estimates.</param>
    /// <param name="metrics">Where the engine measures its work; null measures nothing.</param>
    public SpeechEngine(IReadOnlyList<Func<ISpeechModel>> models, EngineOptions options, ILogger<SpeechEngine> logger, TimeProvider? time = null, EngineMetrics? metrics = null)
    {
        ArgumentOutOfRangeException.ThrowIfZero(models.Count);
        _options = options;
        _logger = logger;
        _time = time ?? TimeProvider.System;
        _metrics = metrics;
        _turn = new Turn(options, logger, _time, metrics, Measure);
        _workers = models.Count;
        _workersEnded = Task.WhenAll(models.Select((load, i) => RunOnThread($"speech model {i}", () => Work(load))));
    }

    /// <inheritdoc/>
    public EngineStatus Status
    {
        get
        {
            lock (_gate)
            {
                var begun = _queue.All.Count(s => s.HasBegun);
                return new EngineStatus(_state, _queue.Count - begun, begun + _speaking.Count, _options.MaxQueuedRequests) { ExpectedWait = ExpectedWait() };
            }
        }
    }

    /// <inheritdoc/>
    public Task Ready => _ready.Task;

    /// <inheritdoc/>
    public SpeechJob Submit(EngineRequest request, CancellationToken cancel = default)
    {
        if (request.PieceCount == 0)
        {
            throw new RequestException("There is nothing to say: the request has no pieces of text. Send at least one.", nameof(SpeechRequest.Pieces));
        }

        cancel.ThrowIfCancellationRequested();
        request = request.WithSeed();
        SpeechSequence sequence;
        int position;
        TimeSpan? wait;
        lock (_gate)
        {
            ThrowIfClosed();
            position = _queue.Count + _speaking.Count;
            wait = ExpectedWait();
            if (_queue.All.Count(s => !s.HasBegun) >= _options.MaxQueuedRequests)
            {
                throw new EngineBusyException(
                    $"{_options.MaxQueuedRequests} requests are waiting already. Try again later.", wait ?? TimeSpan.FromSeconds(5));
            }

            sequence = new SpeechSequence(request, _options.RequestTimeoutSeconds, _time, cancel);
            _queue.Add(request.Client, sequence);
        }

        _work.Release();
        sequence.Ended.Register(() => LeaveQueue(sequence));
        return new SpeechJob(position, wait, sequence.Events) { Begun = sequence.Begun };
    }

    /// <inheritdoc/>
    public Task<Voice> CreateVoiceAsync(AudioClip recording, CancellationToken cancel = default) =>
        RunErrand(model => model.CreateVoice(recording), cancel);

    /// <inheritdoc/>
    public Task<double?> DetectWatermarkAsync(AudioClip recording, CancellationToken cancel = default) =>
        RunErrand(model => model.DetectWatermark(recording), cancel);

    /// <inheritdoc/>
    public async Task StopAsync(CancellationToken cancel = default)
    {
        List<SpeechSequence> refused;
        lock (_gate)
        {
            if (_state != EngineState.Failed)
            {
                _state = EngineState.Stopping;
            }

            refused = _queue.RemoveWhere(s => !s.HasBegun);
        }

        foreach (var sequence in refused)
        {
            End(sequence, s => s.Fail(Stopping()));
        }

        _work.Release(_workers);
        using (cancel.Register(AbandonAll))
        {
            await _workersEnded.ConfigureAwait(false);
        }
    }

    /// <summary>Stops at once: what is being spoken is given up.</summary>
    public async ValueTask DisposeAsync()
    {
        await StopAsync(new CancellationToken(canceled: true)).ConfigureAwait(false);
        _work.Dispose();
    }

    private static UnavailableException Stopping() => new("The engine is stopping. Try again when it is back.");

    private static UnavailableException NotLoaded(Exception? error) => new($"The model could not be loaded: {error?.Message}", error);

    private static Task RunOnThread(string name, Action run)
    {
        var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        new Thread(() =>
        {
            run();
            ended.SetResult();
        })
        {
            Name = name,
            IsBackground = true,
        }.Start();
        return ended.Task;
    }

    private void Work(Func<ISpeechModel> load)
    {
        ISpeechModel? model = null;
        try
        {
            model = load();
            OnLoaded();
            while (NextTurn(model) is { } turn)
            {
                turn();
            }
        }
        catch (Exception e) when (model is null)
        {
            OnLoadFailed(e);
        }
        finally
        {
            model?.Dispose();
        }
    }

    private void OnLoaded()
    {
        lock (_gate)
        {
            _loaded++;
            if (_state == EngineState.Loading)
            {
                _state = EngineState.Ready;
            }
        }

        _ready.TrySetResult();
    }

    private void OnLoadFailed(Exception error)
    {
        List<SpeechSequence> refused = [];
        IReadOnlyList<Errand> undone = [];
        lock (_gate)
        {
            if (_state != EngineState.Stopping)
            {
                _logger.LogError(error, "The model could not be loaded");
            }

            if (_loaded == 0)
            {
                _state = EngineState.Failed;
                refused = _queue.RemoveWhere(_ => true);
                undone = _errands.TakeAll();
            }
        }

        refused.ForEach(sequence => End(sequence, s => s.Fail(NotLoaded(error))));
        foreach (var errand in undone)
        {
            errand.Fail(NotLoaded(error));
        }

        _ready.TrySetException(error);
    }

    /// <summary>Waits for something to do.</summary>
    /// <returns>An errand or a piece to speak; null when the engine has stopped and nothing is left.</returns>
    private Action? NextTurn(ISpeechModel model)
    {
        while (true)
        {
            lock (_gate)
            {
                if (_errands.Take() is { } errand)
                {
                    return () => errand.Run(model);
                }

                if (_queue.Take(sequence => RankFor(model, sequence)) is { } sequence)
                {
                    _speaking.Add(sequence);
                    return () => Speak(model, sequence);
                }

                if (_state == EngineState.Stopping)
                {
                    return null;
                }
            }

            _work.Wait();
        }
    }

    /// <summary>The first in line of those that this model can serve: what a model has begun is its own, and it begins only
    /// so many streams. Those that have left come first of all, to make room.</summary>
    private double? RankFor(ISpeechModel model, SpeechSequence sequence) =>
        sequence.Work is { } work && work.Model != model ? null
        : sequence.Ended.IsCancellationRequested ? double.NegativeInfinity
        : sequence is { Work: null, Request: SpeechRequest { Chunks: not null } } && _queue.All.Count(s => s.Work?.Model == model) >= _options.MaxStreams ? null
        : TurnOrder.Rank(sequence.PlaybackLeft, sequence.NextTurn, _longestTurn);

    private void Speak(ISpeechModel model, SpeechSequence sequence)
    {
        if (!sequence.HasBegun)
        {
            _metrics?.Began(sequence.Age);
        }

        var (piece, started) = (sequence.Begin(), _time.GetTimestamp());
        SpeechEvent happened;
        using var trace = EngineMetrics.Trace(sequence.Trace, piece, sequence.Request.CharactersOf(piece));
        try
        {
            sequence.Ended.ThrowIfCancellationRequested();
            happened = _turn.Take(model, sequence);
        }
        catch (OperationCanceledException) when (sequence.Ended.IsCancellationRequested)
        {
            End(sequence, s => s.FailAsEnded());
            return;
        }
        catch (Exception e)
        {
            _logger.LogWarning(e, "Piece {Piece} of request {Request} could not be spoken", piece + 1, sequence.Request.Name);
            EndWork(sequence);
            happened = new PieceFailed(piece, e);
        }

        if (sequence.IsStream && happened is AudioChunk)
        {
            _metrics?.Chunk(sequence.PlaybackLeft);
        }

        var taken = _time.GetElapsedTime(started);
        lock (_gate)
        {
            _longestTurn = taken > _longestTurn ? taken : (0.9 * _longestTurn) + (0.1 * taken);
        }

        if (!sequence.Advance(happened))
        {
            End(sequence, _ => { });
            return;
        }

        lock (_gate)
        {
            sequence.NextTurn = (sequence.Work?.Doing as IChunkedSpeech)?.NextTakes ?? taken;
            _speaking.Remove(sequence);
            _queue.PutBack(sequence.Request.Client, sequence);
        }

        if (sequence.Ended.IsCancellationRequested)
        {
            LeaveQueue(sequence);
        }
    }

    /// <summary>Takes a request whose caller has left, or whose time is up, out of the queue. What a model has begun of it
    /// stays for the model's thread to end, but the caller need not wait for that.</summary>
    private void LeaveQueue(SpeechSequence sequence)
    {
        bool waited, hasWork;
        lock (_gate)
        {
            hasWork = _queue.All.Contains(sequence) && sequence.Work is not null;
            waited = !hasWork && _queue.RemoveWhere(s => s == sequence).Count > 0;
        }

        if (hasWork)
        {
            sequence.FailAsEnded();
            _work.Release();
        }
        else if (waited)
        {
            End(sequence, s => s.FailAsEnded());
        }
    }

    private void End(SpeechSequence sequence, Action<SpeechSequence> how)
    {
        lock (_gate)
        {
            _speaking.Remove(sequence);
        }

        how(sequence);
        EndWork(sequence);
        sequence.Dispose();
    }

    /// <summary>Ends what a model has begun. A GPU that has failed fails here once more: that is no reason for the model's thread to end.</summary>
    private void EndWork(SpeechSequence sequence)
    {
        try
        {
            sequence.EndWork();
        }
        catch (Exception e)
        {
            _logger.LogError(e, "What a model had begun for request {Request} could not be ended", sequence.Request.Name);
        }
    }

    private void AbandonAll()
    {
        List<SpeechSequence> left;
        lock (_gate)
        {
            left = [.. _queue.All, .. _speaking];
        }

        left.ForEach(sequence => sequence.Abandon());
    }

    private Task<T> RunErrand<T>(Func<ISpeechModel, T> errand, CancellationToken cancel)
    {
        Task<T> done;
        lock (_gate)
        {
            ThrowIfClosed();
            done = _errands.Add(errand, cancel);
        }

        _work.Release();
        return done;
    }

    private void ThrowIfClosed()
    {
        if (_state == EngineState.Stopping)
        {
            throw Stopping();
        }

        if (_state == EngineState.Failed)
        {
            throw NotLoaded(_ready.Task.Exception?.InnerException);
        }
    }

    private void Measure(int characters, TimeSpan taken)
    {
        var now = taken.TotalSeconds / Math.Max(1, characters);
        lock (_gate)
        {
            _secondsPerCharacter = _secondsPerCharacter is { } before ? (0.8 * before) + (0.2 * now) : now;
        }
    }

    private TimeSpan? ExpectedWait() =>
        _secondsPerCharacter is { } each ? TimeSpan.FromSeconds(each * _queue.All.Concat(_speaking).Sum(s => s.CharactersLeft) / _workers) : null;
}
