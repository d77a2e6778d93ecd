using System.Net.WebSockets;
using System.Text.Json;
using Chatterbox.Service.Hosting;
using Chatterbox.Service.OpenAi;
using Chatterbox.Service.Sessions;

namespace Chatterbox.Service.VllmOmni;

/// <summary>vLLM-Omni's dialect of a session: each sentence is a stream of audio between <c>audio.start</c> and <c>audio.done</c>, and
/// the connection stays open behind <c>input.done</c>.</summary>
internal sealed class OmniSession : SessionDialect, ISessionListener
{
    /// <summary>Type of the message that begins it.</summary>
    public const string Configuration = "session.config";

    private readonly SocketSession _session;
    private readonly SessionSpeaker _speaker;
    private SessionSetup? _setup;
    private int _utterance;
    private int _sentence = -1;
    private long _bytes;

    /// <param name="session">The connection.</param>
    public OmniSession(SocketSession session) => (_session, _speaker) = (session, session.Speaker(this, SessionEndpoints.Route));

    /// <inheritdoc/>
    public override bool IsIdle => _speaker.IsIdle;

    /// <inheritdoc/>
    public override async Task TakeAsync(JsonElement message)
    {
        Reading = null;
        switch (Text(message, "type"))
        {
            case Configuration:
                await SetUp(message);
                break;
            case "input.text":
                _speaker.Write(Read<OmniText>(message).Text);
                break;
            case "input.done":
                _speaker.Flush();
                break;
            case "input.cancel":
                await _speaker.CancelAsync();
                break;
            case "session.close":
                _session.End(new(WebSocketCloseStatus.NormalClosure, ""));
                break;
            default:
                throw OpenAiErrors.Invalid("type", "'type' must be session.config, input.text, input.done, input.cancel or session.close.");
        }
    }

    /// <inheritdoc/>
    public override Task TellAsync(Refusal refusal) => _session.Socket.SendAsync<OmniEvent>(() => new OmniError(refusal.Message));

    /// <inheritdoc/>
    public Task TellAsync(Func<SessionEvent?> tell) => _session.Socket.SendAsync(() => Translate(tell()));

    /// <inheritdoc/>
    public async Task PlayAsync(ReadOnlyMemory<byte> audio, Func<bool> isWanted)
    {
        // A sentence that is sent whole is one frame, however long.
        await (
            _setup!.IsWhole
                ? _session.Socket.SendAsync(() => isWanted() ? [new SocketMessage(audio, IsText: false)] : [])
                : _session.Socket.SendAudioAsync(audio, isWanted)
        );
        _bytes += audio.Length;
    }

    /// <inheritdoc/>
    public override ValueTask DisposeAsync() => _speaker.DisposeAsync();

    private async Task SetUp(JsonElement message)
    {
        var desk = _session.Desk;
        var fields = Read<Dictionary<string, JsonElement>>(message);
        fields.Remove("type");
        var streams = fields.Remove("stream_audio", out var stream) && stream.ValueKind == JsonValueKind.True;
        var body = SpeechFields.Read(
            fields,
            new()
            {
                ["model"] = SpeechFields.Of(desk.Fleet.Default.Name),
                ["input"] = SpeechFields.Of(""),
                ["voice"] = SpeechFields.Of(OpenAiOptions.Default),
                ["response_format"] = SpeechFields.Of("wav"),
            }
        );
        var format = SpeechFormat.Of(body.ResponseFormat, body.SampleRate, desk.Codecs);
        _setup = await _speaker.SetUpAsync(
            desk.Models.Find(body.Model),
            body,
            format,
            AudioStreams.Sentences,
            _session.Gone,
            isWhole: !streams
        );
    }

    private IReadOnlyList<SocketMessage> Translate(SessionEvent? told)
    {
        switch (told)
        {
            case SentenceBegun begun:
                _bytes = 0;
                return [Message(new OmniAudioStart(_utterance, ++_sentence, begun.Text, _setup!.Format.Name, _setup.Format.SampleRate))];
            case SentenceDone:
                return [Message(new OmniAudioDone(_utterance, _sentence, _bytes, Error: false))];
            case SessionError { Index: not null } error:
                return
                [
                    Message(new OmniError(error.Error.Message)),
                    Message(new OmniAudioDone(_utterance, _sentence, _bytes, Error: true)),
                ];
            case SessionError error:
                return [Message(new OmniError(error.Error.Message))];
            case SessionFlushed or SessionCancelled:
                var done = new OmniDone(_utterance++, _sentence + 1);
                _sentence = -1;
                return [Message(done)];
            default:
                return [];
        }
    }

    private static SocketMessage Message(OmniEvent told) => SocketMessage.Of(told);
}
