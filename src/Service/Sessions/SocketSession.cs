using System.Net.WebSockets;
using System.Text.Json;
using Chatterbox.Service.Hosting;
using Chatterbox.Service.OpenAi;

namespace Chatterbox.Service.Sessions;

/// <summary>How a session over a WebSocket is spoken: what a client's messages mean, and how errors are told.</summary>
internal abstract class SessionDialect : IAsyncDisposable
{
    /// <summary>True while nothing is being spoken, and nothing waits.</summary>
    public abstract bool IsIdle { get; }

    /// <summary>Type of the message that is being read, whose fields an error names.</summary>
    public Type? Reading { get; protected set; }

    /// <summary>Says what is to be said before anything is taken.</summary>
    /// <exception cref="RefusedException">The session cannot begin.</exception>
    public virtual Task BeginAsync() => Task.CompletedTask;

    /// <summary>Takes a message.</summary>
    /// <exception cref="JsonException">It is not of the shape that it should have.</exception>
    /// <exception cref="RefusedException">It cannot be taken.</exception>
    public abstract Task TakeAsync(JsonElement message);

    /// <summary>Tells why a message was not taken, or the session ends.</summary>
    public abstract Task TellAsync(Refusal refusal);

    /// <inheritdoc/>
    public abstract ValueTask DisposeAsync();

    /// <summary>Reads a message.</summary>
    protected T Read<T>(JsonElement message)
    {
        Reading = typeof(T);
        return message.Deserialize(Json.Of<T>())!;
    }

    /// <summary>The text of a message's property; null where it has none.</summary>
    protected static string? Text(JsonElement message, string property)
    {
        try
        {
            return
                message.ValueKind == JsonValueKind.Object
                && message.TryGetProperty(property, out var value)
                && value.ValueKind == JsonValueKind.String
                ? value.GetString()
                : null;
        }
        catch (InvalidOperationException)
        {
            return null; // half of a surrogate pair, escaped: no text
        }
    }
}

/// <summary>A client that sends text as it is written and hears it meanwhile: takes its messages, one by one.</summary>
/// <param name="socket">Its connection.</param>
/// <param name="desk">What it takes to speak.</param>
/// <param name="caller">Who it is.</param>
/// <param name="gone">Set when it has left.</param>
internal sealed class SocketSession(SessionSocket socket, SessionDesk desk, Caller caller, CancellationToken gone)
{
    private readonly TaskCompletionSource<Ending> _over = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly IdleWatch _idle = new(desk.Time);
    private bool _isClosing;

    /// <summary>The connection.</summary>
    public SessionSocket Socket => socket;

    /// <summary>What it takes to speak.</summary>
    public SessionDesk Desk => desk;

    /// <summary>Who it is.</summary>
    public Caller Caller { get; set; } = caller;

    /// <summary>Set when the client has left.</summary>
    public CancellationToken Gone => gone;

    /// <summary>Time without messages and speech after which it is closed.</summary>
    public TimeSpan LongestIdle { get; set; } = TimeSpan.FromSeconds(desk.Options.IdleSeconds);

    /// <summary>Makes a speaker that is heard here.</summary>
    public SessionSpeaker Speaker(ISessionListener listener, string route, Action<Ending>? end = null) =>
        new(listener, desk, Caller, route, end ?? End);

    /// <summary>Ends it.</summary>
    public void End(Ending ending) => _over.TrySetResult(ending);

    /// <summary>Serves the client until it leaves, says that it has done, or stays silent for too long.</summary>
    public async Task RunAsync(SessionDialect dialect)
    {
        using var watching = new CancellationTokenSource();
        try
        {
            var reading = ReadAsync(dialect);
            var ending = await await Task.WhenAny(reading, _over.Task, WatchAsync(dialect, watching.Token));
            _isClosing = true;
            await socket.CloseAsync(ending.Status, ending.Reason, reading);
        }
        finally
        {
            await watching.CancelAsync();
        }
    }

    private async Task<Ending> ReadAsync(SessionDialect dialect)
    {
        try
        {
            if (!await Begin(dialect))
            {
                return new(WebSocketCloseStatus.PolicyViolation, "The session cannot begin.");
            }

            while (await socket.ReceiveAsync() is { } message)
            {
                _idle.Touch();
                if (!_isClosing)
                {
                    await TakeAsync(dialect, message.Bytes, message.IsText);
                }
            }

            return new(WebSocketCloseStatus.NormalClosure, "");
        }
        catch (MessageTooLongException)
        {
            await dialect.TellAsync(
                new(
                    StatusCodes.Status413PayloadTooLarge,
                    $"A message has more than {desk.Options.MaxMessageBytes} bytes. Send the text in several.",
                    Code: "message_too_large"
                )
            );
            return new(WebSocketCloseStatus.MessageTooBig, "A message is too long.");
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            desk.Logger.LogError(e, "Session {RequestId} failed", Caller.RequestId);
            await dialect.TellAsync(Refusal.From(e, Caller.RequestId));
            return new(WebSocketCloseStatus.InternalServerError, "The service failed.");
        }
    }

    private async Task<bool> Begin(SessionDialect dialect)
    {
        try
        {
            await dialect.BeginAsync();
            return true;
        }
        catch (Exception e) when (e is ChatterboxException or RefusedException)
        {
            await dialect.TellAsync(Refusal.From(e, Caller.RequestId));
            return false;
        }
    }

    private async Task TakeAsync(SessionDialect dialect, ReadOnlyMemory<byte> message, bool isText)
    {
        try
        {
            if (!isText)
            {
                throw OpenAiErrors.Invalid("type", "Messages are JSON objects in text frames; this was a binary frame.", "invalid_json");
            }

            using var json = JsonDocument.Parse(message);
            await dialect.TakeAsync(json.RootElement);
        }
        catch (JsonException e)
        {
            await dialect.TellAsync(RequestBody.Describe(e, dialect.Reading));
        }
        catch (Exception e) when (e is ChatterboxException or RefusedException)
        {
            await dialect.TellAsync(Refusal.From(e, Caller.RequestId));
        }
    }

    /// <summary>Closes a session in which nothing happens.</summary>
    private async Task<Ending> WatchAsync(SessionDialect dialect, CancellationToken cancellationToken)
    {
        if (await _idle.ExpiresAsync(LongestIdle, () => dialect.IsIdle, cancellationToken))
        {
            await dialect.TellAsync(
                new(
                    StatusCodes.Status408RequestTimeout,
                    $"No message was received for {LongestIdle.TotalSeconds:0.#} s.",
                    Code: "idle_timeout"
                )
            );
        }

        return new(WebSocketCloseStatus.NormalClosure, "No message was received for a while.");
    }
}
