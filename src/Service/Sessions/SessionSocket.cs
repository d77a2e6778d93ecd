using System.Net.WebSockets;
using System.Text.Json;
using Chatterbox.Service.Hosting;

namespace Chatterbox.Service.Sessions;

/// <summary>A message that is longer than messages may be.</summary>
internal sealed class MessageTooLongException : Exception;

/// <summary>A message that is sent.</summary>
/// <param name="Bytes">Its bytes.</param>
/// <param name="IsText">Whether they are text.</param>
internal sealed record SocketMessage(ReadOnlyMemory<byte> Bytes, bool IsText)
{
    /// <summary>A message as JSON.</summary>
    public static SocketMessage Of<T>(T message) => new(JsonSerializer.SerializeToUtf8Bytes(message, Json.Of<T>()), IsText: true);
}

/// <summary>A WebSocket as a session uses it: whole messages in, events and frames of audio out, one at a time whoever sends.</summary>
/// <param name="socket">The connection.</param>
/// <param name="mostBytes">Longest message that is taken.</param>
/// <param name="longestSending">Time in which a message that is sent must be taken by the client.</param>
/// <param name="gone">Set when the client has left.</param>
internal sealed class SessionSocket(WebSocket socket, int mostBytes, TimeSpan longestSending, CancellationToken gone) : IDisposable
{
    private const int MostFrameBytes = 64 * 1024; // clients have limits of their own

    private static readonly TimeSpan ClosingTime = TimeSpan.FromSeconds(5);

    private readonly SemaphoreSlim _sending = new(1);
    private readonly byte[] _received = new byte[mostBytes];

    /// <summary>Waits for the next message.</summary>
    /// <returns>Its bytes, good until the next is asked for, and whether they are text; null once the client closes or is gone.</returns>
    /// <exception cref="MessageTooLongException">It is longer than messages may be.</exception>
    public async Task<(ReadOnlyMemory<byte> Bytes, bool IsText)?> ReceiveAsync()
    {
        var length = 0;
        try
        {
            while (true)
            {
                var part = await socket.ReceiveAsync(_received.AsMemory(length), gone);
                length += part.Count;
                if (part.MessageType == WebSocketMessageType.Close)
                {
                    return null;
                }

                if (part.EndOfMessage)
                {
                    return (_received.AsMemory(0, length), part.MessageType == WebSocketMessageType.Text);
                }

                if (length == mostBytes)
                {
                    throw new MessageTooLongException();
                }
            }
        }
        catch (Exception e) when (e is WebSocketException or OperationCanceledException)
        {
            return null; // it left without a word
        }
    }

    /// <summary>Sends a message.</summary>
    /// <param name="tell">Makes it when its turn has come; null where there is nothing to tell by then.</param>
    public Task SendAsync<T>(Func<T?> tell)
        where T : class => SendAsync(() => tell() is { } told ? [SocketMessage.Of(told)] : []);

    /// <summary>Sends messages that nothing comes between.</summary>
    /// <param name="tell">Makes them when their turn has come.</param>
    public Task SendAsync(Func<IReadOnlyList<SocketMessage>> tell) =>
        InTurn(async () =>
        {
            foreach (var message in tell())
            {
                await SendInTime(message.Bytes, message.IsText ? WebSocketMessageType.Text : WebSocketMessageType.Binary);
            }
        });

    /// <summary>Sends audio, in frames that every client takes.</summary>
    /// <param name="audio">The bytes.</param>
    /// <param name="isWanted">Looked at when the turn of each frame has come.</param>
    public async Task SendAudioAsync(ReadOnlyMemory<byte> audio, Func<bool> isWanted)
    {
        foreach (var frame in Frames(audio))
        {
            await InTurn(async () =>
            {
                if (isWanted())
                {
                    await SendInTime(frame, WebSocketMessageType.Binary);
                }
            });
        }
    }

    /// <summary>Sends audio in messages.</summary>
    /// <inheritdoc cref="SendAudioAsync(ReadOnlyMemory{byte}, Func{bool})"/>
    /// <param name="audio">The bytes.</param>
    /// <param name="isWanted">Looked at when the turn of each message has come.</param>
    /// <param name="wrap">Makes a message of a part of them.</param>
    public async Task SendAudioAsync<T>(ReadOnlyMemory<byte> audio, Func<bool> isWanted, Func<ReadOnlyMemory<byte>, T> wrap)
        where T : class
    {
        foreach (var frame in Frames(audio))
        {
            await SendAsync(() => isWanted() ? wrap(frame) : null);
        }
    }

    /// <summary>Says that nothing more comes, and waits a while for the client to agree.</summary>
    public async Task CloseAsync(WebSocketCloseStatus status, string reason, Task heardAll)
    {
        await InTurn(async () =>
        {
            if (socket.State is WebSocketState.Open or WebSocketState.CloseReceived)
            {
                await socket.CloseOutputAsync(status, reason, gone);
            }
        });
        await Task.WhenAny(heardAll, Task.Delay(ClosingTime, gone));
    }

    /// <inheritdoc/>
    public void Dispose() => socket.Dispose();

    /// <summary>Sends a message. A client that does not read it is disconnected: what is made for it would pile up, and the model's time be
    /// lost.</summary>
    private async Task SendInTime(ReadOnlyMemory<byte> message, WebSocketMessageType type)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(gone);
        limit.CancelAfter(longestSending);
        await socket.SendAsync(message, type, endOfMessage: true, limit.Token); // cancelled, it aborts the connection
    }

    /// <summary>Sends when nobody else does. To a client that is gone nothing is sent, and nobody needs to know.</summary>
    private async Task InTurn(Func<Task> send)
    {
        await _sending.WaitAsync(CancellationToken.None);
        try
        {
            await send();
        }
        catch (Exception e) when (e is WebSocketException or OperationCanceledException or ObjectDisposedException)
        {
            // ReceiveAsync tells that the client has left.
        }
        finally
        {
            _sending.Release();
        }
    }

    private static IEnumerable<ReadOnlyMemory<byte>> Frames(ReadOnlyMemory<byte> audio)
    {
        for (; audio.Length > 0; audio = audio[Math.Min(MostFrameBytes, audio.Length)..])
        {
            yield return audio[..Math.Min(MostFrameBytes, audio.Length)];
        }
    }
}
