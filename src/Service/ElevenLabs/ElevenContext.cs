using Chatterbox.Service.Sessions;

namespace Chatterbox.Service.ElevenLabs;

/// <summary>One text of a connection, while it is written and spoken.</summary>
internal sealed class ElevenContext : ISessionListener, IAsyncDisposable
{
    private readonly SessionSocket _socket;
    private readonly string? _id;

    /// <param name="session">The connection.</param>
    /// <param name="route">The route's name in the log and in measurements.</param>
    /// <param name="id">Its name; null where there is only one.</param>
    /// <param name="end">Called when it is over.</param>
    public ElevenContext(SocketSession session, string route, string? id, Action<Ending> end) =>
        (_socket, _id, Speaker) = (session.Socket, id, session.Speaker(this, route, end));

    /// <summary>Speaks it.</summary>
    public SessionSpeaker Speaker { get; }

    /// <summary>Whether the last message was a flush and nothing else: a client that then closes it wants to hear it to its end.</summary>
    public bool IsComplete { get; set; }

    /// <inheritdoc/>
    public Task TellAsync(Func<SessionEvent?> tell) =>
        _socket.SendAsync<ElevenEvent>(() =>
            tell() switch
            {
                SessionDone or SessionCancelled => new ElevenFinal(_id),
                SessionError error => new ElevenFailure(error.Error.Code ?? "error", error.Error.Message, _id),
                _ => null,
            }
        );

    /// <inheritdoc/>
    public Task PlayAsync(ReadOnlyMemory<byte> audio, Func<bool> isWanted) =>
        _socket.SendAudioAsync<ElevenEvent>(audio, isWanted, frame => new ElevenAudio(frame, _id));

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => Speaker.DisposeAsync();
}
