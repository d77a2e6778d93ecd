using System.Text.Json;
using Chatterbox.Service.Hosting;
using Chatterbox.Service.OpenAi;

namespace Chatterbox.Service.Sessions;

/// <summary>The service's own dialect of a session: docs/websocket.md.</summary>
internal sealed class SpeechSession : SessionDialect, ISessionListener
{
    private readonly SocketSession _session;
    private readonly SessionSpeaker _speaker;
    private bool _asEvents; // whether audio comes in messages, in base64

    /// <param name="session">The connection.</param>
    public SpeechSession(SocketSession session) => (_session, _speaker) = (session, session.Speaker(this, SessionEndpoints.Route));

    /// <inheritdoc/>
    public override bool IsIdle => _speaker.IsIdle;

    /// <inheritdoc/>
    public override async Task TakeAsync(JsonElement message)
    {
        Reading = typeof(SessionOrder);
        switch (Text(message, "type"))
        {
            case "session":
                await SetUp(Read<SessionSettings>(message));
                break;
            case "text":
                _speaker.Write(Read<SessionText>(message).Text);
                break;
            case "flush":
                Read<SessionOrder>(message);
                _speaker.Flush();
                break;
            case "end":
                Read<SessionOrder>(message);
                _speaker.End();
                break;
            case "cancel":
                Read<SessionOrder>(message);
                await _speaker.CancelAsync();
                break;
            default:
                throw OpenAiErrors.Invalid("type", "'type' must be session, text, flush, cancel or end.");
        }
    }

    /// <inheritdoc/>
    public override Task TellAsync(Refusal refusal) =>
        TellAsync(() => new SessionError(OpenAiErrors.From(refusal), RetryAfter: refusal.RetryAfter?.TotalSeconds));

    /// <inheritdoc/>
    public Task TellAsync(Func<SessionEvent?> tell) => _session.Socket.SendAsync(tell);

    /// <inheritdoc/>
    public Task PlayAsync(ReadOnlyMemory<byte> audio, Func<bool> isWanted) =>
        _asEvents
            ? _session.Socket.SendAudioAsync<SessionEvent>(audio, isWanted, frame => new SessionAudio(frame))
            : _session.Socket.SendAudioAsync(audio, isWanted);

    /// <inheritdoc/>
    public override ValueTask DisposeAsync() => _speaker.DisposeAsync();

    private async Task SetUp(SessionSettings settings)
    {
        if (settings.Audio is not ("binary" or "base64"))
        {
            throw OpenAiErrors.Invalid("audio", "'audio' must be binary or base64.");
        }

        var model = settings.Model is { } name ? _session.Desk.Models.Find(name) : _session.Desk.Fleet.Default;
        var format = SpeechFormat.Of(settings.ResponseFormat, settings.SampleRate, _session.Desk.Codecs);
        var setup = await _speaker.SetUpAsync(model, settings.Saying(model.Name, ""), format, AudioStreams.UpToFlush, _session.Gone);
        _asEvents = settings.Audio == "base64";
        await TellAsync(() => new SessionReady(_session.Caller.RequestId, model.Name, format.SampleRate, setup.Seed));
    }
}
