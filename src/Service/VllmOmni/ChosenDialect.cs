using System.Text.Json;
using Chatterbox.Service.Hosting;
using Chatterbox.Service.Sessions;

namespace Chatterbox.Service.VllmOmni;

/// <summary>A session whose first message chooses its dialect: <c>session.config</c> that of vLLM-Omni, any other the service's
/// own.</summary>
internal sealed class ChosenDialect(SocketSession session) : SessionDialect
{
    private SessionDialect _dialect = new SpeechSession(session);
    private bool _isChosen;

    /// <inheritdoc/>
    public override bool IsIdle => _dialect.IsIdle;

    /// <inheritdoc/>
    public override async Task TakeAsync(JsonElement message)
    {
        if (!_isChosen && Text(message, "type") == OmniSession.Configuration)
        {
            await _dialect.DisposeAsync();
            _dialect = new OmniSession(session);
        }

        _isChosen = true;
        try
        {
            await _dialect.TakeAsync(message);
        }
        finally
        {
            Reading = _dialect.Reading;
        }
    }

    /// <inheritdoc/>
    public override Task TellAsync(Refusal refusal) => _dialect.TellAsync(refusal);

    /// <inheritdoc/>
    public override ValueTask DisposeAsync() => _dialect.DisposeAsync();
}
