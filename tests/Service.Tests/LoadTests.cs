using System.Net;
using System.Net.Sockets;
using System.Text;
using TorchSharp;

namespace Chatterbox.Service.Tests;

/// <summary>Many clients at once on a real model: those who stay hear what they would hear alone, and nothing is left behind.</summary>
public sealed class LoadTests
{
    private const int Clients = 64;
    private const int Requests = 16; // different ones: several clients ask for the same

    private static readonly string[] Formats = ["pcm", "wav", "events", "/speak", "pcm", "mp3", "events", "pcm"];

    [Fact]
    public async Task Each_hears_what_it_would_hear_alone_and_nothing_is_left_behind()
    {
        await using var service = await TestService.StartReal("tiny", new() { ["Engine:MaxQueuedRequests"] = "8" });
        service.AddRecording("jfk_16k_mono.wav", "Kennedy.wav");
        var alone = new List<byte[]>();
        for (var request = 0; request < Requests; request++)
        {
            using var answer = await service.PostText(RouteOf(request), BodyOf(request));
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
            alone.Add(await answer.Content.ReadAsByteArrayAsync());
        }

        await Storm(service, alone); // warms up
        var before = Resources.Now();
        var refused = await Storm(service, alone);
        await Waits.Until(() => Resources.Handles() <= before.OpenHandles);
        var after = Resources.Now();

        TestContext.Current.TestOutputHelper?.WriteLine($"{refused} answers of 429; before {before}; after {after}");
        Assert.True(refused > 0); // 64 do not fit
        Assert.Equal(before.Tensors, after.Tensors);
        Assert.InRange(after.ManagedBytes, 0, before.ManagedBytes + (8 << 20));
    }

    /// <summary>All at once: one in ten leaves early, one in twenty sends garbage.</summary>
    /// <returns>How often the queue was full.</returns>
    private static async Task<int> Storm(TestService service, List<byte[]> alone)
    {
        var (refused, answered) = (0, 0);
        await Task.WhenAll(
            Enumerable
                .Range(0, Clients)
                .Select(async client =>
                {
                    using var http = TestClients.From($"127.0.0.{1 + (client % 16)}", service.Address);
                    if (client % 10 == 3)
                    {
                        await Leave(http, client, () => Volatile.Read(ref answered));
                    }
                    else if (client % 20 == 7)
                    {
                        await SendGarbage(service.Address, client);
                    }
                    else
                    {
                        Interlocked.Add(ref refused, await Stay(http, client % Requests, alone[client % Requests]));
                        Interlocked.Increment(ref answered);
                    }
                })
        );
        await Waits.Until(() => service.Fleet.Default.Status is { Active: 0, Waiting: 0 });
        return refused;
    }

    private static async Task<int> Stay(HttpClient http, int request, byte[] expected)
    {
        for (var refused = 0; ; refused++)
        {
            using var answer = await http.PostAsync(
                new Uri(RouteOf(request), UriKind.Relative),
                new StringContent(BodyOf(request), Encoding.UTF8, "application/json")
            );
            if (answer.StatusCode == HttpStatusCode.TooManyRequests)
            {
                Assert.True(answer.Headers.RetryAfter?.Delta >= TimeSpan.FromSeconds(1));
                await Task.Delay(500);
                continue;
            }

            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
            if (RouteOf(request) == "/speak") // takes no seed
            {
                var events = await answer.Events();
                Assert.Equal(3, events.Count);
                Assert.Equal(TextOf(request), events[0].GetProperty("text").GetString());
                Assert.NotEmpty(Wav.Read(events[1].GetProperty("audio_data").GetBytesFromBase64()));
            }
            else
            {
                Assert.Equal(expected, await answer.Content.ReadAsByteArrayAsync());
            }

            return refused;
        }
    }

    /// <summary>Goes away while it waits, after some of the others have been answered, or once its own answer has begun.</summary>
    private static async Task Leave(HttpClient http, int client, Func<int> answered)
    {
        using var leaves = new CancellationTokenSource();
        var asking = http.SendAsync(
            new HttpRequestMessage(HttpMethod.Post, RouteOf(client))
            {
                Content = new StringContent(BodyOf(client), Encoding.UTF8, "application/json"),
            },
            HttpCompletionOption.ResponseHeadersRead,
            leaves.Token
        );
        if (client % 20 == 3)
        {
            await Task.WhenAny(asking, Waits.Until(() => answered() >= client / 2));
            await leaves.CancelAsync();
            await asking.ContinueWith(asked => asked.IsCompletedSuccessfully ? asked.Result.StatusCode : 0);
        }
        else
        {
            (await asking).Dispose();
        }
    }

    private static async Task SendGarbage(Uri service, int client)
    {
        var garbage = (client / 20 % 3) switch
        {
            0 => "\u0016\u0003\u0001 this is not HTTP\r\n\r\n",
            1 => "POST /speak HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{\"text\": ",
            _ =>
            // and no more
            "POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
                + "1000\r\n\r\n{\"model\"",
        };
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(service.Host, service.Port);
        await socket.SendAsync(Encoding.Latin1.GetBytes(garbage));
        socket.Shutdown(SocketShutdown.Send);
        try
        {
            var answer = new byte[4096];
            var read = await socket.ReceiveAsync(answer);
            Assert.True(read == 0 || Encoding.Latin1.GetString(answer, 0, read).StartsWith("HTTP/1.1 400", StringComparison.Ordinal));
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionReset)
        {
            // Hung up on, unread.
        }
    }

    private static string FormatOf(int request) => Formats[request % Formats.Length];

    private static string RouteOf(int request) => FormatOf(request) == "/speak" ? "/speak" : "/v1/audio/speech";

    private static string TextOf(int request) =>
        $"Request number {request % Requests} has its own "
        + $"words{(request % 3 == 0 ? ", its own length, and so its own speech to be heard" : "")}.";

    private static string BodyOf(int request)
    {
        var format = FormatOf(request);
        var voice = request % 4 == 1 ? "Kennedy" : "default";
        return format switch
        {
            "/speak" => $$"""{"text":"{{TextOf(request)}}","voice":"{{voice}}","stream":true}""",
            "events" =>
                $$"""{"model":"tiny","input":"{{TextOf(request)}}","voice":"{{voice}}","seed":{{request % Requests}},"response_format":"wav","stream_format":"sse"}""",
            _ =>
                $$"""{"model":"tiny","input":"{{TextOf(request)}}","voice":"{{voice}}","seed":{{request % Requests}},"response_format":"{{format}}"}""",
        };
    }

    /// <summary>What this process, with the service in it, holds.</summary>
    private sealed record Resources(long Tensors, int OpenHandles, long ManagedBytes, long ResidentBytes)
    {
        public static Resources Now()
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
            return new(torch.Tensor.TotalCount, Handles(), GC.GetTotalMemory(forceFullCollection: true), Environment.WorkingSet);
        }

        public static int Handles() => Directory.GetFileSystemEntries("/proc/self/fd").Length;
    }
}
