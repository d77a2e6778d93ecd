using System.Net.WebSockets;
using System.Text.Json;
using Chatterbox.Service.Hosting;
using Chatterbox.Service.Models;
using Chatterbox.Service.OpenAi;
using Chatterbox.Service.Streaming;
using Microsoft.Extensions.Options;

namespace Chatterbox.Service.Sessions;

/// <summary>A client that sends text as it is written and hears it meanwhile: takes its messages, one by one.</summary>
internal sealed class SpeechSession(
    SessionSocket socket, SessionSpeaker speaker, HttpContext http, ModelFleet fleet, ModelNames models, VoiceNames voices, FfmpegEncoder ffmpeg,
    IOptions<StreamingOptions> options, TimeProvider time)
{
    private readonly SentenceBuffer _buffer = new();
    private SessionSetup? _setup;
    private bool _isEnding;
    private bool _isClosing;
    private long _lastMessage = time.GetTimestamp();

    /// <summary>Serves the client until it leaves, says that it has done, or stays silent for too long.</summary>
    public async Task RunAsync()
    {
        using var watching = new CancellationTokenSource();
        try
        {
            var reading = ReadAsync();
            var ending = await await Task.WhenAny(reading, speaker.Over, WatchAsync(watching.Token));
            _isClosing = true;
            await socket.CloseAsync(ending.Status, ending.Reason, reading);
        }
        finally
        {
            await watching.CancelAsync();
        }
    }

    private async Task<Ending> ReadAsync()
    {
        try
        {
            while (await socket.ReceiveAsync() is { } message)
            {
                _lastMessage = time.GetTimestamp();
                if (!_isClosing)
                {
                    await TakeAsync(message.Bytes, message.IsText);
                }
            }

            return new(WebSocketCloseStatus.NormalClosure, "");
        }
        catch (MessageTooLongException)
        {
            await Tell(new(StatusCodes.Status413PayloadTooLarge, $"A message has more than {options.Value.MaxMessageBytes} bytes. Send the text in several.", Code: "message_too_large"));
            return new(WebSocketCloseStatus.MessageTooBig, "A message is too long.");
        }
    }

    /// <summary>Closes a session in which nothing happens.</summary>
    private async Task<Ending> WatchAsync(CancellationToken cancel)
    {
        var longest = TimeSpan.FromSeconds(options.Value.IdleSeconds);
        using var timer = new PeriodicTimer(TimeSpan.FromSeconds(Math.Clamp(longest.TotalSeconds / 4, 0.05, 1)), time);
        try
        {
            while (await timer.WaitForNextTickAsync(cancel))
            {
                if (!speaker.IsIdle)
                {
                    _lastMessage = time.GetTimestamp();
                }
                else if (time.GetElapsedTime(_lastMessage) >= longest)
                {
                    await Tell(new(StatusCodes.Status408RequestTimeout, $"Nothing came for {longest.TotalSeconds:0.#} s.", Code: "idle_timeout"));
                    break;
                }
            }
        }
        catch (OperationCanceledException)
        {
            // It has ended in another way.
        }

        return new(WebSocketCloseStatus.NormalClosure, "Nothing came for a while.");
    }

    private async Task TakeAsync(ReadOnlyMemory<byte> message, bool isText)
    {
        var type = typeof(SessionOrder);
        try
        {
            if (!isText)
            {
                throw OpenAiErrors.Invalid("type", "Messages are JSON objects in text frames; this was a binary frame.", "invalid_json");
            }

            using var json = JsonDocument.Parse(message);
            var name = json.RootElement.ValueKind == JsonValueKind.Object && json.RootElement.TryGetProperty("type", out var given) && given.ValueKind == JsonValueKind.String ? given.GetString() : null;
            switch (name)
            {
                case "session":
                    type = typeof(SessionSettings);
                    await SetUp(json.Deserialize(Json.Of<SessionSettings>())!);
                    break;
                case "text":
                    type = typeof(SessionText);
                    Hear(json.Deserialize(Json.Of<SessionText>())!.Text);
                    break;
                case "flush" or "end" or "cancel":
                    json.Deserialize(Json.Of<SessionOrder>());
                    await Obey(name);
                    break;
                default:
                    throw OpenAiErrors.Invalid("type", "'type' must be session, text, flush, cancel or end.");
            }
        }
        catch (JsonException e)
        {
            await Tell(RequestBody.Describe(e, type));
        }
        catch (Exception e) when (e is ChatterboxException or RefusedException)
        {
            await Tell(Refusal.From(e, http));
        }
    }

    private async Task SetUp(SessionSettings settings)
    {
        if (!speaker.IsIdle || _buffer.Text.Length > 0 || _isEnding)
        {
            throw OpenAiErrors.Invalid("type", "A session is changed while nothing is being spoken and no text waits. Send 'cancel' first, or 'flush' and wait for 'flushed'.", "session_busy");
        }

        if (settings.Audio is not ("binary" or "base64"))
        {
            throw OpenAiErrors.Invalid("audio", "'audio' must be binary or base64.");
        }

        var model = settings.Model is { } name ? models.Find(name) : fleet.Default;
        var body = settings.Saying(model.Name, "");
        SpeechParameters.Check(body, model.Served);
        var (format, _) = SpeechFormat.Of(settings.ResponseFormat, "audio", settings.Speed, ffmpeg);
        fleet.ThrowIfStarting();
        var voice = await voices.Find(settings.Voice, model, http.RequestAborted);
        _setup = new(model, voice, body, format, settings.Audio == "base64", settings.Seed ?? SpeechParameters.DrawSeed());
        speaker.SetUp(_setup);
        await socket.SendAsync(() => new SessionReady(http.TraceIdentifier, model.Name, SpeechResult.SampleRate, _setup.Seed));
    }

    private void Hear(string text)
    {
        ThrowIfNotReady();
        var waiting = speaker.CharactersLeft + _buffer.Text.Length;
        if (waiting + text.Length > options.Value.MaxWaitingCharacters)
        {
            throw new RefusedException(new Refusal(
                StatusCodes.Status429TooManyRequests,
                $"{waiting} characters wait to be spoken, and there can be {options.Value.MaxWaitingCharacters}. Send these {text.Length} again when some have been heard.",
                "text",
                "too_much_text"));
        }

        _buffer.Add(text);
        while (_buffer.TakeSentence() is { } sentence)
        {
            speaker.Say(sentence);
        }
    }

    private async Task Obey(string order)
    {
        ThrowIfNotReady(mayEnd: order == "cancel");
        if (order == "cancel")
        {
            await speaker.CancelAsync(_buffer.TakeRest());
            _isEnding = false;
            return;
        }

        if (_buffer.TakeRest() is { Length: > 0 } rest)
        {
            speaker.Say(rest);
        }

        if (order == "end")
        {
            _isEnding = true;
            speaker.End();
        }
        else
        {
            speaker.Flush();
        }
    }

    private void ThrowIfNotReady(bool mayEnd = false)
    {
        if (_setup is null)
        {
            throw OpenAiErrors.Invalid("type", "The first message must be of type session.", "session_missing");
        }

        if (_isEnding && !mayEnd)
        {
            throw OpenAiErrors.Invalid("type", "The session has been told to end: only 'cancel' can come behind that.", "session_ending");
        }
    }

    private Task Tell(Refusal refusal) => socket.SendAsync(() => new SessionError(OpenAiErrors.From(refusal), RetryAfter: refusal.RetryAfter?.TotalSeconds));
}
