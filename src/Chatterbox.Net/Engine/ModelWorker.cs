using Microsoft.Extensions.Logging;

namespace Chatterbox.Engine;

/// <summary>One thread with one model on one device: it admits requests, steps them together and has their chunks voiced, as the
/// engine's plan says.</summary>
/// <param name="engine">Plans, and publishes what happens.</param>
/// <param name="model">The model.</param>
/// <param name="options">Limits.</param>
/// <param name="logger">Receives what fails; never the texts.</param>
/// <param name="time">The clock.</param>
/// <param name="metrics">Measures the work; null measures nothing.</param>
internal sealed class ModelWorker(
    SpeechEngine engine,
    ISpeechModel model,
    EngineOptions options,
    ILogger logger,
    TimeProvider time,
    EngineMetrics? metrics
)
{
    private const int MostStepsAPlan = 16;

    private readonly int _mostOpen = options.PlacesOf(model);
    private readonly VoiceWorker _voices = new(engine, model, options, logger, metrics);

    private int? _fullAt; // utterances that were open when the model had no room for another

    /// <summary>What the model can do now.</summary>
    public WorkerLimits Limits => new(model.StepWidth, model.VoiceWidth, _fullAt ?? _mostOpen, model.VoicesDuringSteps);

    /// <summary>The engine's <see cref="SpeechEngine.Changes"/> that the present plan knows of.</summary>
    public int SeenChanges { get; set; }

    /// <summary>Whether work that is over waits to be closed.</summary>
    public bool HasToClose => _voices.HasToClose;

    /// <summary>Works until the engine has stopped and all requests are complete.</summary>
    public void Run()
    {
        using (_voices)
        {
            while (engine.NextPlan(this) is { } plan)
            {
                plan.Ended.ForEach(End);
                if (_voices.CloseAll())
                {
                    _fullAt = null;
                }

                plan.Admitted.ForEach(Begin);
                _voices.Do(plan.Due);
                Step(plan);
                metrics?.CacheUsed(model.Cache);
            }
        }
    }

    private void End(Sequence sequence)
    {
        _voices.Close(sequence);
        engine.End(sequence);
    }

    private void Begin(Sequence sequence)
    {
        var began = time.GetTimestamp();
        try
        {
            sequence.Ended.ThrowIfCancellationRequested();
            var request = (SpeechRequest)sequence.Request;
            var (text, sampling) = (request.Pieces[sequence.Piece], request.SamplingOf(sequence.Piece));
            var isRepeat = sequence.FailedAttempt is not null;
            sampling = options.GuardQuality ? QualityGuard.Limit(text, sampling) : sampling;
            sampling = isRepeat ? QualityGuard.Repeat(sampling) : sampling;
            var chunks = isRepeat || request.Chunks is null ? null : request.Chunks with { EndsWhenStuck = options.GuardQuality };
            var utterance = model.Begin(text, VoiceWorker.VoiceOf(sequence, model), sampling, chunks, request.Language);
            metrics?.OpenChanged(1);
            sequence.Work = new(utterance);
            EngineMetrics.Trace(sequence, "prefill", time.GetElapsedTime(began));
        }
        catch (OperationCanceledException) when (sequence.Ended.IsCancellationRequested)
        {
            engine.LetGo(sequence); // the next plan ends it
        }
        catch (UnavailableException) when (engine.OpenOf(this) is > 0 and var open)
        {
            _fullAt = open; // it waits for one of these to end
            engine.LetGo(sequence);
        }
        catch (Exception e)
        {
            _voices.Fail(sequence, e);
        }
    }

    /// <summary>Steps the plan's rows, repeatedly as long as there is nothing else to do.</summary>
    private void Step(Plan<Sequence> plan)
    {
        var rows = plan.Rows.Where(row => row.Work?.Utterance is { NeedsSteps: true }).ToList();
        IUtterance[] utterances = [.. rows.Select(row => row.Work!.Utterance!)];
        if (plan.Admitted.Count > 0)
        {
            metrics?.Prefilled(plan.Admitted.Count);
        }

        for (var step = 0; step < MostStepsAPlan && rows.Count > 0 && SeenChanges == engine.Changes; step++)
        {
            var began = time.GetTimestamp();
            try
            {
                model.Advance(utterances);
            }
            catch (Exception e)
            {
                rows.ForEach(row => FailStep(row, e)); // which of them failed is not known
                return;
            }

            metrics?.Stepped(rows.Count, time.GetElapsedTime(began));
            if (Array.Exists(utterances, utterance => !utterance.NeedsSteps))
            {
                _fullAt = null; // its place is free
                return;
            }

            if (rows.Index().Any(row => utterances[row.Index].IsDue && !row.Item.IsInHand))
            {
                return;
            }
        }
    }

    private void FailStep(Sequence sequence, Exception error)
    {
        if (sequence.IsInHand)
        {
            sequence.StepError = error;
        }
        else
        {
            _voices.Fail(sequence, error);
        }
    }
}
