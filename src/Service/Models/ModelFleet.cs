using System.Diagnostics.Metrics;
using System.Globalization;
using Chatterbox.Engine;
using Chatterbox.Service.Hosting;
using Microsoft.Extensions.Options;

namespace Chatterbox.Service.Models;

/// <summary>
/// The models of the service, and which of them are in memory. Each has an engine of its own while it is there: it is
/// loaded for the first who asks, makes room for another when it was not used for longest, and is unloaded when nobody has
/// used it for some time. One with work in hand finishes that first; whoever asks for it meanwhile waits for its return.
/// </summary>
internal sealed class ModelFleet : IAsyncDisposable
{
    private const double GiB = 1L << 30;
    private static readonly TimeSpan PauseAfterFailure = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(10);

    private readonly Lock _gate = new();
    private readonly ModelsOptions _options;
    private readonly EngineOptions _engineOptions;
    private readonly IMeterFactory _meters;
    private readonly TimeProvider _time;
    private readonly ILoggerFactory _logging;
    private readonly ILogger _logger;
    private readonly FleetMetrics _metrics;
    private readonly ITimer? _idleCheck;
    private readonly List<Residence> _residences = []; // in the order in which they came
    private bool _hasBeenReady;
    private bool _isStopping;

    /// <param name="models">What there is; the first is the default.</param>
    /// <param name="options">Limits of memory and idleness.</param>
    /// <param name="engineOptions">Limits of requests.</param>
    /// <param name="meters">Where loads and queues are measured.</param>
    /// <param name="time">The clock of idleness.</param>
    /// <param name="logging">Receives what is loaded and unloaded.</param>
    /// <exception cref="SettingException">Two models have one name, or one alone takes more memory than there may be.</exception>
    public ModelFleet(
        IEnumerable<ServedModel> models,
        IOptions<ModelsOptions> options,
        IOptions<EngineOptions> engineOptions,
        IMeterFactory meters,
        TimeProvider time,
        ILoggerFactory logging
    )
    {
        All = [.. models.Select(model => new FleetModel(model, this))];
        (_options, _engineOptions, _meters, _time, _logging) = (options.Value, engineOptions.Value, meters, time, logging);
        _logger = logging.CreateLogger<ModelFleet>();
        Check();
        _metrics = new FleetMetrics(meters, this);
        if (_options.UnloadAfterSeconds > 0)
        {
            var often = TimeSpan.FromSeconds(Math.Clamp(_options.UnloadAfterSeconds / 4, 0.05, 1));
            _idleCheck = time.CreateTimer(_ => SendIdleAway(), null, often, often);
        }
    }

    /// <summary>Every model, the default first.</summary>
    public IReadOnlyList<FleetModel> All { get; }

    /// <summary>The model of requests that name none; loaded when the service starts.</summary>
    public FleetModel Default => All[0];

    /// <summary>Completes when the default model is loaded for the first time; fails with the reason if it cannot be.</summary>
    public Task Ready { get; private set; } = Task.CompletedTask;

    /// <summary>Whether requests are served: loading until the default model is there for the first time.</summary>
    public EngineState State
    {
        get
        {
            lock (_gate)
            {
                return _isStopping ? EngineState.Stopping
                    : StateOf(Default) == ModelState.Failed ? EngineState.Failed
                    : _hasBeenReady ? EngineState.Ready
                    : EngineState.Loading;
            }
        }
    }

    /// <summary>Most requests that may wait, for all models together.</summary>
    public int Capacity
    {
        get
        {
            lock (_gate)
            {
                return _residences.Select(at => at.Engine.Status.Capacity).DefaultIfEmpty(_engineOptions.QueueFor(places: 0)).Max();
            }
        }
    }

    /// <summary>Memory for the weights of the models that are there, bytes.</summary>
    public long Memory
    {
        get
        {
            lock (_gate)
            {
                return MemoryOf(_residences.Where(at => at.HasRoom));
            }
        }
    }

    /// <summary>The model of this name, or null.</summary>
    public FleetModel? Find(string name) => All.FirstOrDefault(model => model.Name == name);

    /// <exception cref="UnavailableException">The default model has not been there yet.</exception>
    public void ThrowIfStarting()
    {
        if (State == EngineState.Loading)
        {
            throw new UnavailableException(
                "The service is starting: its model is being loaded. Try again later: GET /health/ready answers 200 when it is loaded."
            );
        }
    }

    /// <summary>Begins to load the default model.</summary>
    public void Start()
    {
        lock (_gate)
        {
            Ready = Settle(Default).Engine.Ready;
        }
    }

    /// <summary>Refuses new requests and those not begun, finishes those begun, then frees the models.</summary>
    /// <param name="cancellationToken">Stops waiting and gives up what is still being spoken.</param>
    public async Task StopAsync(CancellationToken cancellationToken)
    {
        List<Residence> staying;
        lock (_gate)
        {
            _isStopping = true;
            staying = [.. _residences];
        }

        await Task.WhenAll(staying.Select(at => at.Engine.StopAsync(cancellationToken)));
    }

    /// <summary>Stops at once: what is being spoken is given up.</summary>
    public async ValueTask DisposeAsync()
    {
        await StopAsync(new CancellationToken(canceled: true));
        _idleCheck?.Dispose();
    }

    internal ModelState StateOf(FleetModel model)
    {
        lock (_gate)
        {
            return model.Residence is not { IsLeaving: false } at
                ? ModelState.Unloaded
                : at.Engine.Status.State switch
                {
                    EngineState.Loading => ModelState.Loading,
                    EngineState.Failed => ModelState.Failed,
                    _ => ModelState.Ready,
                };
        }
    }

    internal EngineStatus StatusOf(FleetModel model)
    {
        lock (_gate)
        {
            var engines = _residences.Where(at => at.Model == model).Select(at => at.Engine.Status).ToList();
            return new EngineStatus(State, engines.Sum(e => e.Waiting), engines.Sum(e => e.Active), Capacity);
        }
    }

    internal SpeechJob Submit(FleetModel model, EngineRequest request, CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            ThrowIfFull(model, request.Client);
            return Settle(model).Engine.Submit(request, cancellationToken);
        }
    }

    internal Task<T> RunAsync<T>(FleetModel model, string client, Func<ISpeechEngine, Task<T>> job)
    {
        lock (_gate)
        {
            ThrowIfFull(model, client);
            return job(Settle(model).Engine);
        }
    }

    /// <summary>Where the model is, or is to be: it is called back from leaving, and tried again some time after a failure.</summary>
    private Residence Settle(FleetModel model)
    {
        if (_isStopping)
        {
            throw new UnavailableException("The service is stopping. Try again when it is back.");
        }

        if (
            model.Residence is not { IsLeaving: false } at
            || (at.FailedAt is { } failed && _time.GetElapsedTime(failed) >= PauseAfterFailure)
        )
        {
            model.Residence = at = new Residence(model);
            _residences.Add(at);
            at.Engine = new SpeechEngine(
                [() => Load(at)],
                _engineOptions,
                _logging.CreateLogger<SpeechEngine>(),
                _time,
                new EngineMetrics(_meters, model.Name)
            );
        }

        at.LastUsed = _time.GetTimestamp();
        return at;
    }

    /// <summary>Refuses one request too many, before anything is loaded for it.</summary>
    private void ThrowIfFull(FleetModel asked, string client) =>
        FairShare.ThrowIfFull(
            Capacity,
            _residences.Sum(at => at.Engine.Status.Waiting),
            _residences.Sum(at => at.Engine.WaitingOf(client)),
            asked.Residence?.Engine.Status.ExpectedWait
        );

    /// <summary>Loads a model, on the thread of its engine.</summary>
    private ISpeechModel Load(Residence at)
    {
        var served = at.Model.Served;
        try
        {
            MakeRoomFor(at);
            var started = _time.GetTimestamp();
            var model = served.Load();
            var taken = _time.GetElapsedTime(started);
            _metrics.Loaded(served.Name, taken);
            _logger.LogInformation(
                "Model {Model} was loaded on {Device} in {Seconds:0.0} s{StandIn}",
                served.Name,
                served.Device,
                taken.TotalSeconds,
                served.StandIn ? ". It is a stand-in that generates noise" : ""
            );
            Report(at.Model, model.Runtime, model.SelfCheck);
            lock (_gate)
            {
                at.LastUsed = _time.GetTimestamp();
                _hasBeenReady |= at.Model == Default;
            }

            return model;
        }
        catch (Exception e)
        {
            lock (_gate)
            {
                at.FailedAt = _time.GetTimestamp();
                _residences.Remove(at);
            }

            if (e is not OperationCanceledException)
            {
                _logger.LogCritical("Model {Model} could not be loaded. Requests for it are refused: {Reason}", served.Name, e.Message);
            }

            throw;
        }
    }

    /// <summary>Logs how a model's stages are computed, and warns of wrong operations and of stages that could be many times as
    /// fast.</summary>
    private void Report(FleetModel model, RuntimeReport runtime, SelfCheck check)
    {
        (model.Runtime, model.SelfCheck) = (runtime, check);
        foreach (var replaced in check.Replaced)
        {
            _logger.LogWarning("Model {Model}: {Operation}", model.Name, replaced);
        }

        var slow = runtime.Slow.ToHashSet();
        foreach (var alike in runtime.Stages.GroupBy(stage => stage with { Stage = "" }))
        {
            var stages = alike.Count() == runtime.Stages.Count ? "all stages" : string.Join(", ", alike.Select(stage => stage.Stage));
            _logger.Log(
                slow.Contains(alike.First()) ? LogLevel.Warning : LogLevel.Information,
                "Model {Model}, {Stage}",
                model.Name,
                alike.Key with
                {
                    Stage = stages,
                }
            );
        }
    }

    /// <summary>Waits until the model fits, and has others leave for that. Who came first is let in first.</summary>
    private void MakeRoomFor(Residence coming)
    {
        while (true)
        {
            lock (_gate)
            {
                if (_isStopping)
                {
                    throw new OperationCanceledException("The service is stopping.");
                }

                if (_residences.First(at => !at.HasRoom) == coming)
                {
                    if (Fits(_residences.Where(at => at.HasRoom).Append(coming)))
                    {
                        coming.HasRoom = true;
                        return;
                    }

                    AskToLeaveFor(coming);
                    SendOff();
                }
            }

            Thread.Sleep(Look); // an engine does not tell when it has nothing left to do; and loading takes longer
        }
    }

    /// <summary>Decides who leaves: first those that have nothing to do, and of them who was not used for longest.</summary>
    private void AskToLeaveFor(Residence coming)
    {
        foreach (
            var at in _residences
                .Where(at => at is { HasRoom: true, IsLeaving: false })
                .OrderBy(at => at.IsBusy)
                .ThenBy(at => at.LastUsed)
                .ToList()
        )
        {
            if (Fits(_residences.Where(other => other is { HasRoom: true, IsLeaving: false }).Append(coming)))
            {
                return;
            }

            at.IsLeaving = true;
        }
    }

    private void SendIdleAway()
    {
        lock (_gate)
        {
            foreach (var at in _residences.Where(at => at is { IsLeaving: false, Engine.Status.State: EngineState.Ready }))
            {
                if (at.IsBusy)
                {
                    at.LastUsed = _time.GetTimestamp();
                }

                at.IsLeaving = _time.GetElapsedTime(at.LastUsed) >= TimeSpan.FromSeconds(_options.UnloadAfterSeconds);
            }

            SendOff();
        }
    }

    /// <summary>Unloads those who are leaving and have nothing left to do.</summary>
    private void SendOff()
    {
        foreach (var at in _residences.Where(at => at is { IsLeaving: true, IsOff: false, IsBusy: false }).ToList())
        {
            at.IsOff = true;
            _ = UnloadAsync(at);
        }
    }

    private async Task UnloadAsync(Residence at)
    {
        await at.Engine.StopAsync();
        lock (_gate)
        {
            _residences.Remove(at);
        }

        _logger.LogInformation("Model {Model} was unloaded", at.Model.Name);
    }

    private bool Fits(IEnumerable<Residence> residences) => _options.MemoryGiB == 0 || MemoryOf(residences) <= _options.MemoryGiB * GiB;

    private static long MemoryOf(IEnumerable<Residence> residences) => MemoryOf(residences.Select(at => at.Model));

    private static long MemoryOf(IEnumerable<FleetModel> models) =>
        models.SelectMany(model => model.Served.Weights).DistinctBy(file => file.Content).Sum(file => file.Bytes);

    private void Check()
    {
        if (All.GroupBy(model => model.Name).FirstOrDefault(same => same.Count() > 1) is { } twice)
        {
            throw new SettingException($"Model names two models that are called '{twice.Key}'. Leave one out, or rename its folder.");
        }

        if (_options.MemoryGiB > 0 && All.FirstOrDefault(model => MemoryOf([model]) > _options.MemoryGiB * GiB) is { } large)
        {
            throw new SettingException(
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"Models:MemoryGiB is {_options.MemoryGiB}, but the weights of '{large.Name}' alone take "
                        + $"{MemoryOf([large]) / GiB:0.00} GiB. Allow that much at least, or leave the model out."
                )
            );
        }
    }
}
