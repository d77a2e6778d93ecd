using System.Net.WebSockets;
using System.Threading.Channels;
using Chatterbox.Engine;
using Chatterbox.Service.Hosting;
using Chatterbox.Service.Models;
using Chatterbox.Service.OpenAi;
using Chatterbox.Service.Streaming;

namespace Chatterbox.Service.Sessions;

/// <summary>How a session speaks.</summary>
/// <param name="Model">Who speaks.</param>
/// <param name="Voice">In which voice; null for the model's own.</param>
/// <param name="Settings">The parameters.</param>
/// <param name="Format">The form of its audio.</param>
/// <param name="AsEvents">Whether audio comes in events.</param>
/// <param name="Seed">The seed of the first piece of text.</param>
internal sealed record SessionSetup(FleetModel Model, Voice? Voice, SpeechBody Settings, AudioFormat Format, bool AsEvents, long Seed);

/// <summary>How a connection ends.</summary>
internal sealed record Ending(WebSocketCloseStatus Status, string Reason);

/// <summary>Speaks a session's sentences in order, one at a time. Those up to a flush are one stream of audio, with one encoder.</summary>
internal sealed class SessionSpeaker : IAsyncDisposable
{
    private readonly SessionSocket _socket;
    private readonly HttpContext _http;
    private readonly SpeechDesk _desk;
    private readonly FfmpegEncoder _ffmpeg;
    private readonly StreamingOptions _options;
    private readonly ILogger<SpeechSession> _logger;
    private readonly CancellationToken _stopping;
    private readonly TaskCompletionSource<Ending> _over = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private SessionSetup? _setup;
    private Round _round;
    private int _sentences;
    private int _pieces;
    private SpeechUsage _usage = new(0, 0, 0);

    /// <param name="socket">Where it is heard.</param>
    /// <param name="http">Who hears it.</param>
    /// <param name="desk">Takes its sentences.</param>
    /// <param name="ffmpeg">Encodes them.</param>
    /// <param name="options">How they are cut.</param>
    /// <param name="logger">Told what fails.</param>
    /// <param name="stopping">Set when the service stops; the sentence that is being spoken is then the last.</param>
    public SessionSpeaker(
        SessionSocket socket, HttpContext http, SpeechDesk desk, FfmpegEncoder ffmpeg, StreamingOptions options, ILogger<SpeechSession> logger, CancellationToken stopping)
    {
        (_socket, _http, _desk, _ffmpeg, _options, _logger, _stopping) = (socket, http, desk, ffmpeg, options, logger, stopping);
        _round = Begin(Task.CompletedTask);
    }

    /// <summary>Completes when everything has been spoken and no more comes, or the service stops.</summary>
    public Task<Ending> Over => _over.Task;

    /// <summary>Characters of the sentences that are not spoken to their end.</summary>
    public int CharactersLeft => _round.CharactersLeft;

    /// <summary>True while nothing is being spoken, and nothing waits.</summary>
    public bool IsIdle => !_round.HasWork;

    /// <summary>Sets how it speaks from now on; to be called while it is idle.</summary>
    public void SetUp(SessionSetup setup) => (_setup, _pieces) = (setup, 0);

    /// <summary>Speaks a sentence behind those it has.</summary>
    public void Say(string sentence) => _round.Add(new Sentence(_sentences++, sentence));

    /// <summary>Ends a stream of audio behind the sentences it has.</summary>
    public void Flush() => _round.Add(new Mark(EndsSession: false));

    /// <summary>Ends the session behind the sentences it has.</summary>
    public void End() => _round.Add(new Mark(EndsSession: true));

    /// <summary>Drops everything, and says what.</summary>
    /// <param name="rest">What has come of the sentence behind those it has.</param>
    public async Task CancelAsync(string rest)
    {
        var round = _round;
        await round.Stop.CancelAsync(); // the model stops before its next token
        await _socket.SendAsync(() => new SessionCancelled(round.Drop(), rest));
        _round = Begin(round.Spoken);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _round.Stop.CancelAsync();
        await _round.Spoken;
    }

    private Round Begin(Task before)
    {
        var round = new Round();
        round.Spoken = SpeakAsync(round, before);
        return round;
    }

    private async Task SpeakAsync(Round round, Task before)
    {
        await before;
        try
        {
            while (await HasMore(round))
            {
                await SpeakUtterance(_setup!, round);
            }

            if (_stopping.IsCancellationRequested)
            {
                await TellError(new UnavailableException("The service is stopping. Try again when it is back."), round);
                _over.TrySetResult(new(WebSocketCloseStatus.EndpointUnavailable, "The service is stopping."));
            }
        }
        catch (OperationCanceledException) when (round.Stop.IsCancellationRequested)
        {
            // Nobody wants to hear the rest.
        }
        catch (Exception e)
        {
            _logger.LogError(e, "Session {RequestId} failed", _http.TraceIdentifier);
            await TellError(e, round);
            _over.TrySetResult(new(WebSocketCloseStatus.InternalServerError, "The service failed."));
        }
    }

    /// <summary>Speaks what comes up to a mark, as one stream of audio.</summary>
    private async Task SpeakUtterance(SessionSetup setup, Round round)
    {
        var begun = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        try
        {
            await foreach (var bytes in setup.Format.Encode(Blocks(setup, round, begun), begun.Task, setup.Settings.Speed, _ffmpeg, round.Stop.Token))
            {
                await _socket.SendAudioAsync(bytes, setup.AsEvents, () => !round.IsDropped);
            }
        }
        catch (EncoderException e)
        {
            _logger.LogWarning(e, "The audio of session {RequestId} ended early", _http.TraceIdentifier);
            await TellError(e, round);
            return;
        }

        if (round.Reached is { } mark)
        {
            await _socket.SendAsync(() => !round.Finish(mark) ? null : mark.EndsSession ? new SessionDone(_usage) : new SessionFlushed());
            if (mark.EndsSession && !round.Stop.IsCancellationRequested)
            {
                _over.TrySetResult(new(WebSocketCloseStatus.NormalClosure, ""));
            }
        }
    }

    private async IAsyncEnumerable<float[]> Blocks(SessionSetup setup, Round round, TaskCompletionSource begun)
    {
        string? before = null;
        round.Reached = null;
        while (await HasMore(round) && round.Items.Reader.TryRead(out var item))
        {
            if (item is not Sentence sentence)
            {
                round.Reached = (Mark)item;
                yield break;
            }

            await _socket.SendAsync(() => round.IsDropped ? null : new SentenceBegun(sentence.Index, sentence.Text));
            await foreach (var block in Speak(setup, sentence, before, round, begun))
            {
                yield return block;
                sentence.Samples += block.Length;
            }

            before = sentence.Text;
        }
    }

    /// <summary>Speaks a sentence, and tells its end or why it could not be spoken to it.</summary>
    private async IAsyncEnumerable<float[]> Speak(SessionSetup setup, Sentence sentence, string? before, Round round, TaskCompletionSource begun)
    {
        using var left = CancellationTokenSource.CreateLinkedTokenSource(round.Stop.Token);
        JoinedSpeech? speech = null;
        Exception? failure = null;
        IAsyncEnumerator<float[]>? blocks = null;
        try
        {
            (speech, blocks) = Begin(setup, sentence, before, begun, left.Token);
        }
        catch (ChatterboxException e)
        {
            failure = e;
        }

        var isHeard = false;
        try
        {
            while (blocks is not null && failure is null)
            {
                try
                {
                    if (!await blocks.MoveNextAsync())
                    {
                        break;
                    }
                }
                catch (Exception e) when (!left.IsCancellationRequested)
                {
                    failure = e;
                    break;
                }

                yield return blocks.Current;
            }

            isHeard = true;
        }
        finally
        {
            await left.CancelAsync();
            await (blocks?.DisposeAsync() ?? default);
            if (!isHeard && !round.Stop.IsCancellationRequested)
            {
                round.Finish(sentence); // its encoder has failed, which is told there
            }
        }

        await Tell(sentence, speech, failure, round);
    }

    /// <summary>Queues a sentence.</summary>
    private (JoinedSpeech Speech, IAsyncEnumerator<float[]> Blocks) Begin(SessionSetup setup, Sentence sentence, string? before, TaskCompletionSource begun, CancellationToken cancel)
    {
        var plan = TextPlan.OfSentence(sentence.Text, "text");
        if (plan.Pieces.Count == 0)
        {
            return (new JoinedSpeech(plan), new[] { JoinedSpeech.Silence(plan.PausesSeconds[0]) }.Where(pause => pause.Length > 0).ToAsyncEnumerable().GetAsyncEnumerator(cancel));
        }

        var request = new SpeechRequest
        {
            Pieces = plan.Pieces,
            Voice = setup.Voice,
            Sampling = SpeechParameters.Sampling(setup.Settings, unchecked(setup.Seed + _pieces)),
            Language = setup.Settings.Language,
            Chunks = setup.Settings.Chunk ? _options.Chunks() : null,
        };
        _pieces += plan.Pieces.Count;
        var job = _desk.Submit(_http, SessionEndpoints.Route, setup.Model, request, cancel);
        _ = job.Begun.ContinueWith(_ => begun.TrySetResult(), TaskScheduler.Default);
        var speech = new JoinedSpeech(before is null ? plan : plan.Behind(before));
        return (speech, speech.Blocks(job.Events, cancel).GetAsyncEnumerator(cancel));
    }

    private async Task Tell(Sentence sentence, JoinedSpeech? speech, Exception? failure, Round round)
    {
        if (failure is not null)
        {
            await TellError(failure, round, sentence);
            return;
        }

        var usage = SpeechUsage.Of(speech!);
        _usage = new(_usage.InputTokens + usage.InputTokens, _usage.OutputTokens + usage.OutputTokens, _usage.TotalTokens + usage.TotalTokens);
        await _socket.SendAsync(() => round.Finish(sentence) ? new SentenceDone(sentence.Index, sentence.Seconds, usage, speech!.Repairs.Count > 0 ? speech.Repairs : null) : null);
    }

    private Task TellError(Exception error, Round round, Sentence? sentence = null)
    {
        var refusal = error switch
        {
            PieceFailedException { InnerException: ChatterboxException known } => Refusal.From(known, _http),
            PieceFailedException or EncoderException => OpenAiErrors.SpeechFailed,
            _ => Refusal.From(error, _http),
        };
        return _socket.SendAsync(() => (sentence is null ? !round.IsDropped : round.Finish(sentence))
            ? new SessionError(OpenAiErrors.From(refusal), sentence?.Index, refusal.RetryAfter?.TotalSeconds)
            : null);
    }

    /// <returns>False once the service stops; what has begun is spoken to its end.</returns>
    private async Task<bool> HasMore(Round round)
    {
        using var waiting = CancellationTokenSource.CreateLinkedTokenSource(round.Stop.Token, _stopping);
        try
        {
            return await round.Items.Reader.WaitToReadAsync(waiting.Token);
        }
        catch (OperationCanceledException) when (!round.Stop.IsCancellationRequested)
        {
            return false;
        }
    }

    private abstract record Item;

    private sealed record Sentence(int Index, string Text) : Item
    {
        /// <summary>How many have been sent.</summary>
        public int Samples { get; set; }

        public double Seconds => Samples / (double)SpeechResult.SampleRate;
    }

    /// <summary>A stream of audio ends here.</summary>
    private sealed record Mark(bool EndsSession) : Item;

    /// <summary>What there is to speak, until all of it is dropped.</summary>
    private sealed class Round
    {
        private readonly Lock _gate = new();
        private readonly List<Item> _left = [];      // not spoken to their end

        public Channel<Item> Items { get; } = Channel.CreateUnbounded<Item>(new() { SingleReader = true });

        public CancellationTokenSource Stop { get; } = new();

        /// <summary>Completes when nothing of it is being spoken any more.</summary>
        public Task Spoken { get; set; } = Task.CompletedTask;

        /// <summary>The mark up to which it has been spoken, while that is being told.</summary>
        public Mark? Reached { get; set; }

        public bool IsDropped { get; private set; }

        public bool HasWork
        {
            get
            {
                lock (_gate)
                {
                    return _left.Count > 0;
                }
            }
        }

        public int CharactersLeft
        {
            get
            {
                lock (_gate)
                {
                    return _left.OfType<Sentence>().Sum(sentence => sentence.Text.Length);
                }
            }
        }

        public void Add(Item item)
        {
            lock (_gate)
            {
                _left.Add(item);
            }

            Items.Writer.TryWrite(item);
        }

        /// <summary>Takes what has been spoken to its end off what is left.</summary>
        /// <returns>False where it was dropped before.</returns>
        public bool Finish(Item item)
        {
            lock (_gate)
            {
                return _left.Remove(item);
            }
        }

        /// <summary>Drops what is left.</summary>
        public IReadOnlyList<DroppedSentence> Drop()
        {
            lock (_gate)
            {
                IsDropped = true;
                var dropped = _left.OfType<Sentence>().Select(sentence => new DroppedSentence(sentence.Index, sentence.Text, sentence.Seconds)).ToList();
                _left.Clear();
                return dropped;
            }
        }
    }
}
