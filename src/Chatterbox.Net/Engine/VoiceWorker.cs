using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace Chatterbox.Engine;

/// <summary>Voices chunks, converts stretches of recordings and runs jobs: on the worker's thread, or on a thread of its own where the
/// model
/// voices while it steps. Publishes the results, after <see cref="QualityGuard"/> has checked them.</summary>
/// <param name="engine">Publishes what happens.</param>
/// <param name="model">The model.</param>
/// <param name="options">Limits.</param>
/// <param name="logger">Receives what fails; never the texts.</param>
/// <param name="metrics">Measures the work; null measures nothing.</param>
internal sealed class VoiceWorker(SpeechEngine engine, ISpeechModel model, EngineOptions options, ILogger logger, EngineMetrics? metrics)
    : IDisposable
{
    private readonly BlockingCollection<IReadOnlyList<Sequence>> _handedOver = [];
    private readonly ConcurrentQueue<(OpenWork Work, string Request)> _toClose = new();
    private Thread? _thread;
    private bool _hasClosed;

    /// <summary>A request's speaker.</summary>
    /// <exception cref="VoiceException">There is none.</exception>
    public static Voice VoiceOf(Sequence sequence, ISpeechModel model) =>
        sequence.Request.Voice
        ?? model.BuiltInVoice
        ?? throw new VoiceException("The model has no voice of its own. Send a request with a voice made from a recording.");

    /// <summary>Does what is due, or hands it over.</summary>
    public void Do(IReadOnlyList<Sequence> due)
    {
        if (due.Count == 0)
        {
            return;
        }

        foreach (var sequence in due.Where(sequence => sequence.StepError is null))
        {
            if (sequence.Work?.Utterance is { } utterance)
            {
                utterance.TakeChunk();
                EngineMetrics.Trace(sequence, "decode", engine.TurnOf(sequence));
            }
        }

        if (!model.VoicesDuringSteps)
        {
            Run(due);
            return;
        }

        if (_thread is null)
        {
            _thread = new Thread(RunHandedOver) { IsBackground = true, Name = $"{Thread.CurrentThread.Name}, voice" };
            _thread.Start();
        }

        _handedOver.Add(due);
    }

    /// <summary>Ends a piece that could not be made to its end.</summary>
    public void Fail(Sequence sequence, Exception error)
    {
        Close(sequence);
        if (error is OperationCanceledException && sequence.Ended.IsCancellationRequested)
        {
            engine.LetGo(sequence); // the next plan ends it
            return;
        }

        if (sequence.Request is not ModelJob || error is not ChatterboxException) // the caller of a job gets the exception itself
        {
            logger.LogWarning(error, "Piece {Piece} of request {Request} could not be spoken", sequence.Piece + 1, sequence.Request.Name);
        }

        if (error is not ChatterboxException)
        {
            engine.CheckDevice(model);
        }

        if (error is InvalidOutputException { Stage: var stage })
        {
            metrics?.Invalid(stage, recovered: false);
        }

        engine.Publish(sequence, new PieceFailed(sequence.Piece, error as ChatterboxException ?? new ModelFailedException(error)));
    }

    /// <summary>Whether work that is over waits to be closed.</summary>
    public bool HasToClose => !_toClose.IsEmpty;

    /// <summary>Closes what a model has open for a request: at once, or before the next steps where the model is being stepped.</summary>
    public void Close(Sequence sequence)
    {
        if (sequence.Work is { } work)
        {
            sequence.Work = null;
            _toClose.Enqueue((work, sequence.Request.Name));
        }

        if (Thread.CurrentThread != _thread)
        {
            _hasClosed = CloseAll();
        }
    }

    /// <summary>Closes work that is over, on the worker's thread. A GPU that has failed may fail here again, which does not end the
    /// thread.</summary>
    /// <returns>True if some was closed since the last call.</returns>
    public bool CloseAll()
    {
        while (_toClose.TryDequeue(out var closing))
        {
            _hasClosed = true;
            metrics?.OpenChanged(closing.Work.Utterance is null ? 0 : -1);
            try
            {
                closing.Work.Dispose();
            }
            catch (Exception e)
            {
                logger.LogError(e, "What a model had open for request {Request} could not be closed", closing.Request);
            }
        }

        var hasClosed = _hasClosed;
        _hasClosed = false;
        return hasClosed;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _handedOver.CompleteAdding();
        _thread?.Join();
        _handedOver.Dispose();
        CloseAll();
    }

    private void RunHandedOver()
    {
        foreach (var due in _handedOver.GetConsumingEnumerable())
        {
            Run(due);
        }
    }

    private void Run(IReadOnlyList<Sequence> due)
    {
        foreach (var sequence in due.Where(sequence => sequence.StepError is not null))
        {
            Fail(sequence, sequence.StepError!);
        }

        var chunks = due.Where(sequence => sequence.Work?.Utterance is not null)
            .Select(sequence => new DueChunk(
                sequence.Work!.Utterance!,
                chunk => Pass(sequence, chunk),
                error => Fail(sequence, error),
                sequence.Ended
            ))
            .ToList();
        if (chunks.Count > 0)
        {
            metrics?.Voicing(chunks.Count);
            try
            {
                model.VoiceChunks(chunks);
            }
            catch (Exception e)
            {
                chunks.ForEach(chunk => chunk.Fail(e)); // those not ready by then
            }
        }

        foreach (var sequence in due.Where(sequence => sequence.Request is not SpeechRequest))
        {
            try
            {
                sequence.Ended.ThrowIfCancellationRequested();
                engine.Publish(sequence, sequence.Request is ModelJob job ? new ModelJobDone(job.Run(model)) : Convert(sequence));
            }
            catch (Exception e)
            {
                Fail(sequence, e);
            }
        }
    }

    /// <summary>Passes a chunk on. A piece that is all in its first chunk is checked, and generated once more if it went wrong; of others,
    /// some has been played already.</summary>
    private void Pass(Sequence sequence, VoicedChunk chunk)
    {
        var (piece, work) = (sequence.Piece, sequence.Work!);
        var utterance = work.Utterance!;
        work.Samples += chunk.Samples.Length;
        if (!chunk.IsLast)
        {
            work.Chunks++;
            engine.Publish(
                sequence,
                new AudioChunk(piece, chunk.Samples, EndsPiece: false, TextTokens: 0, SpeechTokens: 0)
                {
                    UnknownCharacters = utterance.UnknownCharacters,
                }
            );
            return;
        }

        var speech = new SpeechResult(chunk.Samples, utterance.TextTokens, utterance.SpeechTokens, utterance.ReachedLimit)
        {
            UnknownCharacters = utterance.UnknownCharacters,
            Recovered = utterance.Recovered,
        };
        string? repair = null;
        if (options.GuardQuality && work.Chunks > 0)
        {
            (speech, repair) = QualityGuard.TrimLast(speech);
        }
        else if (options.GuardQuality)
        {
            if (sequence.FailedAttempt is null && QualityGuard.FaultOf(speech) is { } fault)
            {
                sequence.FailedAttempt = new(speech, fault);
                Close(sequence);
                engine.LetGo(sequence);
                return;
            }

            (speech, repair) = QualityGuard.Settle(speech, sequence.FailedAttempt);
        }

        End(sequence, speech, repair, work.Samples - chunk.Samples.Length + speech.Samples.Length);
    }

    private void End(Sequence sequence, SpeechResult speech, string? repair, int samples)
    {
        var piece = sequence.Piece;
        Report(sequence.Request, piece, speech.Recovered);
        if (repair is not null)
        {
            logger.LogInformation("Piece {Piece} of request {Request}: {Repair}", piece + 1, sequence.Request.Name, repair);
        }

        if (speech.UnknownCharacters.Count > 0)
        {
            // Only how many: the characters are the user's text, and of a script that the model lacks all of it.
            logger.LogWarning(
                "Piece {Piece} of request {Request} has {Count} characters that the model does not know",
                piece + 1,
                sequence.Request.Name,
                speech.UnknownCharacters.Count
            );
        }

        metrics?.Spoke(samples, speech.TextTokens, speech.SpeechTokens.Count, sequence.Work!.Taken + engine.TurnOf(sequence));
        Close(sequence);
        engine.Publish(
            sequence,
            new AudioChunk(piece, speech.Samples, EndsPiece: true, speech.TextTokens, speech.SpeechTokens.Count)
            {
                Repair = Join(repair, speech.Recovered),
                UnknownCharacters = speech.UnknownCharacters,
            }
        );
    }

    /// <summary>The next stretch of a recording.</summary>
    private AudioChunk Convert(Sequence sequence)
    {
        var request = (ConversionRequest)sequence.Request;
        sequence.Work ??= new(model.BeginConversion(request.Recording, VoiceOf(sequence, model), request.Seed));
        var conversion = (IVoiceConversion)sequence.Work.Doing;
        var samples = conversion.ConvertNext(progress: null, sequence.Ended);
        metrics?.Made(samples.Length, engine.TurnOf(sequence));
        if (!conversion.IsOver)
        {
            return new AudioChunk(Piece: 0, samples, EndsPiece: false, TextTokens: 0, SpeechTokens: 0);
        }

        Report(request, piece: 0, conversion.Recovered);
        Close(sequence);
        return new AudioChunk(Piece: 0, samples, EndsPiece: true, TextTokens: 0, conversion.SpeechTokens.Count)
        {
            Repair = Join(null, conversion.Recovered),
        };
    }

    /// <summary>Logs and counts stages whose output was not finite and that succeeded with plain operations.</summary>
    private void Report(EngineRequest request, int piece, IReadOnlyList<SynthesisStage> recovered)
    {
        foreach (var stage in recovered)
        {
            logger.LogWarning(
                "Piece {Piece} of request {Request}: the output of {Stage} was not finite, so it was computed again with plain operations",
                piece + 1,
                request.Name,
                stage
            );
            metrics?.Invalid(stage, recovered: true);
        }
    }

    private static string? Join(string? repair, IReadOnlyList<SynthesisStage> recovered)
    {
        string[] repairs = [.. recovered.Select(stage => $"invalid output of {stage}; computed again with plain operations")];
        return repairs is [] ? repair : string.Join("; ", repair is null ? repairs : [.. repairs, repair]);
    }
}
