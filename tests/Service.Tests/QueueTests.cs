using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Chatterbox.Service.Tests;

/// <summary>Order under load: the queue, those who leave, deadlines, and the end.</summary>
public sealed class QueueTests
{
    private const string Route = "/v1/audio/speech";

    [Fact]
    public async Task A_full_queue_refuses_and_says_when_to_come_back()
    {
        await using var service = await TestService.Start(new() { ["Engine:MaxQueuedRequests"] = "1" });
        var engine = service.Fleet.Default;
        service.Model.Holds = true;
        var first = service.Post("/speak", new { text = "One.", stream = true });
        await Waits.Until(() => engine.Status.Active == 1);
        var second = service.Post("/speak", new { text = "Two.", stream = true });
        await Waits.Until(() => engine.Status.Waiting == 1);

        using var speak = await service.Post("/speak", new { text = "Three.", stream = true });
        await speak.AssertSpeakError(HttpStatusCode.TooManyRequests);
        Assert.True(speak.Headers.RetryAfter?.Delta >= TimeSpan.FromSeconds(1));
        using var openAi = await service.Post(
            Route,
            new
            {
                model = "fake",
                input = "Three.",
                voice = "default",
                response_format = "pcm",
            }
        );
        var error = await openAi.AssertOpenAiError(HttpStatusCode.TooManyRequests, null, "queue_full");
        Assert.Equal("rate_limit_error", error.GetProperty("type").GetString());
        Assert.True(openAi.Headers.RetryAfter?.Delta >= TimeSpan.FromSeconds(1));

        service.Model.LetGo(2);
        Assert.Equal(3, (await (await first).Events()).Count);
        Assert.Equal(3, (await (await second).Events()).Count);
    }

    [Fact]
    public async Task The_next_sentence_is_made_while_one_is_sent()
    {
        await using var service = await TestService.Start();
        using var answer = await service.Post(
            "/speak",
            new { text = "One. Two. Three.", stream = true },
            HttpCompletionOption.ResponseHeadersRead
        );
        await Waits.Until(() => service.Model.Calls.Count == 3); // nobody has read a byte of the first
        Assert.Equal(7, (await answer.Events()).Count);
    }

    [Theory]
    [InlineData("pcm")]
    [InlineData("mp3")]
    public async Task A_client_that_leaves_frees_its_place(string format)
    {
        await using var service = await TestService.Start();
        var engine = service.Fleet.Default;
        service.Model.Holds = true;
        using var leaves = new CancellationTokenSource();
        var spoken = service.Post(
            Route,
            new
            {
                model = "fake",
                input = "I leave.",
                voice = "default",
                response_format = format,
            },
            cancellationToken: leaves.Token
        );
        await Waits.Until(() => service.Model.IsWaiting);
        using var leavesToo = new CancellationTokenSource();
        var waiting = service.Post("/speak", new { text = "So do I.", stream = true }, cancellationToken: leavesToo.Token);
        await Waits.Until(() => engine.Status.Waiting == 1);
        await leavesToo.CancelAsync();
        await Waits.Until(() => engine.Status.Waiting == 0);
        await leaves.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => spoken);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
        await Waits.Until(() => engine.Status.Active == 0);
        Assert.Equal("I leave.", Assert.Single(service.Model.Cancelled));
        service.Model.LetGo();
        using var next = await service.Post("/speak", new { text = "I stay.", stream = true });
        Assert.Equal(3, (await next.Events()).Count);
    }

    [Fact]
    public async Task A_client_that_leaves_in_the_middle_ends_its_encoder()
    {
        FfmpegTool.SkipIfMissing();
        await using var service = await TestService.Start();
        service.Model.Holds = true;
        service.Model.LetGo();
        var answer = await service.Post(
            Route,
            new
            {
                model = "fake",
                input = FakeModel.TwoPieces,
                voice = "default",
                response_format = "aac",
            },
            HttpCompletionOption.ResponseHeadersRead
        );
        await Waits.Until(() => Encoders().Count == 2); // its own, and one for the next
        answer.Dispose();
        await Waits.Until(() => Encoders() is [_] && service.Model.Cancelled.Count == 1); // in either order
    }

    [Fact]
    public async Task An_encoder_waits_for_the_next_answer()
    {
        FfmpegTool.SkipIfMissing();
        await using (var service = await TestService.Start())
        {
            var first = await Speech();
            var waiting = Assert.Single(Encoders());
            Assert.Equal(first, await Speech());
            var next = Assert.Single(Encoders());
            Assert.NotEqual(waiting, next);
            Process.GetProcessById(int.Parse(Path.GetFileName(next), CultureInfo.InvariantCulture)).Kill();
            await Waits.Until(() => Encoders() is []);
            Assert.Equal(first, await Speech());

            async Task<byte[]> Speech()
            {
                using var answer = await service.Post(
                    Route,
                    new
                    {
                        model = "fake",
                        input = FakeModel.TwoPieces,
                        voice = "default",
                        response_format = "aac",
                        seed = 1,
                    }
                );
                return await answer.Content.ReadAsByteArrayAsync();
            }
        }

        await Waits.Until(() => Encoders() is []);
    }

    [Fact]
    public async Task A_deadline_is_told_by_each_dialect()
    {
        await using var service = await TestService.Start(new() { ["Engine:RequestTimeoutSeconds"] = "1" });
        service.Model.Holds = true;
        using var before = await service.Post(
            Route,
            new
            {
                model = "fake",
                input = "Too slow.",
                voice = "default",
                response_format = "pcm",
            }
        );
        await before.AssertOpenAiError(HttpStatusCode.ServiceUnavailable);
        Assert.NotNull(before.Headers.RetryAfter);
        using var file = await service.Post("/speak", new { text = "Too slow." });
        await file.AssertSpeakError(HttpStatusCode.ServiceUnavailable);

        service.Model.LetGo();
        using var events = await service.Post("/speak", new { text = "In time. Too slow. And this.", stream = true });
        var told = await events.Events();
        Assert.Equal("""{"chunk_index":1,"status":"error","message":"Failed to generate audio"}""", told[2].GetRawText());
        Assert.Equal("""{"chunk_index":2,"status":"error","message":"Failed to generate audio"}""", told[3].GetRawText());
        Assert.Equal("""{"status":"complete","total_chunks":3}""", told[4].GetRawText());

        service.Model.LetGo();
        using var after = await service.Post(
            Route,
            new
            {
                model = "fake",
                input = FakeModel.TwoPieces,
                voice = "default",
                response_format = "pcm",
                stream_format = "sse",
            }
        );
        var last = (await after.Events())[^1];
        Assert.Equal("error", last.GetProperty("type").GetString());
        Assert.Contains("given up after", last.GetProperty("error").GetProperty("message").GetString());
    }

    [Fact]
    public async Task A_stop_finishes_what_has_begun_and_refuses_the_rest()
    {
        await using var service = await TestService.Start(new() { ["Service:ShutdownSeconds"] = "60" });
        var engine = service.Fleet.Default;
        service.Model.Holds = true;
        var begun = service.Post("/speak", new { text = "One. Two.", stream = true });
        await Waits.Until(() => engine.Status.Active == 1);
        var waiting = service.Post(
            Route,
            new
            {
                model = "fake",
                input = "I wait.",
                voice = "default",
                response_format = "pcm",
            }
        );
        await Waits.Until(() => engine.Status.Waiting == 1);
        var stopped = service.Stop();
        using var refused = await waiting;
        await refused.AssertOpenAiError(HttpStatusCode.ServiceUnavailable);
        service.Model.LetGo(2);
        Assert.Equal(5, (await (await begun).Events()).Count);
        await stopped;
    }

    [Fact]
    public async Task A_stop_does_not_wait_longer_than_it_may_and_ends_streams_with_an_error()
    {
        const int clients = 20;
        await using var service = await TestService.Start(new() { ["Service:ShutdownSeconds"] = "0.5" });
        service.Model.Holds = true;
        var speaks = """{"text":"One. Two. Three.","stream":true}""";
        var speech =
            $$"""{"model":"fake","input":"{{FakeModel.TwoPieces}}","voice":"default","response_format":"pcm","stream_format":"sse","chunk":false}""";
        var https = Enumerable.Range(0, clients).Select(i => TestClients.From($"127.0.0.{1 + i}", service.Address)).ToList();
        var answers = https
            .Select(
                (http, i) =>
                    http.PostAsync(
                        new Uri(i % 2 == 0 ? "/speak" : Route, UriKind.Relative),
                        new StringContent(i % 2 == 0 ? speaks : speech, Encoding.UTF8, "application/json")
                    )
            )
            .ToList();
        await Waits.Until(() => service.Fleet.Default.Status is { Active: 1, Waiting: clients - 1 });
        service.Model.LetGo(clients); // clients take turns: of each the first piece is spoken
        await Waits.Until(() => service.Model.Turns.Count == clients + 1 && service.Model.IsWaiting);
        Assert.Equal(clients, service.Fleet.Default.Status.Active);
        await service.Stop();
        foreach (var (i, answer) in answers.Index())
        {
            var told = await (await answer).Events();
            if (i % 2 == 0)
            {
                Assert.Equal(["error", "complete"], told[^2..].Select(e => e.GetProperty("status").GetString()));
            }
            else
            {
                Assert.Contains("stopping", told[^1].GetProperty("error").GetProperty("message").GetString(), StringComparison.Ordinal);
            }
        }

        https.ForEach(http => http.Dispose());
    }

    [Theory]
    [InlineData("pcm", Route)]
    [InlineData("mp3", Route)]
    [InlineData("events", Route)]
    [InlineData("events", "/speak")]
    public async Task A_slow_reader_holds_up_nobody_and_loses_nothing(string format, string route)
    {
        // More than the system keeps for a reader: the answer waits within the service.
        await using var service = await TestService.Start();
        var text = string.Concat(Enumerable.Repeat("Many words to hear. [pause:30s] ", 9));
        var body =
            route == "/speak"
                ? $$"""{"text":"{{text}}","stream":true}"""
                : $$"""{"model":"fake","voice":"default","seed":1,"input":"{{text}}","response_format":"{{(format == "mp3" ? "mp3" : "pcm")}}","stream_format":"{{(format == "events" ? "sse" : "audio")}}"}""";
        using var http = TestClients.From("127.0.0.2", service.Address, receiveBuffer: 4096);
        using var request = new HttpRequestMessage(HttpMethod.Post, route)
        {
            Content = new StringContent(body, Encoding.UTF8, "application/json"),
        };
        using var slow = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        await Waits.Until(() => service.Model.Calls.Count == 9); // all is made, and nobody reads it

        using var other = await service.Post("/speak", new { text = "I am served.", stream = true });
        Assert.Equal(3, (await other.Events()).Count);
        Assert.Equal(1, service.Model.MostAtOnce);

        var heard = await slow.Content.ReadAsByteArrayAsync();
        using var quick = await service.PostText(route, body);
        var whole = await quick.Content.ReadAsByteArrayAsync();
        Assert.Equal(whole.Length, heard.Length);
        if (route != "/speak") // which takes no seed
        {
            Assert.Equal(whole, heard);
        }
    }

    [Fact]
    public async Task Clients_take_turns()
    {
        await using var service = await TestService.Start();
        service.Model.Holds = true;
        var many = Enumerable.Range(0, 4).Select(i => service.Post("/speak", new { text = $"Greedy {i}.", stream = true })).ToList();
        await Waits.Until(() => service.Fleet.Default.Status is { Active: 1, Waiting: 3 });
        using var elsewhere = TestClients.From("127.0.0.2", service.Address);
        var modest = elsewhere.PostAsync(
            new Uri("/speak", UriKind.Relative),
            new StringContent("""{"text":"Modest.","stream":true}""", Encoding.UTF8, "application/json")
        );
        await Waits.Until(() => service.Fleet.Default.Status.Waiting == 4);
        service.Model.LetGo(5);
        await Task.WhenAll([.. many, modest]);
        var order = service.Model.Calls.Select(c => c.Text).ToList();
        Assert.InRange(order.IndexOf("Modest."), 1, 2); // after the one that was being spoken, and at most one that was next
    }

    [Fact]
    public async Task A_client_with_many_connections_leaves_places_for_others()
    {
        await using var service = await TestService.Start();
        service.Model.Holds = true;
        var many = Enumerable.Range(0, 90).Select(_ => service.Post("/speak", new { text = "Greedy.", stream = true })).ToList();
        await Waits.Until(() => many.Count(answer => answer.IsCompleted) >= 90 - 1 - 33); // one is spoken, 33 of 64 places are taken
        using var elsewhere = TestClients.From("127.0.0.2", service.Address);
        var modest = Enumerable
            .Range(0, 10)
            .Select(_ =>
                elsewhere.PostAsync(
                    new Uri("/speak", UriKind.Relative),
                    new StringContent("""{"text":"Modest.","stream":true}""", Encoding.UTF8, "application/json")
                )
            )
            .ToList();
        await Waits.Until(() => service.Fleet.Default.Status.Waiting == 33 + 10);
        service.Model.LetGo(100);
        Assert.All(await Task.WhenAll(modest), answer => Assert.Equal(HttpStatusCode.OK, answer.StatusCode));
        Assert.Equal(34, (await Task.WhenAll(many)).Count(answer => answer.StatusCode == HttpStatusCode.OK));
    }

    [Fact]
    public async Task Watermark_checks_take_turns_with_speech()
    {
        await using var service = await TestService.Start();
        service.Model.Holds = true;
        var first = service.Post("/speak", new { text = "First.", stream = true });
        await Waits.Until(() => service.Fleet.Default.Status.Active == 1);
        using var elsewhere = TestClients.From("127.0.0.2", service.Address);
        var checks = Enumerable
            .Range(0, 4)
            .Select(_ =>
                elsewhere.PostAsync(
                    new Uri("/v1/audio/watermark", UriKind.Relative),
                    new MultipartFormDataContent { { new ByteArrayContent(Wav.Recording(seconds: 2)), "file", "a.wav" } }
                )
            )
            .ToList();
        await Waits.Until(() => service.Fleet.Default.Status.Waiting == 4);
        var speech = service.Post("/speak", new { text = "Second.", stream = true });
        await Waits.Until(() => service.Fleet.Default.Status.Waiting == 5);
        service.Model.LetGo(10);
        await Task.WhenAll([first, speech, .. checks]);
        Assert.InRange(service.Model.Turns.ToList().IndexOf("Second."), 1, 2); // at most one check was next
        Assert.All(checks, check => Assert.Equal(HttpStatusCode.OK, check.Result.StatusCode));
    }

    [Fact]
    public async Task Under_load_each_answer_is_the_one_asked_for()
    {
        const int clients = 64;
        await using var service = await TestService.Start(new() { ["Engine:MaxQueuedRequests"] = "200", ["Text:Normalize"] = "Off" });
        service.AddVoice("Ann.wav", 1500);
        var outcomes = await Task.WhenAll(
            Enumerable
                .Range(0, clients)
                .Select(async i =>
                {
                    using var http = TestClients.From($"127.0.0.{1 + (i % 16)}", service.Address);
                    var text = $"This is what client number {i} wants to hear, and nothing else.";
                    var voice = i % 3 == 0 ? "Ann" : "default";
                    var body =
                        i % 20 == 7
                            ? "{\"mod"
                            : $$"""{"model":"fake","input":"{{text}}","voice":"{{voice}}","response_format":"pcm","seed":{{i}}}""";
                    using var leaves = new CancellationTokenSource();
                    if (i % 10 == 3)
                    {
                        await leaves.CancelAsync();
                    }

                    try
                    {
                        using var answer = await http.PostAsync(
                            new Uri(Route, UriKind.Relative),
                            new StringContent(body, Encoding.UTF8, "application/json"),
                            leaves.Token
                        );
                        if (i % 20 == 7)
                        {
                            await answer.AssertOpenAiError(HttpStatusCode.BadRequest);
                            return "garbage";
                        }

                        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
                        var samples = Wav.Pcm(await answer.Content.ReadAsByteArrayAsync());
                        var speaker =
                            voice == "default"
                                ? service.Model.BuiltInVoice!
                                : new Voice(new T3Prompt([500], []), new S3GenPrompt([], [], []));
                        var tone = FakeModel.Tone(text, speaker, new SamplingOptions { Seed = i });
                        Assert.Equal(tone.Length, samples.Length);
                        Assert.Equal(tone[200..^200], samples[200..^200], Wav.Close);
                        return "heard";
                    }
                    catch (OperationCanceledException)
                    {
                        return "left";
                    }
                })
        );
        Assert.Equal(
            Enumerable
                .Range(0, clients)
                .Select(i =>
                    i % 10 == 3 ? "left"
                    : i % 20 == 7 ? "garbage"
                    : "heard"
                ),
            outcomes
        );
        Assert.Equal(1, service.Model.MostAtOnce);
        Assert.Equal(1, service.Model.VoicesMade);
        await Waits.Until(() => service.Fleet.Default.Status is { Active: 0, Waiting: 0 });
    }

    /// <summary>ffmpeg processes that this test's service has started.</summary>
    private static List<string> Encoders()
    {
        var own = Environment.ProcessId.ToString(CultureInfo.InvariantCulture);
        return
        [
            .. Directory
                .EnumerateDirectories("/proc")
                .Where(d => char.IsDigit(Path.GetFileName(d)[0]))
                .Where(d =>
                {
                    try
                    {
                        var stat = File.ReadAllText(Path.Combine(d, "stat"));
                        return stat.Contains("(ffmpeg)", StringComparison.Ordinal)
                            && stat.Split(") ")[^1].Split(' ') is [not "Z", var parent, ..]
                            && parent == own;
                    }
                    catch (IOException)
                    {
                        return false; // it has just ended
                    }
                }),
        ];
    }
}

/// <summary>Clients on other addresses of this machine.</summary>
internal static class TestClients
{
    public static HttpClient From(string address, Uri service, int receiveBuffer = 1 << 16) =>
        new(
            new SocketsHttpHandler
            {
                ConnectCallback = async (context, cancellationToken) =>
                {
                    var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp)
                    {
                        NoDelay = true,
                        ReceiveBufferSize = receiveBuffer,
                    };
                    socket.Bind(new IPEndPoint(IPAddress.Parse(address), 0));
                    await socket.ConnectAsync(context.DnsEndPoint, cancellationToken);
                    return new NetworkStream(socket, ownsSocket: true);
                },
            }
        )
        {
            BaseAddress = service,
            Timeout = Waits.Limit,
        };
}
