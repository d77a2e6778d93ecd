using System.Diagnostics;
using System.Runtime.ExceptionServices;
using Chatterbox.Audio;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Chatterbox.Engine;

/// <summary>The engine over one or several models: the door that takes requests in, and what its workers share. Each model lives on a
/// <see cref="ModelWorker"/>'s thread, which loads it; all take their work from one fair, bounded queue.</summary>
public sealed class SpeechEngine : ISpeechEngine
{
    private static readonly TimeSpan LongestAtExit = TimeSpan.FromSeconds(10);

    private readonly object _gate = new(); // a monitor: workers wait on it for something to do
    private readonly EngineOptions _options;
    private readonly ILogger<SpeechEngine> _logger;
    private readonly TimeProvider _time;
    private readonly EngineMetrics? _metrics;
    private readonly Scheduler<Sequence> _scheduler = new();
    private readonly ServiceRate _rate = new();
    private readonly TaskCompletionSource _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Task _workersEnded;
    private readonly long _started;
    private EngineState _state = EngineState.Loading;
    private int _loaded;
    private int _places; // pieces that the loaded models generate at once
    private int _together; // of these, those that a step advances
    private int _changes;
    private UnavailableException? _deviceError;

    /// <summary>Starts the engine of a model that is loaded.</summary>
    /// <param name="model">The model; it belongs to the engine, which disposes it.</param>
    /// <param name="options">Limits; null for the defaults.</param>
    /// <param name="logger">Receives what the engine does, never the texts; null logs nothing.</param>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
    public SpeechEngine(ISpeechModel model, EngineOptions? options = null, ILogger<SpeechEngine>? logger = null)
        : this(model is null ? throw new ArgumentNullException(nameof(model)) : [() => model], options, logger) { }

    /// <summary>Starts one thread for each model and begins to load them.</summary>
    /// <param name="models">Loads a model; called once on each thread.</param>
    /// <param name="options">Limits; null for the defaults.</param>
    /// <param name="logger">Receives what the engine does, never the texts; null logs nothing.</param>
    /// <param name="time">The clock of deadlines and estimates.</param>
    /// <param name="metrics">Measures the engine's work; null measures nothing.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no model, or an option is out of its range.</exception>
    public SpeechEngine(
        IReadOnlyList<Func<ISpeechModel>> models,
        EngineOptions? options = null,
        ILogger<SpeechEngine>? logger = null,
        TimeProvider? time = null,
        EngineMetrics? metrics = null
    )
    {
        ArgumentOutOfRangeException.ThrowIfZero(models.Count);
        _options = options ?? new();
        _options.Check();
        _logger = logger ?? NullLogger<SpeechEngine>.Instance;
        _time = time ?? TimeProvider.System;
        _metrics = metrics;
        _started = _time.GetTimestamp();
        _workersEnded = Task.WhenAll(models.Select((load, i) => RunOnThread($"speech model {i}", () => Work(load))));
        AppDomain.CurrentDomain.ProcessExit += StopAtExit;
        _workersEnded.ContinueWith(_ => AppDomain.CurrentDomain.ProcessExit -= StopAtExit, TaskScheduler.Default);
    }

    /// <inheritdoc/>
    public EngineStatus Status
    {
        get
        {
            lock (_gate)
            {
                var begun = _scheduler.All.Count(s => s.HasBegun);
                return new EngineStatus(_state, _scheduler.Count - begun, begun, Capacity) { ExpectedWait = ExpectedWait() };
            }
        }
    }

    /// <inheritdoc/>
    public Task Ready => _ready.Task;

    /// <summary>Requests of a client that have not begun.</summary>
    /// <param name="client">As <see cref="EngineRequest.Client"/>.</param>
    public int WaitingOf(string client)
    {
        lock (_gate)
        {
            return _scheduler.All.Count(s => !s.HasBegun && s.Request.Client == client);
        }
    }

    /// <summary>Grows with everything that may change a plan.</summary>
    internal int Changes => Volatile.Read(ref _changes);

    /// <inheritdoc/>
    public SpeechJob Submit(EngineRequest request, CancellationToken cancellationToken = default)
    {
        if (request.PieceCount == 0)
        {
            throw new RequestException(
                "There is nothing to say: the request has no pieces of text. Send at least one.",
                nameof(SpeechRequest.Pieces)
            );
        }

        cancellationToken.ThrowIfCancellationRequested();
        request = request.WithSeed();
        Sequence sequence;
        int position;
        TimeSpan? wait;
        lock (_gate)
        {
            ThrowIfClosed();
            position = Ahead.Count();
            wait = ExpectedWait();
            FairShare.ThrowIfFull(Capacity, _scheduler.All.Count(s => !s.HasBegun), WaitingOf(request.Client), wait);

            sequence = new Sequence(request, _options, _time, ReadOn, cancellationToken);
            _scheduler.Add(request.Client, sequence);
            Wake();
        }

        sequence.Ended.Register(() => Leave(sequence));
        return new SpeechJob(position, wait, sequence.Events) { Begun = sequence.Begun };
    }

    /// <inheritdoc/>
    public Task<Voice> CreateVoiceAsync(AudioClip recording, string client = "", CancellationToken cancellationToken = default) =>
        RunAsync(model => model.CreateVoice(recording), client, cancellationToken);

    /// <inheritdoc/>
    public Task<double?> DetectWatermarkAsync(AudioClip recording, string client = "", CancellationToken cancellationToken = default) =>
        RunAsync(model => model.DetectWatermark(recording), client, cancellationToken);

    /// <inheritdoc/>
    public async Task StopAsync(CancellationToken cancellationToken = default)
    {
        List<Sequence> refused;
        lock (_gate)
        {
            if (_state != EngineState.Failed || _deviceError is not null)
            {
                _state = EngineState.Stopping;
            }

            refused = RemoveWhere(s => !s.HasBegun && s.Worker is null);
            Wake();
        }

        refused.ForEach(sequence => Dispose(sequence, Stopping()));
        using (cancellationToken.Register(AbandonAll))
        {
            await _workersEnded.ConfigureAwait(false);
        }
    }

    /// <summary>Stops at once: what is being spoken is given up.</summary>
    public async ValueTask DisposeAsync() => await StopAsync(new CancellationToken(canceled: true)).ConfigureAwait(false);

    /// <summary>What a worker does next; waits until there is something.</summary>
    /// <returns>The plan; null when the engine has stopped and nothing is left for the worker.</returns>
    internal Plan<Sequence>? NextPlan(ModelWorker worker)
    {
        lock (_gate)
        {
            while (true)
            {
                var plan = _scheduler.Next(
                    worker,
                    worker.Limits,
                    sequence => sequence.StandingFor(waitsForReader: _state != EngineState.Stopping)
                );
                if (!plan.IsEmpty || worker.HasToClose)
                {
                    Claim(worker, plan);
                    worker.SeenChanges = _changes;
                    return plan;
                }

                if (_state == EngineState.Stopping && !_scheduler.All.Any(s => s.Worker is null || s.Worker == worker))
                {
                    return null;
                }

                Monitor.Wait(_gate);
            }
        }
    }

    /// <summary>Passes on what happened to a request's piece; its turn is over.</summary>
    internal void Publish(Sequence sequence, SpeechEvent happened)
    {
        var (piece, taken) = (sequence.Piece, TurnOf(sequence));
        var inHand = sequence.IsInHand ? _time.GetElapsedTime(sequence.InHandSince) : TimeSpan.Zero;
        if (sequence.IsInHand)
        {
            EngineMetrics.Trace(
                sequence,
                sequence.Request switch
                {
                    SpeechRequest => "voice",
                    ConversionRequest => "convert",
                    _ => "job",
                },
                inHand
            );
        }

        bool goesOn;
        lock (_gate)
        {
            if (sequence.IsStream && happened is AudioChunk)
            {
                _metrics?.Chunk(sequence.PlaybackLeft);
            }

            // A whole piece that is stepped along with the others holds them up only while it is voiced.
            _scheduler.EndTurn(sequence, sequence.Worker is { Limits.Overlaps: true } && !sequence.IsStream ? inHand : taken);
            if (sequence.Work is { } work)
            {
                work.Taken += taken;
            }

            sequence.NextTurn = sequence.Work?.Utterance?.NextTakes ?? taken;
            goesOn = sequence.Advance(happened);
            LetGo(sequence);
            if (!goesOn)
            {
                Remove(sequence);
            }

            if (sequence.Piece > piece)
            {
                _rate.Finish(sequence.Request.CharactersOf(piece), Now, isIdle: !_scheduler.All.Any(s => s.HasBegun));
            }
        }

        if (!goesOn)
        {
            sequence.Dispose();
        }
    }

    /// <summary>A request is no longer in hand; where a model has nothing open of it, any worker may go on with it.</summary>
    internal void LetGo(Sequence sequence)
    {
        lock (_gate)
        {
            sequence.IsInHand = false;
            sequence.Worker = sequence.Work is null ? null : sequence.Worker;
            Wake();
        }
    }

    /// <summary>A request whose caller has left, or whose time is up, is out of its model.</summary>
    internal void End(Sequence sequence)
    {
        lock (_gate)
        {
            Remove(sequence);
        }

        sequence.FailAsEnded();
        sequence.Dispose();
    }

    /// <summary>Pieces that a worker has open.</summary>
    internal int OpenOf(ModelWorker worker)
    {
        lock (_gate)
        {
            return _scheduler.All.Count(sequence => sequence.Worker == worker && sequence.Work?.Utterance is not null);
        }
    }

    /// <summary>Ends the service of requests if a model's device cannot compute any more: no later one could succeed.</summary>
    internal void CheckDevice(ISpeechModel model)
    {
        try
        {
            model.CheckDevice();
        }
        catch (UnavailableException e)
        {
            lock (_gate)
            {
                if (_state == EngineState.Ready)
                {
                    _logger.LogCritical(e, "A model's device has failed; requests are refused from now on");
                    (_state, _deviceError) = (EngineState.Failed, e);
                }
            }
        }
    }

    /// <summary>Time since the beginning of a request's turn.</summary>
    internal TimeSpan TurnOf(Sequence sequence) => _time.GetElapsedTime(sequence.TurnBegan);

    private static UnavailableException Stopping() => new("The engine is stopping. Try again when it is back.");

    private static UnavailableException NotLoaded(Exception? error) => new($"The model could not be loaded: {error?.Message}", error);

    /// <summary>Gives up what is being spoken when the process ends without disposing the engine: libtorch is taken down then, and a model
    /// that still computed would end the process with a fault.</summary>
    private void StopAtExit(object? sender, EventArgs e) => DisposeAsync().AsTask().Wait(LongestAtExit);

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
        var isLoaded = false;
        try
        {
            model = load();
            model.Prepare();
            isLoaded = true;
            OnLoaded(_options.PlacesOf(model), model.StepWidth);
            new ModelWorker(this, model, _options, _logger, _time, _metrics).Run();
        }
        catch (Exception e) when (!isLoaded)
        {
            OnLoadFailed(e);
        }
        finally
        {
            model?.Dispose();
        }
    }

    private void OnLoaded(int places, int stepWidth)
    {
        lock (_gate)
        {
            _loaded++;
            _places += places;
            _together += Math.Min(places, stepWidth);
            if (_state == EngineState.Loading)
            {
                _state = EngineState.Ready;
            }
        }

        _ready.TrySetResult();
    }

    private void OnLoadFailed(Exception error)
    {
        List<Sequence> refused = [];
        lock (_gate)
        {
            if (_state != EngineState.Stopping)
            {
                _logger.LogError(error, "The model could not be loaded");
            }

            if (_loaded == 0)
            {
                _state = EngineState.Failed;
                refused = RemoveWhere(_ => true);
            }
        }

        refused.ForEach(sequence => Dispose(sequence, NotLoaded(error)));
        _ready.TrySetException(error);
    }

    /// <summary>Gives a plan's requests to its worker.</summary>
    private void Claim(ModelWorker worker, Plan<Sequence> plan)
    {
        foreach (var sequence in plan.Admitted.Concat(plan.Due))
        {
            if (!sequence.HasBegun)
            {
                _metrics?.Began(sequence.Age);
                EngineMetrics.Trace(sequence, "queue", sequence.Age);
                sequence.Begin();
            }

            sequence.Worker = worker;
            _rate.Begin(Now);
        }

        plan.Turns.ForEach(sequence => sequence.TurnBegan = _time.GetTimestamp());

        plan.Due.ForEach(sequence => (sequence.IsInHand, sequence.InHandSince) = (true, _time.GetTimestamp()));
        plan.Ended.ForEach(sequence => sequence.Worker = worker);
    }

    /// <summary>Ends a request whose caller has left, or whose time is up. What a model has open of it stays for the model's worker to
    /// close, but
    /// the caller need not wait for that; what is being voiced is given up first.</summary>
    private void Leave(Sequence sequence)
    {
        bool isWaiting;
        lock (_gate)
        {
            if (sequence.IsInHand)
            {
                return;
            }

            isWaiting = sequence.Worker is null && Remove(sequence);
            Wake();
        }

        sequence.FailAsEnded();
        if (isWaiting)
        {
            sequence.Dispose();
        }
    }

    /// <summary>Takes a request out.</summary>
    private bool Remove(Sequence sequence)
    {
        Wake();
        return _scheduler.Remove(sequence);
    }

    private List<Sequence> RemoveWhere(Func<Sequence, bool> leaves)
    {
        var leaving = _scheduler.All.Where(leaves).ToList();
        leaving.ForEach(sequence => Remove(sequence));
        return leaving;
    }

    private static void Dispose(Sequence sequence, Exception error)
    {
        sequence.Fail(error);
        sequence.Dispose();
    }

    /// <summary>A slow reader has read enough for its request to continue.</summary>
    private void ReadOn()
    {
        lock (_gate)
        {
            Wake();
        }
    }

    /// <summary>Has all workers look for something to do.</summary>
    private void Wake()
    {
        _changes++;
        Monitor.PulseAll(_gate);
    }

    private void AbandonAll()
    {
        List<Sequence> left;
        lock (_gate)
        {
            left = [.. _scheduler.All];
        }

        left.ForEach(sequence => sequence.Abandon());
    }

    /// <summary>Queues work that is not speech, and waits for its result.</summary>
    private async Task<T> RunAsync<T>(Func<ISpeechModel, T> run, string client, CancellationToken cancellationToken)
    {
        var job = Submit(new ModelJob { Run = model => run(model), Client = client }, cancellationToken);
        await foreach (var happened in job.Events.ConfigureAwait(false))
        {
            if (happened is PieceFailed failed)
            {
                ExceptionDispatchInfo.Throw(failed.Error);
            }

            return (T)((ModelJobDone)happened).Result!;
        }

        throw new UnreachableException("A job ended without a result and without an error.");
    }

    private void ThrowIfClosed()
    {
        if (_state == EngineState.Stopping)
        {
            throw Stopping();
        }

        if (_deviceError is not null)
        {
            throw new UnavailableException(_deviceError.Message, _deviceError);
        }

        if (_state == EngineState.Failed)
        {
            throw NotLoaded(_ready.Task.Exception?.InnerException);
        }
    }

    /// <summary>Requests that a new one may have to wait for: what is in the background gives way.</summary>
    private IEnumerable<Sequence> Ahead => _scheduler.All.Where(sequence => !sequence.Request.IsBackground);

    private int Capacity => _options.QueueFor(_places);

    private TimeSpan Now => _time.GetElapsedTime(_started);

    /// <summary>Time until a request that comes now begins: for the work of those that have to end before, as many as are stepped together
    /// having room at once.</summary>
    private TimeSpan? ExpectedWait()
    {
        var count = Ahead.Count();
        var ahead = Math.Max(0, count - Math.Max(1, _together) + 1) / (double)Math.Max(1, count);
        return _rate.TimeFor((int)Math.Ceiling(ahead * Ahead.Sum(s => s.CharactersLeft)));
    }
}
