using System.Net.WebSockets;
using Chatterbox.Audio;
using Chatterbox.Engine;
using Chatterbox.Service.Hosting;
using Chatterbox.Service.Models;
using Chatterbox.Service.OpenAi;
using Chatterbox.Text;

namespace Chatterbox.Service.Sessions;

/// <summary>How a session speaks.</summary>
/// <param name="Model">Who speaks.</param>
/// <param name="Voice">In which voice.</param>
/// <param name="Settings">The parameters.</param>
/// <param name="Format">The form of its audio.</param>
/// <param name="Seed">The seed of the first piece of text.</param>
internal sealed record SessionSetup(FleetModel Model, NamedVoice Voice, SpeechBody Settings, AudioFormat Format, long Seed)
{
    /// <summary>What is spoken of its text.</summary>
    public required SpokenForm Form { get; init; }

    /// <summary>What one stream of its audio is.</summary>
    public AudioStreams Streams { get; init; }

    /// <summary>Whether a stream is sent once it is complete, with its length in its header.</summary>
    public bool IsWhole { get; init; }
}

/// <summary>What one stream of a session's audio is: one file of its format.</summary>
internal enum AudioStreams
{
    /// <summary>What comes up to a flush.</summary>
    UpToFlush,

    /// <summary>The same, and what follows continues its speech, with the pause that belongs between sentences.</summary>
    Continued,

    /// <summary>A sentence, told to be done behind the last byte of it.</summary>
    Sentences,
}

/// <summary>How a connection ends.</summary>
internal sealed record Ending(WebSocketCloseStatus Status, string Reason);

/// <summary>The core of every session: takes a text while it is written, and speaks its sentences in order, one at a time. Those up to
/// a flush are one stream of audio, with one encoder.</summary>
internal sealed class SessionSpeaker : IAsyncDisposable
{
    private const int MostMarks = 100; // flushes that wait: each is answered, and costs memory until then

    private readonly ISessionListener _listener;
    private readonly SessionDesk _desk;
    private readonly Caller _caller;
    private readonly string _route;
    private readonly Action<Ending> _end;
    private readonly SentenceBuffer _buffer = new();
    private SessionSetup? _setup;
    private IDisposable? _encoder; // the place of its encoder, where it has one
    private SessionRound _round;
    private bool _isEnding;
    private int _sentences;
    private int _pieces;
    private SpeechUsage _usage = new(0, 0, 0);

    /// <param name="listener">Where it is heard.</param>
    /// <param name="desk">What it takes to speak.</param>
    /// <param name="caller">Who hears it.</param>
    /// <param name="route">The route's name in the log and in measurements.</param>
    /// <param name="end">Called when everything has been spoken and no more comes, or the service stops or fails.</param>
    public SessionSpeaker(ISessionListener listener, SessionDesk desk, Caller caller, string route, Action<Ending> end)
    {
        (_listener, _desk, _caller, _route, _end) = (listener, desk, caller, route, end);
        _round = Begin(Task.CompletedTask);
    }

    /// <summary>True while nothing is being spoken, and nothing waits.</summary>
    public bool IsIdle => !_round.HasWork;

    /// <summary>Whether the text has been said to be complete.</summary>
    public bool IsEnding => _isEnding;

    /// <summary>Waits until nothing is being spoken, and nothing waits.</summary>
    public Task IdleAsync(CancellationToken cancellationToken) => _round.WhenDone.WaitAsync(cancellationToken);

    /// <summary>Sets how it speaks from now on; possible only while it is idle.</summary>
    /// <param name="model">Who speaks.</param>
    /// <param name="body">The parameters; the text in it is of no account.</param>
    /// <param name="format">The form of its audio.</param>
    /// <param name="streams">What one stream of its audio is.</param>
    /// <param name="cancellationToken">Stops waiting for the voice.</param>
    /// <param name="isWhole">Whether a stream is sent once it is complete.</param>
    /// <exception cref="RefusedException">A parameter is wrong, there is no such voice, or something is being spoken.</exception>
    public async Task<SessionSetup> SetUpAsync(
        FleetModel model,
        SpeechBody body,
        AudioFormat format,
        AudioStreams streams,
        CancellationToken cancellationToken,
        bool isWhole = false
    )
    {
        if (!IsIdle || _buffer.Text.Length > 0 || _isEnding)
        {
            throw OpenAiErrors.Invalid(
                "type",
                "A session can be changed only while nothing is being spoken and no text waits. Send 'cancel' first, or 'flush' and wait "
                    + "for 'flushed'.",
                "session_busy"
            );
        }

        SpeechParameters.Check(body, model.Served, TextLimits.OpenAi);
        var form = _desk.Forms.Of(model.Served, body);
        _desk.Fleet.ThrowIfStarting();
        if (AudioCodecs.NeedsProcess(format))
        {
            _encoder ??= _desk.Encoders.Enter(_caller.Client);
        }

        var voice = await _desk.Voices.Find(body.Voice, model, _caller.Client, cancellationToken);
        _setup = new(model, voice, body, format, body.Seed ?? SpeechParameters.DrawSeed())
        {
            Form = form,
            Streams = streams,
            IsWhole = isWhole,
        };
        _pieces = 0;
        return _setup;
    }

    /// <summary>Takes the next characters of the text; sentences are spoken as soon as they are complete.</summary>
    /// <exception cref="RefusedException">Too much of it waits.</exception>
    public void Write(string text)
    {
        ThrowIfNotReady();
        var (waiting, most) = (_round.CharactersLeft + _buffer.Text.Length, _desk.Options.MaxWaitingCharacters);
        if (waiting + text.Length > most)
        {
            throw new RefusedException(
                new Refusal(
                    StatusCodes.Status429TooManyRequests,
                    $"{waiting} characters wait to be spoken, and the limit is {most}. Send these {text.Length} again when some have "
                        + $"been spoken.",
                    "text",
                    "too_much_text"
                )
            );
        }

        _buffer.Add(text);
        while (_buffer.TakeSentence() is { } sentence)
        {
            Say(sentence);
        }
    }

    /// <summary>Speaks the text that waits, complete or not, and ends a stream of audio behind it.</summary>
    /// <exception cref="RefusedException">Too many flushes wait.</exception>
    public void Flush() => EndStream(endsSession: false);

    /// <summary>Speaks the text that waits, and ends the session behind it.</summary>
    /// <inheritdoc cref="Flush"/>
    public void End()
    {
        EndStream(endsSession: true);
        _isEnding = true;
    }

    /// <summary>Drops everything, and says what.</summary>
    public async Task CancelAsync()
    {
        ThrowIfNotReady(mayEnd: true);
        var (round, rest) = (_round, _buffer.TakeRest());
        await round.Stop.CancelAsync(); // the model stops before its next token
        await _listener.TellAsync(() => new SessionCancelled(round.Drop(), rest));
        _isEnding = false;
        _setup = _setup! with { Form = _setup.Form.Afresh() };
        _round = Begin(round.Spoken);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _round.Stop.CancelAsync();
        await _round.Spoken;
        _encoder?.Dispose();
    }

    private void Say(string sentence) => _round.Add(new SessionSentence(_sentences++, sentence));

    private void EndStream(bool endsSession)
    {
        ThrowIfNotReady();
        if (_round.MarksLeft >= MostMarks)
        {
            throw new RefusedException(
                new Refusal(
                    StatusCodes.Status429TooManyRequests,
                    $"{MostMarks} flushes wait for the speech before them, and there can be no more. Send another when some are answered.",
                    "type",
                    "too_many_flushes"
                )
            );
        }

        if (_buffer.TakeRest() is { Length: > 0 } rest)
        {
            Say(rest);
        }

        _round.Add(new SessionMark(endsSession));
    }

    private void ThrowIfNotReady(bool mayEnd = false)
    {
        if (_setup is null)
        {
            throw OpenAiErrors.Invalid("type", "The first message must be of type session.", "session_missing");
        }

        if (_isEnding && !mayEnd)
        {
            throw OpenAiErrors.Invalid("type", "After 'end' only 'cancel' is accepted.", "session_ending");
        }
    }

    private SessionRound Begin(Task before)
    {
        var round = new SessionRound();
        round.Spoken = SpeakAsync(round, before);
        return round;
    }

    private async Task SpeakAsync(SessionRound round, Task before)
    {
        await before;
        try
        {
            while (await HasMore(round))
            {
                await SpeakStream(_setup!, round);
            }

            if (_desk.Stopping.IsCancellationRequested)
            {
                await TellError(new UnavailableException("The service is stopping. Try again when it is back."), round);
                _end(new(WebSocketCloseStatus.EndpointUnavailable, "The service is stopping."));
            }
        }
        catch (OperationCanceledException) when (round.Stop.IsCancellationRequested)
        {
            // Nobody wants to hear the rest.
        }
        catch (Exception e)
        {
            _desk.Logger.LogError(e, "Session {RequestId} failed", _caller.RequestId);
            await TellError(e, round);
            _end(new(WebSocketCloseStatus.InternalServerError, "The service failed."));
        }
    }

    /// <summary>Speaks what comes up to a mark, or a sentence where each has a stream of its own, as one stream of audio.</summary>
    private async Task SpeakStream(SessionSetup setup, SessionRound round)
    {
        var stream = new AudioStream();
        try
        {
            var audio = _desk.Codecs.Encode(
                Blocks(setup, round, stream),
                setup.Format,
                setup.Settings.Speed,
                stream.Begun.Task,
                setup.IsWhole,
                round.Stop.Token
            );
            await foreach (var bytes in audio)
            {
                await _listener.PlayAsync(bytes, () => !round.IsDropped);
            }
        }
        catch (EncoderException e)
        {
            _desk.Logger.LogWarning(e, "The audio of session {RequestId} ended early", _caller.RequestId);
            await TellError(e, round, stream.Spoken?.Sentence);
            return;
        }

        if (stream.Spoken is { } spoken)
        {
            await Tell(spoken, round);
        }

        if (round.Reached is { } mark)
        {
            round.Reached = null;
            await _listener.TellAsync(() =>
                !round.Finish(mark) ? null
                : mark.EndsSession ? new SessionDone(_usage)
                : new SessionFlushed()
            );
            if (mark.EndsSession && !round.Stop.IsCancellationRequested)
            {
                _end(new(WebSocketCloseStatus.NormalClosure, ""));
            }
        }
    }

    private async IAsyncEnumerable<ReadOnlyMemory<float>> Blocks(SessionSetup setup, SessionRound round, AudioStream stream)
    {
        while (await HasMore(round) && round.Items.Reader.TryRead(out var item))
        {
            if (item is not SessionSentence sentence)
            {
                round.Reached = (SessionMark)item;
                round.Before = setup.Streams == AudioStreams.Continued ? round.Before : null;
                yield break;
            }

            await _listener.TellAsync(() => round.IsDropped ? null : new SentenceBegun(sentence.Index, sentence.Text));
            await foreach (var block in Speak(setup, sentence, round, stream))
            {
                yield return block;
                sentence.Samples += block.Length;
            }

            round.Before = sentence.Text;
            if (setup.Streams == AudioStreams.Sentences)
            {
                yield break;
            }
        }
    }

    /// <summary>Speaks a sentence, and tells its end or why it could not be spoken to it.</summary>
    private async IAsyncEnumerable<ReadOnlyMemory<float>> Speak(
        SessionSetup setup,
        SessionSentence sentence,
        SessionRound round,
        AudioStream stream
    )
    {
        using var left = CancellationTokenSource.CreateLinkedTokenSource(round.Stop.Token);
        JoinedSpeech? speech = null;
        Exception? failure = null;
        IAsyncEnumerator<ReadOnlyMemory<float>>? blocks = null;
        try
        {
            (speech, blocks) = Begin(setup, sentence, round.Before, stream, left.Token);
        }
        catch (Exception e) when (e is ChatterboxException or RefusedException)
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

        var spoken = new Spoken(sentence, speech, failure);
        if (setup.Streams == AudioStreams.Sentences)
        {
            stream.Spoken = spoken; // told behind the last byte
        }
        else
        {
            await Tell(spoken, round);
        }
    }

    /// <summary>Queues a sentence.</summary>
    private (JoinedSpeech Speech, IAsyncEnumerator<ReadOnlyMemory<float>> Blocks) Begin(
        SessionSetup setup,
        SessionSentence sentence,
        string? before,
        AudioStream stream,
        CancellationToken cancellationToken
    )
    {
        var plan = TextPlan.OfSentence(sentence.Text, "text", setup.Form);
        if (plan.Pieces.Count == 0)
        {
            return (
                new JoinedSpeech(plan),
                new ReadOnlyMemory<float>[] { JoinedSpeech.Silence(plan.PausesSeconds[0]) }
                    .Where(pause => pause.Length > 0)
                    .ToAsyncEnumerable()
                    .GetAsyncEnumerator(cancellationToken)
            );
        }

        var request = new SpeechRequest
        {
            Pieces = plan.Pieces,
            Voice = setup.Voice.Voice,
            Sampling = SpeechParameters.Sampling(setup.Settings, unchecked(setup.Seed + _pieces)),
            Language = setup.Settings.Language,
            Chunks = setup.Settings.Chunk ? _desk.Options.Chunks() : null,
        };
        _desk.Rate.ThrowIfTooMany(_caller.Client);
        _pieces += plan.Pieces.Count;
        var job = _desk.Speech.Submit(_caller, _route, setup.Model, request, cancellationToken);
        _ = job.Begun.ContinueWith(_ => stream.Begun.TrySetResult(), TaskScheduler.Default);
        var speech = new JoinedSpeech(before is null ? plan : plan.Behind(before));
        return (speech, speech.Blocks(job.Events, cancellationToken).GetAsyncEnumerator(cancellationToken));
    }

    private async Task Tell(Spoken spoken, SessionRound round)
    {
        var (sentence, speech, failure) = spoken;
        if (failure is not null)
        {
            await TellError(failure, round, sentence);
            return;
        }

        var usage = SpeechUsage.Of(speech!);
        _usage = new(
            _usage.InputTokens + usage.InputTokens,
            _usage.OutputTokens + usage.OutputTokens,
            _usage.TotalTokens + usage.TotalTokens
        );
        await _listener.TellAsync(() =>
            round.Finish(sentence)
                ? new SentenceDone(sentence.Index, sentence.Seconds, usage, speech!.Repairs.Count > 0 ? speech.Repairs : null)
                : null
        );
    }

    private Task TellError(Exception error, SessionRound round, SessionSentence? sentence = null)
    {
        var refusal = Refusal.From(error, _caller.RequestId);
        return _listener.TellAsync(() =>
            (sentence is null ? !round.IsDropped : round.Finish(sentence))
                ? new SessionError(OpenAiErrors.From(refusal), sentence?.Index, refusal.RetryAfter?.TotalSeconds)
                : null
        );
    }

    /// <returns>False once the service stops; what has begun is spoken to its end.</returns>
    private async Task<bool> HasMore(SessionRound round)
    {
        using var waiting = CancellationTokenSource.CreateLinkedTokenSource(round.Stop.Token, _desk.Stopping);
        try
        {
            return await round.Items.Reader.WaitToReadAsync(waiting.Token);
        }
        catch (OperationCanceledException) when (!round.Stop.IsCancellationRequested)
        {
            return false;
        }
    }

    /// <summary>A sentence that is over.</summary>
    private sealed record Spoken(SessionSentence Sentence, JoinedSpeech? Speech, Exception? Failure);

    /// <summary>A stream of audio that is being made.</summary>
    private sealed class AudioStream
    {
        /// <summary>Completes when its first block is near.</summary>
        public TaskCompletionSource Begun { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        /// <summary>The sentence to be told of at its end.</summary>
        public Spoken? Spoken { get; set; }
    }
}
