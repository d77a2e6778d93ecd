using System.Net.WebSockets;
using System.Text;
using System.Text.Json;

namespace Chatterbox.Service.Tests;

/// <summary>A client of a WebSocket in any dialect: sends JSON, and takes one message after the other.</summary>
internal sealed class SocketClient(ClientWebSocket socket) : IAsyncDisposable
{
    public ClientWebSocket Socket => socket;

    /// <summary>Connects.</summary>
    public static async Task<SocketClient> Connect(TestService service, string path, Action<ClientWebSocketOptions>? configure = null)
    {
        var socket = new ClientWebSocket();
        socket.Options.CollectHttpResponseDetails = true;
        configure?.Invoke(socket.Options);
        await socket.ConnectAsync(new Uri($"ws://{service.Address.Authority}{path}"), TestContext.Current.CancellationToken);
        return new(socket);
    }

    /// <summary>The status with which a connection is refused.</summary>
    public static async Task<System.Net.HttpStatusCode> Status(
        TestService service,
        string path,
        Action<ClientWebSocketOptions>? configure = null
    )
    {
        using var socket = new ClientWebSocket();
        socket.Options.CollectHttpResponseDetails = true;
        configure?.Invoke(socket.Options);
        try
        {
            await socket.ConnectAsync(new Uri($"ws://{service.Address.Authority}{path}"), TestContext.Current.CancellationToken);
        }
        catch (WebSocketException)
        {
            // The status tells.
        }

        return socket.HttpStatusCode;
    }

    public Task Send(string json) =>
        socket.SendAsync(Encoding.UTF8.GetBytes(json), WebSocketMessageType.Text, endOfMessage: true, CancellationToken.None);

    public Task Send(object message) => Send(JsonSerializer.Serialize(message));

    /// <summary>The next whole message of a connection; null once the service has closed.</summary>
    public static async Task<(byte[] Bytes, bool IsText)?> Receive(WebSocket socket)
    {
        using var message = new MemoryStream();
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        limit.CancelAfter(Waits.Limit);
        var buffer = new byte[1 << 16];
        while (true)
        {
            var part = await socket.ReceiveAsync(buffer, limit.Token);
            if (part.MessageType == WebSocketMessageType.Close)
            {
                return null;
            }

            message.Write(buffer, 0, part.Count);
            if (part.EndOfMessage)
            {
                return (message.ToArray(), part.MessageType == WebSocketMessageType.Text);
            }
        }
    }

    /// <summary>The next message: JSON, or bytes; null once the service has closed.</summary>
    public async Task<(JsonElement Json, byte[] Bytes)?> Next() =>
        await Receive(socket) is not var (bytes, isText) ? null
        : isText ? (JsonDocument.Parse(bytes).RootElement, [])
        : (default, bytes);

    /// <summary>The next message that is JSON.</summary>
    public async Task<JsonElement> NextJson()
    {
        while (await Next() is var (json, _))
        {
            if (json.ValueKind != JsonValueKind.Undefined)
            {
                return json;
            }
        }

        throw new InvalidOperationException($"Closed: {socket.CloseStatus} {socket.CloseStatusDescription}");
    }

    /// <summary>Everything up to a message.</summary>
    public async Task<List<(JsonElement Json, byte[] Bytes)>> UpTo(Func<JsonElement, bool> isLast)
    {
        var told = new List<(JsonElement Json, byte[] Bytes)>();
        do
        {
            told.Add(await Next() ?? throw new InvalidOperationException($"Closed: {socket.CloseStatus} {socket.CloseStatusDescription}"));
        } while (told[^1].Json.ValueKind == JsonValueKind.Undefined || !isLast(told[^1].Json));
        return told;
    }

    /// <summary>Everything up to a message of this type.</summary>
    public Task<List<(JsonElement Json, byte[] Bytes)>> UpTo(string type) =>
        UpTo(json => json.TryGetProperty("type", out var named) && named.GetString() == type);

    public async ValueTask DisposeAsync()
    {
        if (socket.State == WebSocketState.Open)
        {
            await socket.CloseAsync(WebSocketCloseStatus.NormalClosure, "", CancellationToken.None);
        }

        socket.Dispose();
    }
}
