using System.IO.Pipelines;
using System.Net.Sockets;
using System.Text.Json;
using Chatterbox.Audio;
using Chatterbox.Service.Hosting;
using Chatterbox.Service.OpenAi;
using Chatterbox.Service.Sessions;

namespace Chatterbox.Service.Wyoming;

/// <summary>A client of the protocol: its texts are spoken sentence by sentence, in PCM.</summary>
internal sealed class WyomingConnection : ISessionListener, IAsyncDisposable
{
    private const string Route = "wyoming";
    private const int MostChunkBytes = 8192; // clients play chunk by chunk

    private static readonly WyomingAudio Format = new(SpeechResult.SampleRate, Pcm16.BytesPerSample, 1);

    private readonly Stream _stream;
    private readonly SessionDesk _desk;
    private readonly Func<WyomingInfo> _describe;
    private readonly Caller _caller;
    private readonly CancellationTokenSource _gone;
    private readonly SemaphoreSlim _sending = new(1);
    private readonly SessionSpeaker _speaker;
    private readonly IdleWatch _idle;
    private bool _isWriting; // between synthesize-start and synthesize-stop
    private bool _isStreamed; // whether the text came so: each of its sentences is a stream of audio, otherwise all of it is one
    private bool _isPlaying; // between audio-start and audio-stop

    /// <param name="stream">Its connection.</param>
    /// <param name="desk">What it takes to speak.</param>
    /// <param name="caller">Who it is.</param>
    /// <param name="describe">What the service is.</param>
    /// <param name="stopping">Set when the service stops.</param>
    public WyomingConnection(Stream stream, SessionDesk desk, Caller caller, Func<WyomingInfo> describe, CancellationToken stopping)
    {
        (_stream, _desk, _caller, _describe) = (stream, desk, caller, describe);
        _gone = CancellationTokenSource.CreateLinkedTokenSource(stopping);
        _speaker = new SessionSpeaker(this, desk, caller, Route, _ => _gone.Cancel());
        _idle = new(desk.Time);
    }

    /// <summary>Serves the client until it leaves, or stays silent for too long.</summary>
    public async Task RunAsync()
    {
        var input = PipeReader.Create(_stream);
        var watching = WatchAsync();
        try
        {
            while (await WyomingFrame.ReadAsync(input, _desk.Options.MaxMessageBytes, _gone.Token) is { } frame)
            {
                _idle.Touch();
                await TakeAsync(frame);
            }
        }
        catch (WyomingException e)
        {
            await SendErrorAsync(e.Message, "invalid_message");
        }
        catch (Exception e) when (e is ChatterboxException or RefusedException)
        {
            // The client waits for an end of audio, which does not come: that of the connection tells it.
            var refusal = Refusal.From(e, _caller.RequestId);
            await SendErrorAsync(refusal.Message, refusal.Code ?? "error");
        }
        catch (Exception e) when (e is IOException or SocketException or OperationCanceledException or ObjectDisposedException)
        {
            // It has left, or the service stops.
        }
        finally
        {
            await _gone.CancelAsync();
            await watching;
            await input.CompleteAsync();
        }
    }

    /// <inheritdoc/>
    public Task TellAsync(Func<SessionEvent?> tell) =>
        InTurn(async () =>
        {
            switch (tell())
            {
                case SentenceBegun:
                    await StartAudio();
                    break;
                case SentenceDone when _isStreamed:
                    await StopAudio();
                    break;
                case SessionError error:
                    await Write("error", new WyomingError(error.Error.Message, error.Error.Code ?? "error"), default);
                    await (_isStreamed ? StopAudio() : Task.CompletedTask);
                    break;
                case SessionFlushed when _isStreamed:
                    await Write("synthesize-stopped", new WyomingNothing(), default);
                    break;
                case SessionFlushed:
                    await StartAudio(); // of a text without words, too: the client waits for an end
                    await StopAudio();
                    break;
            }
        });

    /// <inheritdoc/>
    public async Task PlayAsync(ReadOnlyMemory<byte> audio, Func<bool> isWanted)
    {
        for (; audio.Length > 0; audio = audio[Math.Min(MostChunkBytes, audio.Length)..])
        {
            var chunk = audio[..Math.Min(MostChunkBytes, audio.Length)];
            await InTurn(() => isWanted() ? Write("audio-chunk", Format, chunk) : Task.CompletedTask);
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _gone.CancelAsync();
        await _speaker.DisposeAsync();
        _sending.Dispose();
        _gone.Dispose();
    }

    private async Task TakeAsync(WyomingFrame frame)
    {
        switch (frame.Type)
        {
            case "describe":
                await InTurn(() => Write("info", _describe(), default));
                break;
            case "ping":
                await InTurn(() => Write("pong", new WyomingNothing(), default));
                break;
            case "synthesize" when !_isWriting: // within a streamed text it has all of it once more, for older servers
                await SetUp(frame, isStreamed: false);
                _speaker.Write(frame.Text("text") ?? throw OpenAiErrors.Invalid("text", "'text' is missing. Send what is to be said."));
                _speaker.Flush();
                break;
            case "synthesize-start":
                await SetUp(frame, isStreamed: true);
                _isWriting = true;
                break;
            case "synthesize-chunk" when _isWriting:
                _speaker.Write(frame.Text("text") ?? "");
                break;
            case "synthesize-stop" when _isWriting:
                _isWriting = false;
                _speaker.Flush();
                break;
            default:
                break; // of another kind of service, or out of its order
        }
    }

    private async Task SetUp(WyomingFrame frame, bool isStreamed)
    {
        var model = _desk.Fleet.Default;
        var language = frame.Text("voice", "language");
        var body = new SpeechBody(model.Name, "", new(frame.Text("voice", "name") ?? OpenAiOptions.Default))
        {
            Language =
                language is null || model.Served.Languages.Count == 0
                    ? null
                    : model.Served.Languages.FirstOrDefault(code =>
                        language == code
                        || language.StartsWith(code + "_", StringComparison.Ordinal)
                        || language.StartsWith(code + "-", StringComparison.Ordinal)
                    ) ?? language,
        };
        await _speaker.IdleAsync(_gone.Token); // a text that is sent while another is spoken is spoken behind it
        await _speaker.SetUpAsync(
            model,
            body,
            AudioFormat.Named["pcm"],
            isStreamed ? AudioStreams.Sentences : AudioStreams.UpToFlush,
            _gone.Token
        );
        _isStreamed = isStreamed;
    }

    private async Task StartAudio()
    {
        if (!_isPlaying)
        {
            await Write("audio-start", Format, default);
            _isPlaying = true;
        }
    }

    private async Task StopAudio()
    {
        if (_isPlaying)
        {
            await Write("audio-stop", new WyomingNothing(), default);
            _isPlaying = false;
        }
    }

    private Task SendErrorAsync(string text, string code) => InTurn(() => Write("error", new WyomingError(text, code), default));

    private async Task Write<T>(string type, T data, ReadOnlyMemory<byte> payload)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(_gone.Token);
        limit.CancelAfter(_desk.LongestSending);
        await _stream.WriteAsync(
            WyomingFrame.Write(type, JsonSerializer.SerializeToUtf8Bytes(data, Json.Of<T>()), payload.Span),
            limit.Token
        );
    }

    /// <summary>Sends when nobody else does. A client that does not read, or is gone, is left.</summary>
    private async Task InTurn(Func<Task> send)
    {
        await _sending.WaitAsync(CancellationToken.None);
        try
        {
            await send();
        }
        catch (Exception e) when (e is IOException or SocketException or OperationCanceledException or ObjectDisposedException)
        {
            await _gone.CancelAsync();
        }
        finally
        {
            _sending.Release();
        }
    }

    /// <summary>Leaves a client with which nothing happens.</summary>
    private async Task WatchAsync()
    {
        if (await _idle.ExpiresAsync(TimeSpan.FromSeconds(_desk.Options.IdleSeconds), () => _speaker.IsIdle, _gone.Token))
        {
            await _gone.CancelAsync();
        }
    }
}
