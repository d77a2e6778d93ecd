using System.Diagnostics;
using System.Globalization;
using Chatterbox.Engine;
using Chatterbox.Service.Models;
using Microsoft.Extensions.Options;

namespace Chatterbox.Service.Hosting;

/// <summary>Where every route hands in its requests for speech: they are counted, measured, and told in the log.</summary>
internal sealed class SpeechDesk(ServiceMetrics metrics, IOptions<ServiceOptions> options, ILogger<SpeechDesk> logger)
{
    /// <summary>Puts a request into a model's queue for as long as its client stays, and tells the client its place.</summary>
    /// <param name="http">Who asks, and is answered.</param>
    /// <param name="route">The route's name in the log and in measurements.</param>
    /// <param name="model">Who is to speak.</param>
    /// <param name="request">What is to be said.</param>
    public SpeechJob Submit(HttpContext http, string route, FleetModel model, EngineRequest request)
    {
        http.Features.Set(model);
        var listener = new Listener(http.RequestAborted);
        http.Response.RegisterForDispose(listener); // where nobody has begun to listen when the answer ends, as after an error
        var job = Submit(Caller.Of(http), route, model, request, listener);
        TellPlace(job, http.Response.Headers);
        return job;
    }

    /// <summary>Puts a request into a model's queue, where its audio is no answer of its own.</summary>
    /// <inheritdoc cref="Submit(HttpContext, string, FleetModel, EngineRequest)"/>
    /// <param name="caller">Who asks.</param>
    /// <param name="route">The route's name in the log and in measurements.</param>
    /// <param name="model">Who is to speak.</param>
    /// <param name="request">What is to be said.</param>
    /// <param name="cancellationToken">Gives it up.</param>
    public SpeechJob Submit(Caller caller, string route, FleetModel model, EngineRequest request, CancellationToken cancellationToken) =>
        Submit(caller, route, model, request, new Listener(cancellationToken));

    private SpeechJob Submit(Caller caller, string route, FleetModel model, EngineRequest request, Listener listener)
    {
        var arrived = Stopwatch.GetTimestamp();
        try
        {
            var job = model.Submit(request with { Client = caller.Client, Name = caller.RequestId }, listener.Token);
            return job with
            {
                Events = Watch(
                    job.Events,
                    listener,
                    new Visit(caller.RequestId, route, model.Name, arrived, request is SpeechRequest { Pieces: var pieces } ? pieces : [])
                ),
            };
        }
        catch (UnavailableException e)
        {
            metrics.Ended(route, model.Name, "refused");
            logger.LogWarning("{Route} {RequestId}: refused: {Reason}", route, caller.RequestId, e.Message);
            throw;
        }
    }

    private static void TellPlace(SpeechJob job, IHeaderDictionary headers)
    {
        headers["X-Chatterbox-Queue-Position"] = job.Position.ToString(CultureInfo.InvariantCulture);
        if (job.ExpectedWait is { } wait)
        {
            headers["X-Chatterbox-Expected-Wait"] = wait.TotalSeconds.ToString("0.0", CultureInfo.InvariantCulture);
        }
    }

    private async IAsyncEnumerable<SpeechEvent> Watch(IAsyncEnumerable<SpeechEvent> events, Listener listener, Visit visit)
    {
        var (first, samples, failed, outcome) = ((TimeSpan?)null, 0L, 0, "left"); // left: nobody has read to the end
        await using var happening = events.GetAsyncEnumerator();
        try
        {
            while (true)
            {
                try
                {
                    if (!await happening.MoveNextAsync())
                    {
                        outcome = failed > 0 ? "failed" : "spoken";
                        break;
                    }
                }
                catch (Exception e)
                {
                    outcome = e is OperationCanceledException ? "left" : "given_up";
                    throw;
                }

                if (happening.Current is AudioChunk chunk)
                {
                    samples += chunk.Samples.Length;
                    if (first is null)
                    {
                        first = Stopwatch.GetElapsedTime(visit.Arrived);
                        metrics.FirstAudio(visit.Route, visit.Model, first.Value);
                    }
                }
                else
                {
                    failed++;
                }

                yield return happening.Current;
            }
        }
        finally
        {
            listener.Dispose();
            metrics.Ended(visit.Route, visit.Model, outcome);
            logger.LogInformation(
                "{Route} {RequestId}: {Outcome} by {Model}; {Pieces} pieces, {Characters} characters, first audio after "
                    + "{FirstAudioSeconds:0.000} s, {AudioSeconds:0.00} s of audio in {Seconds:0.00} s",
                visit.Route,
                visit.RequestId,
                outcome,
                visit.Model,
                visit.Pieces.Count,
                visit.Pieces.Sum(p => p.Length),
                first?.TotalSeconds,
                samples / (double)SpeechResult.SampleRate,
                Stopwatch.GetElapsedTime(visit.Arrived).TotalSeconds
            );
            if (options.Value.LogTexts)
            {
                logger.LogInformation(
                    "{Route} {RequestId}: text: {Text}",
                    visit.Route,
                    visit.RequestId,
                    LogText.Escape(string.Join(" ", visit.Pieces))
                );
            }
        }
    }

    /// <summary>Who listens to some speech. Once nobody does any more, the model gives up what is left of it.</summary>
    private sealed class Listener : IDisposable
    {
        private CancellationTokenSource? _leaves;

        public Listener(CancellationToken leaves)
        {
            _leaves = CancellationTokenSource.CreateLinkedTokenSource(leaves);
            Token = _leaves.Token;
        }

        public CancellationToken Token { get; }

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _leaves, null) is { } leaves)
            {
                leaves.Cancel();
                leaves.Dispose();
            }
        }
    }

    private sealed record Visit(string RequestId, string Route, string Model, long Arrived, IReadOnlyList<string> Pieces);
}
