using System.Runtime.ExceptionServices;
using System.Threading.Channels;
using Chatterbox.Audio;
using Chatterbox.Engine;
using Chatterbox.Service.Hosting;
using Chatterbox.Service.Models;
using Chatterbox.Service.OpenAi;
using Chatterbox.Service.Voices;
using Microsoft.Extensions.Options;

namespace Chatterbox.Service.Jobs;

/// <summary>Works on the jobs: a few pieces at once, clients alternating, in the background of everything else that the models
/// do.</summary>
internal sealed class JobRunner(
    JobStore store,
    ModelFleet fleet,
    VoiceCache voices,
    SpeechDesk desk,
    AudioCodecs codecs,
    IOptions<JobOptions> options,
    TimeProvider time,
    ILogger<JobRunner> logger
) : BackgroundService
{
    /// <summary>The route's name in the log and in measurements.</summary>
    public const string Route = "/v1/audio/jobs";

    private static readonly TimeSpan BetweenSweeps = TimeSpan.FromMinutes(10);
    private static readonly TimeSpan BetweenAttempts = TimeSpan.FromSeconds(5);

    private readonly Lock _gate = new();
    private readonly Dictionary<string, long> _lastTurns = [];
    private readonly Channel<bool> _wake = Channel.CreateBounded<bool>(
        new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite }
    );
    private long _turns;

    /// <summary>There may be something to do.</summary>
    public void Wake() => _wake.Writer.TryWrite(true);

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await Task.Yield(); // the service does not wait for it
        await Task.WhenAll([
            SweepAsync(stoppingToken),
            .. Enumerable.Range(0, options.Value.PiecesAtOnce).Select(_ => WorkAsync(stoppingToken)),
        ]);
    }

    private async Task SweepAsync(CancellationToken stopping)
    {
        using var timer = new PeriodicTimer(BetweenSweeps, time);
        do
        {
            store.Sweep();
        } while (await timer.WaitForNextTickAsync(stopping));
    }

    private async Task WorkAsync(CancellationToken stopping)
    {
        while (!stopping.IsCancellationRequested)
        {
            if (Next() is not { } job)
            {
                await _wake.Reader.ReadAsync(stopping);
                continue;
            }

            Wake(); // another worker may have something to do too
            await DoAsync(job.Job, job.Piece, stopping);
            Wake();
        }
    }

    private (AudioJob Job, int? Piece)? Next()
    {
        lock (_gate)
        {
            var now = time.GetUtcNow();
            var job = store
                .All.Where(job => job.HasWork(now))
                .OrderBy(job => _lastTurns.GetValueOrDefault(job.Plan.Client))
                .ThenBy(job => job.Plan.CreatedAt)
                .FirstOrDefault();
            if (job is null)
            {
                return null;
            }

            _lastTurns[job.Plan.Client] = ++_turns;
            return (job, job.Take());
        }
    }

    private async Task DoAsync(AudioJob job, int? piece, CancellationToken stopping)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(stopping, job.Stopped);
        try
        {
            if (piece is { } next)
            {
                await SpeakAsync(job, next, stop.Token);
            }
            else
            {
                await WriteAsync(job, stop.Token);
            }
        }
        catch (Exception) when (stop.IsCancellationRequested)
        {
            job.PutBack(piece); // paused or deleted, or the service stops
        }
        catch (UnavailableException e)
        {
            var wait = e is EngineBusyException busy && busy.RetryAfter > BetweenAttempts ? busy.RetryAfter : BetweenAttempts;
            job.PutBack(piece);
            job.WaitUntil(time.GetUtcNow() + wait, e.Message);
            _ = WakeAfterAsync(wait, stopping);
        }
        catch (Exception e)
        {
            job.PutBack(piece);
            await FailAsync(job, piece, e);
        }
    }

    private async Task WakeAfterAsync(TimeSpan wait, CancellationToken stopping)
    {
        await Task.Delay(wait, time, stopping).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        Wake();
    }

    private async Task SpeakAsync(AudioJob job, int piece, CancellationToken cancellationToken)
    {
        var plan = job.Plan;
        var model = fleet.Find(plan.Model) ?? throw OpenAiErrors.NoModel(fleet.All.Select(other => other.Name));
        var voice = plan.VoiceFile is null
            ? null
            : await voices.GetAsync(
                new VoiceEntry(plan.Speech.Voice.Name, Path.Combine(job.Folder, plan.VoiceFile)),
                model,
                plan.Client,
                cancellationToken
            );
        var request = new SpeechRequest
        {
            Pieces = [plan.Pieces[piece]],
            Voice = voice,
            Sampling = SpeechParameters.Sampling(plan.Speech, unchecked(plan.Speech.Seed!.Value + piece)), // as in one request
            Language = plan.Speech.Language,
            IsBackground = true,
        };
        var speaking = desk.Submit(new Caller(plan.Client, $"job-{plan.Id}-{piece + 1}"), Route, model, request, cancellationToken);
        var samples = new List<float>();
        await foreach (var happened in speaking.Events)
        {
            if (happened is PieceFailed failed)
            {
                ExceptionDispatchInfo.Throw(failed.Error);
            }

            samples.AddRange(((AudioChunk)happened).Samples.Span);
        }

        cancellationToken.ThrowIfCancellationRequested();
        store.MakeRoomFor(PieceFile.BytesOf(samples.Count));
        var pcm = Pcm16.Encode([.. samples]);
        await WholeFile.WriteAsync(job.PathOf(piece), part => File.WriteAllBytesAsync(part, pcm, cancellationToken), File.Move);
        job.Finish(piece, samples.Count);
    }

    private async Task WriteAsync(AudioJob job, CancellationToken cancellationToken)
    {
        var (format, speed) = (job.Plan.Format, job.Plan.Speech.Speed);
        var samples = Enumerable.Range(0, job.Plan.Pieces.Count).Sum(piece => PieceFile.SamplesOf(job.PathOf(piece)));
        store.MakeRoomFor((long)(PieceFile.BytesOf(samples) / speed * format.SampleRate / SpeechResult.SampleRate));
        var writer = new BookWriter(codecs, piece => PieceFile.Read(job.PathOf(piece)), piece => PieceFile.SamplesOf(job.PathOf(piece)));
        await WholeFile.WriteAsync(
            job.ResultPath,
            part => writer.WriteAsync(part, job.Plan.Book, format, speed, cancellationToken),
            (part, path) => File.Move(part, path, overwrite: true)
        );
        await store.SetAsync(job, JobState.Done);
        JobStore.DeletePieces(job);
        logger.LogInformation(
            "Job {Job} is done: {Pieces} pieces, {Seconds:0.0} s of speech",
            job.Plan.Id,
            job.Plan.Pieces.Count,
            samples / (double)SpeechResult.SampleRate
        );
    }

    private async Task FailAsync(AudioJob job, int? piece, Exception error)
    {
        if (job.IsRemoved)
        {
            return;
        }

        var refusal = Refusal.From(error, $"job-{job.Plan.Id}");
        if (error is EncoderException or not (ChatterboxException or RefusedException) && refusal.Code != "disk_full")
        {
            logger.LogError(error, "Job {Job} failed", job.Plan.Id);
        }
        else
        {
            logger.LogWarning("Job {Job} failed: {Reason}", job.Plan.Id, error.Message);
        }

        var message =
            error is IOException && refusal.Code == "disk_full"
                ? "The disk of this service is full: what is generated so far is kept. Free some room, then resume the job."
            : piece is { } at && refusal.Code != "disk_full" ? $"Piece {at + 1}: {refusal.Message}"
            : refusal.Message;
        await store.SetAsync(job, JobState.Failed, OpenAiErrors.From(refusal with { Message = message }));
    }
}
