using System.Net;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Text;
using Chatterbox.Service.Hosting;
using Chatterbox.Service.Recordings;
using Chatterbox.Service.Sessions;
using Chatterbox.Service.Streaming;
using Microsoft.Extensions.DependencyInjection;

namespace Chatterbox.Service.Tests;

/// <summary>Everything is bounded: connections, sessions, uploads, encoders, messages, and what is made for a reader who does not
/// read.</summary>
public sealed class LimitTests
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("Max open files            1024                 524288               files     ", 352)]
    [InlineData("Max open files            1048576              1048576              files     ", 10_000)]
    [InlineData("Max open files            unlimited            unlimited            files     ", 10_000)]
    [InlineData("Max open files            20                   20                   files     ", 16)]
    [InlineData("Max cpu time              unlimited            unlimited            seconds   ", 96)]
    public void Connections_are_half_of_the_files_that_the_process_leaves(string limits, int expected) =>
        Assert.Equal(expected, ConnectionLimit.FromOpenFiles([limits]));

    [Fact]
    public async Task A_client_has_its_share_of_connections_and_others_are_served()
    {
        await using var service = await TestService.Start(new() { ["Service:MaxConnections"] = "8" });
        var idle = new List<Socket>();
        try
        {
            // The fifth that is kept leaves three for others; a sixth is closed.
            while (idle.Count < 12)
            {
                var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { ReceiveTimeout = 30_000 };
                idle.Add(socket);
                await socket.ConnectAsync(service.Address.Host, service.Address.Port, Cancel);
                if (idle.Count > 5)
                {
                    Assert.Equal(0, await Read(socket));
                }
            }

            using var elsewhere = TestClients.From("127.0.0.2", service.Address);
            Assert.Equal(HttpStatusCode.OK, (await elsewhere.GetAsync(new Uri("/health", UriKind.Relative), Cancel)).StatusCode);
        }
        finally
        {
            idle.ForEach(socket => socket.Dispose());
        }

        await Waits.Until(() => Answers(service));
    }

    [Fact]
    public async Task A_client_has_its_share_of_sessions()
    {
        await using var service = await TestService.Start(new() { ["Streaming:MaxSessions"] = "4" });
        var sessions = new List<SessionClient>();
        for (var i = 0; i < 3; i++)
        {
            sessions.Add(await SessionClient.Open(service));
        }

        var refused = await Assert.ThrowsAsync<WebSocketException>(() => SessionClient.Connect(service));
        Assert.Contains("429", refused.Message, StringComparison.Ordinal);
        await sessions[0].DisposeAsync();
        await Waits.Until(() => service.Services.GetRequiredService<SessionGate>().Taken == 2);
        sessions[0] = await SessionClient.Open(service);
        foreach (var session in sessions)
        {
            await session.DisposeAsync();
        }

        await Waits.Until(() => service.Services.GetRequiredService<SessionGate>().Taken == 0);
    }

    [Fact]
    public async Task Recordings_in_hand_are_bounded_by_client_and_free_when_their_answers_end()
    {
        await using var service = await TestService.Start(new() { ["Engine:MaxQueuedRequests"] = "16" }); // four places for recordings
        var gate = service.Services.GetRequiredService<RecordingGate>();
        service.Model.Holds = true;
        var held = Enumerable.Range(0, 3).Select(_ => Check(service.Http)).ToList();
        await Waits.Until(() => gate.Taken == 3);
        using var refused = await Check(service.Http);
        await refused.AssertOpenAiError(HttpStatusCode.TooManyRequests, null, "too_many_recordings");
        Assert.NotNull(refused.Headers.RetryAfter);
        using var elsewhere = TestClients.From("127.0.0.2", service.Address);
        held.Add(Check(elsewhere));
        await Waits.Until(() => gate.Taken == 4);
        service.Model.LetGo(4);
        Assert.All(await Task.WhenAll(held), answer => Assert.Equal(HttpStatusCode.OK, answer.StatusCode));
        await Waits.Until(() => gate.Taken == 0);

        static Task<HttpResponseMessage> Check(HttpClient http) =>
            http.PostAsync(
                new Uri("/v1/audio/watermark", UriKind.Relative),
                new MultipartFormDataContent { { new ByteArrayContent(Wav.Recording(1)), "file", "a.wav" } },
                Cancel
            );
    }

    [Fact]
    public async Task Decoding_leaves_the_servers_threads_alone()
    {
        using var gate = new RecordingGate(Microsoft.Extensions.Options.Options.Create(new Engine.EngineOptions()));
        using var release = new SemaphoreSlim(0);
        var most = 0;
        var now = 0;
        var decodings = Enumerable
            .Range(0, 40)
            .Select(_ =>
                gate.DecodeAsync(
                    () =>
                    {
                        most = Math.Max(most, Interlocked.Increment(ref now));
                        release.Wait(Cancel);
                        Interlocked.Decrement(ref now);
                        return Thread.CurrentThread.IsThreadPoolThread;
                    },
                    Cancel
                )
            )
            .ToList();
        await Waits.Until(() => Volatile.Read(ref now) == Environment.ProcessorCount);
        release.Release(40);
        Assert.All(await Task.WhenAll(decodings), isPoolThread => Assert.False(isPoolThread));
        Assert.InRange(most, 1, Environment.ProcessorCount);
    }

    [Fact]
    public async Task Sessions_that_are_not_flushed_do_not_start_encoders_without_end()
    {
        FfmpegTool.SkipIfMissing();
        await using var service = await TestService.Start(new() { ["Engine:MaxQueuedRequests"] = "1" }); // eight places for encoders
        var gate = service.Services.GetRequiredService<EncoderGate>();
        var sessions = new List<SessionClient>();
        for (var i = 0; i < 5; i++)
        {
            sessions.Add(await SessionClient.Open(service, new { type = "session", response_format = "aac" }));
        }

        await using var refused = await SessionClient.Connect(service);
        await refused.Send(new { type = "session", response_format = "aac" });
        Assert.Equal("too_many_encoders", (await refused.Next("error")).GetProperty("error").GetProperty("code").GetString());
        await refused.Send(new { type = "session", response_format = "pcm" }); // which needs none
        await refused.Next("session.ready");
        using var answer = await service.Post(
            "/v1/audio/speech",
            new
            {
                model = "fake",
                input = "Hello.",
                voice = "default",
                response_format = "aac",
            }
        );
        await answer.AssertOpenAiError(HttpStatusCode.TooManyRequests, "response_format", "too_many_encoders");
        foreach (var session in sessions)
        {
            await session.DisposeAsync();
        }

        await Waits.Until(() => gate.Taken == 0);
    }

    [Fact]
    public async Task A_flood_of_flushes_is_refused_and_those_taken_are_answered()
    {
        await using var service = await TestService.Start();
        service.Model.Holds = true;
        await using var session = await SessionClient.Open(service);
        await session.Write("One. Two");
        await Waits.Until(() => service.Model.IsWaiting);
        for (var i = 0; i < 150; i++)
        {
            await session.Send(new { type = "flush" });
        }

        var events = await session.UpTo("error");
        Assert.Equal("too_many_flushes", events[^1].GetProperty("error").GetProperty("code").GetString());
        for (var i = 1; i < 50; i++)
        {
            await session.Next("error");
        }

        service.Model.LetGo(2);
        for (var flushed = 0; flushed < 100; flushed++)
        {
            await session.UpTo("flushed");
        }

        await session.Send(new { type = "flush" });
        await session.Next("flushed");
    }

    [Fact]
    public async Task A_session_whose_client_does_not_read_is_closed_and_frees_the_model()
    {
        await using var service = await TestService.Start(
            new() { ["Service:SlowReaderSeconds"] = "2", ["Streaming:MaxWaitingCharacters"] = "1000000" }
        );
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { ReceiveBufferSize = 4096 };
        await socket.ConnectAsync(service.Address.Host, service.Address.Port, Cancel);
        await using var stream = new NetworkStream(socket);
        await stream.WriteAsync(
            Encoding.ASCII.GetBytes(
                $"GET /v1/audio/speech/stream HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: "
                    + $"websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            ),
            Cancel
        );
        using var client = WebSocket.CreateFromStream(stream, isServer: false, null, Timeout.InfiniteTimeSpan);
        // 40 minutes: more than any buffer holds
        var text = string.Concat(Enumerable.Repeat("These are many words to be heard by somebody. [pause:30s] Or not. ", 800));
        await client.SendAsync("""{"type":"session"}"""u8.ToArray(), WebSocketMessageType.Text, endOfMessage: true, Cancel);
        await client.SendAsync(
            Encoding.UTF8.GetBytes($$"""{"type":"text","text":"{{text}}"}"""),
            WebSocketMessageType.Text,
            endOfMessage: true,
            Cancel
        );
        var gate = service.Services.GetRequiredService<SessionGate>();
        await Waits.Until(() => !service.Model.Calls.IsEmpty);
        await Waits.Until(() => gate.Taken == 0 && service.Fleet.Default.Status is { Waiting: 0, Active: 0 });
        Assert.InRange(service.Model.Calls.Count, 1, 1599);
    }

    [Fact]
    public async Task Each_sentence_of_a_session_counts_as_a_request()
    {
        await using var service = await TestService.Start(new() { ["Security:RequestsPerMinute"] = "3" });
        await using var session = await SessionClient.Open(service); // the first
        await session.Write("One. Two. Three. ");
        await session.Send(new { type = "flush" });
        var events = await session.UpTo("flushed");
        Assert.Equal(["One.", "Two."], service.Model.Calls.Select(call => call.Text));
        var error = Assert.Single(events, e => SessionClient.TypeOf(e) == "error");
        Assert.Equal(
            ("rate_limit_exceeded", 2),
            (error.GetProperty("error").GetProperty("code").GetString(), error.GetProperty("index").GetInt32())
        );
    }

    private static async Task<int> Read(Socket socket)
    {
        try
        {
            return await socket.ReceiveAsync(new byte[1], Cancel);
        }
        catch (SocketException)
        {
            return 0; // reset is closed too
        }
    }

    private static bool Answers(TestService service)
    {
        try
        {
            using var http = new HttpClient { BaseAddress = service.Address, Timeout = TimeSpan.FromSeconds(30) };
            return http.Send(new HttpRequestMessage(HttpMethod.Get, "/health"), Cancel).StatusCode == HttpStatusCode.OK;
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }
}
