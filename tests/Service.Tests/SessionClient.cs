using System.Net.WebSockets;
using System.Text;
using System.Text.Json;

namespace Chatterbox.Service.Tests;

/// <summary>A client of the WebSocket, as an agent is one.</summary>
internal sealed class SessionClient(WebSocket socket) : IAsyncDisposable
{
    private const string Route = "/v1/audio/speech/stream";

    /// <summary>Every byte of audio that has come since the last event of another kind was asked for.</summary>
    private readonly List<byte> _audio = [];

    public WebSocket Socket => socket;

    /// <summary>Connects.</summary>
    public static async Task<SessionClient> Connect(TestService service, Action<ClientWebSocketOptions>? configure = null)
    {
        var socket = new ClientWebSocket();
        configure?.Invoke(socket.Options);
        socket.Options.CollectHttpResponseDetails = true;
        await socket.ConnectAsync(new Uri($"ws://{service.Address.Authority}{Route}"), TestContext.Current.CancellationToken);
        return new(socket);
    }

    /// <summary>Connects, and begins a session.</summary>
    public static async Task<SessionClient> Open(TestService service, object? settings = null)
    {
        var client = await Connect(service);
        await client.Send(settings ?? new { type = "session", seed = 5 });
        Assert.Equal("session.ready", TypeOf(await client.Next()));
        return client;
    }

    public Task Send(object message) => SendText(JsonSerializer.Serialize(message));

    public Task SendText(string message) =>
        socket.SendAsync(Encoding.UTF8.GetBytes(message), WebSocketMessageType.Text, endOfMessage: true, CancellationToken.None);

    public Task Write(string text) => Send(new { type = "text", text });

    /// <summary>The next event that is no audio; null once the service has closed.</summary>
    public async Task<JsonElement?> NextOrEnd()
    {
        while (await Receive() is var (bytes, isText))
        {
            if (!isText)
            {
                _audio.AddRange(bytes);
                continue;
            }

            var told = JsonDocument.Parse(bytes).RootElement;
            if (TypeOf(told) != "audio")
            {
                return told;
            }

            _audio.AddRange(told.GetProperty("audio").GetBytesFromBase64());
        }

        return null;
    }

    /// <summary>The next event that is no audio.</summary>
    public async Task<JsonElement> Next() =>
        await NextOrEnd() ?? throw new InvalidOperationException($"Closed: {socket.CloseStatus} {socket.CloseStatusDescription}");

    /// <summary>The next event that is no audio, of this type.</summary>
    public async Task<JsonElement> Next(string type)
    {
        var told = await Next();
        Assert.True(TypeOf(told) == type, told.GetRawText());
        return told;
    }

    /// <summary>Everything up to an event of this type.</summary>
    public async Task<List<JsonElement>> UpTo(string type)
    {
        var told = new List<JsonElement>();
        do
        {
            told.Add(await Next());
        } while (TypeOf(told[^1]) != type);
        return told;
    }

    /// <summary>Waits for some audio.</summary>
    public async Task<int> Hear()
    {
        var received = await Receive();
        Assert.False(received!.Value.IsText, Encoding.UTF8.GetString(received.Value.Bytes));
        _audio.AddRange(received.Value.Bytes);
        return received.Value.Bytes.Length;
    }

    /// <summary>The audio that has come since this was last asked.</summary>
    public byte[] TakeAudio()
    {
        byte[] audio = [.. _audio];
        _audio.Clear();
        return audio;
    }

    public static string TypeOf(JsonElement told) => told.GetProperty("type").GetString()!;

    public async ValueTask DisposeAsync()
    {
        if (socket.State == WebSocketState.Open)
        {
            await socket.CloseAsync(WebSocketCloseStatus.NormalClosure, "", CancellationToken.None);
        }

        socket.Dispose();
    }

    private Task<(byte[] Bytes, bool IsText)?> Receive() => SocketClient.Receive(socket);
}
