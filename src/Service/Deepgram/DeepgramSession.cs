using System.Text.Json;
using Chatterbox.Service.Hosting;
using Chatterbox.Service.OpenAi;
using Chatterbox.Service.Sessions;

namespace Chatterbox.Service.Deepgram;

/// <summary>Deepgram's dialect of a session: audio as binary frames, each flush and clear answered with its number.</summary>
internal sealed class DeepgramSession : SessionDialect, ISessionListener
{
    private readonly SocketSession _session;
    private readonly DeepgramVoice _voice;
    private readonly SessionSpeaker _speaker;
    private int _answers;

    /// <param name="session">The connection.</param>
    /// <param name="voice">What it was asked for in its address.</param>
    public DeepgramSession(SocketSession session, DeepgramVoice voice) =>
        (_session, _voice, _speaker) = (session, voice, session.Speaker(this, DeepgramEndpoints.Route));

    /// <inheritdoc/>
    public override bool IsIdle => _speaker.IsIdle;

    /// <inheritdoc/>
    public override async Task BeginAsync()
    {
        await _speaker.SetUpAsync(_voice.Model, _voice.Saying(""), _voice.Format, AudioStreams.Continued, _session.Gone);
        await _session.Socket.SendAsync<DeepgramEvent>(() =>
            new DeepgramMetadata(_session.Caller.RequestId, _voice.Name, _voice.Model.Name)
        );
    }

    /// <inheritdoc/>
    public override async Task TakeAsync(JsonElement message)
    {
        Reading = null;
        switch (Text(message, "type"))
        {
            case "Speak":
                _speaker.Write(Read<DeepgramText>(message).Text);
                break;
            case "Flush":
                _speaker.Flush();
                break;
            case "Clear":
                await _speaker.CancelAsync();
                break;
            case "Close":
                _speaker.End(); // what has come is spoken
                break;
            default:
                throw OpenAiErrors.Invalid("type", "'type' must be Speak, Flush, Clear or Close.");
        }
    }

    /// <inheritdoc/>
    public override Task TellAsync(Refusal refusal) =>
        _session.Socket.SendAsync<DeepgramEvent>(() => new DeepgramWarning(refusal.Message, refusal.Code ?? "invalid_request"));

    /// <inheritdoc/>
    public Task TellAsync(Func<SessionEvent?> tell) =>
        _session.Socket.SendAsync<DeepgramEvent>(() =>
            tell() switch
            {
                SessionFlushed => new DeepgramAnswer("Flushed", _answers++),
                SessionCancelled => new DeepgramAnswer("Cleared", _answers++),
                SessionError error => new DeepgramWarning(error.Error.Message, error.Error.Code ?? "invalid_request"),
                _ => null,
            }
        );

    /// <inheritdoc/>
    public Task PlayAsync(ReadOnlyMemory<byte> audio, Func<bool> isWanted) => _session.Socket.SendAudioAsync(audio, isWanted);

    /// <inheritdoc/>
    public override ValueTask DisposeAsync() => _speaker.DisposeAsync();
}
