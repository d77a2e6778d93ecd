namespace Chatterbox.Service.Sessions;

/// <summary>Where a session is heard: how a dialect tells what happens in it.</summary>
internal interface ISessionListener
{
    /// <summary>Tells an event.</summary>
    /// <param name="tell">Makes it when its turn has come; null where there is nothing to tell by then.</param>
    Task TellAsync(Func<SessionEvent?> tell);

    /// <summary>Plays the next bytes of audio.</summary>
    /// <param name="audio">The bytes, good until this completes.</param>
    /// <param name="isWanted">Looked at when the turn of each part of them has come.</param>
    Task PlayAsync(ReadOnlyMemory<byte> audio, Func<bool> isWanted);
}
