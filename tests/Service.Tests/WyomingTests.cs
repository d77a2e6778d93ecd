using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Chatterbox.Service.Sessions;
using Chatterbox.Service.Wyoming;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;

namespace Chatterbox.Service.Tests;

/// <summary>Wyoming, as Home Assistant speaks it: a client written from the protocol's text.</summary>
public sealed class WyomingTests
{
    [Fact]
    public async Task It_describes_itself_with_all_kinds_of_services()
    {
        await using var service = await Start(describe: model => model with { Languages = ["en", "de"] });
        service.AddVoice("Ann.wav");
        await using var client = await Client.Connect(service);
        await client.Send("describe");
        var (type, data, _) = await client.Next();
        Assert.Equal("info", type);
        Assert.Equal(["tts", "asr", "handle", "intent", "wake", "mic", "snd"], data.Names());
        var program = data.GetProperty("tts")[0];
        Assert.Equal(
            ["name", "attribution", "installed", "description", "version", "voices", "supports_synthesize_streaming"],
            program.Names()
        );
        Assert.True(program.GetProperty("supports_synthesize_streaming").GetBoolean());
        var voices = program.GetProperty("voices").EnumerateArray().ToList();
        Assert.Equal(["default", "Ann"], voices.Select(voice => voice.GetProperty("name").GetString()));
        Assert.Equal(["name", "attribution", "installed", "description", "version", "languages", "speakers"], voices[0].Names());
        Assert.Equal(JsonValueKind.Null, voices[0].GetProperty("speakers").ValueKind);
        Assert.Equal(2, voices[0].GetProperty("languages").GetArrayLength());
        await client.Send("ping");
        Assert.Equal("pong", (await client.Next()).Type);
    }

    [Theory]
    [InlineData(false)] // what it says in the first line
    [InlineData(true)] // and behind it
    public async Task A_text_is_one_stream_of_audio(bool behind)
    {
        await using var service = await Start();
        service.AddVoice("Ann.wav", 500);
        await using var client = await Client.Connect(service);
        await client.Send("synthesize", new { text = "Hello there. How are you?", voice = new { name = "Ann" } }, behind);
        var told = await client.UpTo("audio-stop");
        Assert.Equal("""{"rate":24000,"width":2,"channels":1}""", told[0].Data.GetRawText());
        Assert.Equal(["audio-start", .. Enumerable.Repeat("audio-chunk", told.Count - 2), "audio-stop"], told.Select(frame => frame.Type));
        var calls = service.Model.Calls.ToList();
        Assert.All(calls, call => Assert.Equal(500f, call.Voice.T3.SpeakerEmbedding[0]));
        Assert.Equal(
            2 * (calls.Sum(call => FakeModel.Tone(call.Text, call.Voice, call.Sampling).Length) + 6000),
            told.Sum(frame => frame.Payload.Length)
        );
    }

    [Fact]
    public async Task A_streamed_text_is_a_stream_of_audio_for_each_sentence()
    {
        await using var service = await Start();
        await using var client = await Client.Connect(service);
        await client.Send("synthesize-start", new { voice = new { language = "en_US" } });
        foreach (var text in (string[])["Hello", " there. How", " are you"])
        {
            await client.Send("synthesize-chunk", new { text });
        }

        await client.Send("synthesize", new { text = "Hello there. How are you" }); // for older servers
        await client.Send("synthesize-stop");
        var told = await client.UpTo("synthesize-stopped");
        Assert.Equal(
            ["audio-start", "audio-stop", "audio-start", "audio-stop", "synthesize-stopped"],
            told.Select(frame => frame.Type).Where(type => type != "audio-chunk")
        );
        Assert.Equal(["Hello there.", "How are you"], service.Model.Calls.Select(call => call.Text));

        await client.Send("synthesize", new { text = "And once more." }); // on the same connection
        Assert.Equal("audio-stop", (await client.UpTo("audio-stop"))[^1].Type);
    }

    [Fact]
    public async Task Errors_are_told_and_what_is_no_text_has_an_end_too()
    {
        await using var service = await Start();
        await using (var client = await Client.Connect(service))
        {
            await client.Send("synthesize", new { text = " " });
            Assert.Equal(["audio-start", "audio-stop"], (await client.UpTo("audio-stop")).Select(frame => frame.Type));
            await client.Send("synthesize", new { text = "This is unspeakable." });
            var told = await client.UpTo("audio-stop");
            Assert.Equal(["audio-start", "error", "audio-stop"], told.Select(frame => frame.Type));
            Assert.Equal("speech_failed", told[1].Data.GetProperty("code").GetString());
            await client.Send("transcribe"); // of another kind of service
            await client.Send("synthesize", new { text = "Hello.", voice = new { name = "nobody" } });
            Assert.Equal("voice_not_found", (await client.Next()).Data.GetProperty("code").GetString());
            Assert.True(await client.IsClosed());
        }

        foreach (
            var line in (string[])
                [
                    "nonsense\n",
                    "[]\n",
                    "{\"type\":\"synthesize\",\"data_length\":99999999}\n",
                    "{\"type\":5}\n",
                    "{\"type\":\"synthesize\",\"data\":{\"text\":\"\\ud800\"}}\n",
                    new string('a', 70_000),
                ]
        )
        {
            await using var client = await Client.Connect(service);
            await client.SendText(line);
            Assert.Equal("error", (await client.Next()).Type);
            Assert.True(await client.IsClosed());
        }
    }

    [Fact]
    public async Task A_client_that_leaves_frees_its_place_and_places_are_bounded()
    {
        await using var service = await Start(new() { ["Streaming:MaxSessions"] = "1" });
        service.Model.Holds = true;
        var client = await Client.Connect(service);
        await client.Send("synthesize", new { text = "Nobody hears the end of this." });
        await Waits.Until(() => service.Model.IsWaiting);
        await using (var refused = await Client.Connect(service))
        {
            Assert.True(await refused.IsClosed());
        }

        await client.DisposeAsync();
        await Waits.Until(() => service.Model.Cancelled.Count == 1 && service.Services.GetRequiredService<SessionGate>().Taken == 0);
    }

    [Fact]
    public async Task A_service_that_stops_ends_its_connections()
    {
        await using var service = await Start();
        await using var client = await Client.Connect(service);
        await client.Send("ping");
        await client.Next();
        await service.Stop().WaitAsync(Waits.Limit);
        Assert.Equal("unavailable", (await client.Next()).Data.GetProperty("code").GetString());
        Assert.True(await client.IsClosed());
    }

    [Fact]
    public async Task It_is_off_unless_its_port_is_set_and_listed_where_it_is()
    {
        await using var off = await TestService.Start();
        Assert.Null(off.Services.GetService<WyomingServer>());
        await using var on = await Start();
        var port = on.Services.GetRequiredService<WyomingServer>().EndPoint!;
        Assert.True(IPAddress.IsLoopback(port.Address));
        Assert.Contains(
            string.Create(CultureInfo.InvariantCulture, $"Wyoming localhost:{port.Port}"),
            await on.Http.GetStringAsync(new Uri("/", UriKind.Relative)),
            StringComparison.Ordinal
        );
    }

    [Fact]
    public void A_question_by_mDNS_is_understood_and_answered()
    {
        var service = new MdnsService("_wyoming._tcp.local", "Chatterbox on desk", "desk.lan", 10200);
        var question = Assert.Single(MdnsMessage.Questions(MdnsMessage.Ask("_wyoming._tcp.local")));
        Assert.Equal(["_wyoming", "_tcp", "local"], question.Name);
        Assert.True(service.Answers(question));
        Assert.False(service.Answers(MdnsMessage.Questions(MdnsMessage.Ask("_ipp._tcp.local"))[0]));
        var answer = MdnsMessage.Tell(service, [IPAddress.Parse("192.168.1.7")]);
        Assert.Equal([0x84, 0x00, 0x00, 0x00, 0x00, 0x05], answer[2..8]);
        Assert.Contains(
            "\u0012Chatterbox on desk\u0008_wyoming\u0004_tcp\u0005local\0",
            Encoding.Latin1.GetString(answer),
            StringComparison.Ordinal
        );
        Assert.Contains(
            "\u0004desk\u0005local\0\0\u0001\u0080\u0001\0\0\0\u0078\0\u0004\u00C0\u00A8\u0001\u0007",
            Encoding.Latin1.GetString(answer),
            StringComparison.Ordinal
        );
        Assert.Contains(
            "\0\u0021\u0080\u0001\0\0\0\u0078\0\u0012\0\0\0\0\u0027\u00D8\u0004desk\u0005local\0",
            Encoding.Latin1.GetString(answer),
            StringComparison.Ordinal
        );
        Assert.Empty(MdnsMessage.Questions(answer));
    }

    [Fact]
    public void Damaged_messages_by_mDNS_have_no_questions()
    {
        byte[] loop = [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xC0, 12, 0, 12, 0, 1];
        Assert.Empty(MdnsMessage.Questions(loop));
        var random = new Random(5);
        var whole = MdnsMessage.Ask("_wyoming._tcp.local");
        for (var round = 0; round < 10_000; round++)
        {
            var damaged = whole[..random.Next(whole.Length + 1)];
            for (var i = 0; i < damaged.Length; i++)
            {
                damaged[i] = random.Next(4) == 0 ? (byte)random.Next(256) : damaged[i];
            }

            Assert.InRange(MdnsMessage.Questions(damaged).Count, 0, 64);
        }
    }

    [Fact]
    public async Task It_is_found_by_mDNS()
    {
        var service = new MdnsService("_wyoming._tcp.local", "Chatterbox test", "test", 10200);
        var responder = MdnsResponder.TryStart(service, NullLogger.Instance);
        Assert.SkipWhen(responder is null, "there is no network with multicast here");
        await using (responder)
        {
            using var asker = new UdpClient(new IPEndPoint(IPAddress.Any, 0));
            var address = Dns.GetHostAddresses(Dns.GetHostName())
                .FirstOrDefault(a => a.AddressFamily == AddressFamily.InterNetwork && !IPAddress.IsLoopback(a));
            Assert.SkipWhen(address is null, "this machine has no address of its own");
            using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(10));
            await asker.SendAsync(MdnsMessage.Ask("_wyoming._tcp.local"), new IPEndPoint(address, 5353), limit.Token);
            try
            {
                var answer = await asker.ReceiveAsync(limit.Token);
                Assert.Contains("Chatterbox test", Encoding.UTF8.GetString(answer.Buffer), StringComparison.Ordinal);
            }
            catch (OperationCanceledException)
            {
                Assert.Skip("another program on this machine answers mDNS");
            }
        }
    }

    private static Task<TestService> Start(
        Dictionary<string, string?>? settings = null,
        Func<Models.ServedModel, Models.ServedModel>? describe = null
    )
    {
        using var free = new TcpListener(IPAddress.Loopback, 0);
        free.Start();
        var port = ((IPEndPoint)free.LocalEndpoint).Port.ToString(CultureInfo.InvariantCulture);
        free.Stop();
        return TestService.Start(new(settings ?? []) { ["Wyoming:Port"] = port }, describe);
    }

    /// <summary>A client of the protocol: a line of JSON, then as many bytes of JSON and of audio as it says.</summary>
    private sealed class Client(TcpClient socket) : IAsyncDisposable
    {
        private readonly NetworkStream _stream = socket.GetStream();

        public static async Task<Client> Connect(TestService service)
        {
            var socket = new TcpClient { NoDelay = true };
            await socket.ConnectAsync(
                service.Services.GetRequiredService<WyomingServer>().EndPoint!,
                TestContext.Current.CancellationToken
            );
            return new(socket);
        }

        public Task SendText(string text) => _stream.WriteAsync(Encoding.UTF8.GetBytes(text)).AsTask();

        public Task Send(string type, object? data = null, bool behind = true)
        {
            if (data is null || !behind)
            {
                return SendText(JsonSerializer.Serialize(data is null ? new { type } : (object)new { type, data }) + "\n");
            }

            var json = JsonSerializer.Serialize(data);
            return SendText(
                JsonSerializer.Serialize(
                    new
                    {
                        type,
                        version = "1.8.0",
                        data_length = Encoding.UTF8.GetByteCount(json),
                        payload_length = 3,
                    }
                )
                    + "\n"
                    + json
                    + "abc"
            );
        }

        public async Task<(string Type, JsonElement Data, byte[] Payload)> Next()
        {
            var line = new List<byte>();
            while (await ReadByte() is var next && next != '\n')
            {
                line.Add(next);
            }

            var header = JsonDocument.Parse(line.ToArray()).RootElement;
            var data = await Read(header.GetProperty("data_length").GetInt32());
            var payload = await Read(header.GetProperty("payload_length").GetInt32());
            return (header.GetProperty("type").GetString()!, JsonDocument.Parse(data).RootElement, payload);
        }

        public async Task<List<(string Type, JsonElement Data, byte[] Payload)>> UpTo(string type)
        {
            var told = new List<(string Type, JsonElement Data, byte[] Payload)>();
            do
            {
                told.Add(await Next());
            } while (told[^1].Type != type);
            return told;
        }

        public async Task<bool> IsClosed()
        {
            try
            {
                return (await Read(1, orEnd: true)).Length == 0;
            }
            catch (IOException)
            {
                return true; // with what was sent unread
            }
        }

        public ValueTask DisposeAsync()
        {
            socket.Dispose();
            return ValueTask.CompletedTask;
        }

        private async Task<byte> ReadByte() => (await Read(1))[0];

        private async Task<byte[]> Read(int length, bool orEnd = false)
        {
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
            limit.CancelAfter(Waits.Limit);
            var bytes = new byte[length];
            var read = await _stream.ReadAtLeastAsync(bytes, length, throwOnEndOfStream: !orEnd, limit.Token);
            return bytes[..read];
        }
    }
}
