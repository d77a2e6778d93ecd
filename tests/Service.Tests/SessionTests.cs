using System.Net;
using System.Net.WebSockets;
using System.Text;
using Microsoft.Extensions.DependencyInjection;

namespace Chatterbox.Service.Tests;

/// <summary>Text that is spoken while it is written, over a WebSocket.</summary>
public sealed class SessionTests
{
    private const string Route = "/v1/audio/speech/stream";
    private const int ChunkSamples = 1000;

    [Fact]
    public async Task Text_by_tokens_is_spoken_sentence_by_sentence()
    {
        await using var service = await TestService.Start(new() { ["Text:Normalize"] = "Off" });
        service.Model.ChunkSamples = ChunkSamples;
        await using var client = await SessionClient.Open(service);
        foreach (var token in (string[])["Dr", ".", " Smith", " paid", " 3", ".", "14", " dollars", ".", " He", " was", " glad"])
        {
            await client.Write(token);
        }

        Assert.Equal("""{"type":"sentence","index":0,"text":"Dr. Smith paid 3.14 dollars."}""", (await client.Next()).GetRawText());
        var done = await client.Next("sentence.done");
        Assert.Equal(["type", "index", "audio_seconds", "usage"], done.Names());
        var tone = FakeModel.Tone("Dr. Smith paid 3.14 dollars.", service.Model.BuiltInVoice!, new SamplingOptions { Seed = 5 });
        Assert.Equal(tone.Length / 24_000.0, done.GetProperty("audio_seconds").GetDouble());
        Assert.Equal(
            (28, 56),
            (
                done.GetProperty("usage").GetProperty("input_tokens").GetInt32(),
                done.GetProperty("usage").GetProperty("output_tokens").GetInt32()
            )
        );
        var first = Wav.Pcm(client.TakeAudio());
        Assert.Equal(tone[200..^200], first[200..^200], Wav.Close);
        Assert.Equal(tone.Length, first.Length);
        Assert.Single(service.Model.Calls); // the second sentence may go on

        await client.Send(new { type = "flush" });
        Assert.Equal("He was glad", (await client.Next("sentence")).GetProperty("text").GetString());
        await client.Next("sentence.done");
        await client.Next("flushed");
        var second = FakeModel.Tone("He was glad", service.Model.BuiltInVoice!, new SamplingOptions { Seed = 6 });
        Assert.Equal(6000 + second.Length, client.TakeAudio().Length / 2); // the pause between two sentences

        await client.Write("Bye.");
        await client.Send(new { type = "end" });
        Assert.Equal(2, (await client.Next("sentence")).GetProperty("index").GetInt32());
        await client.Next("sentence.done");
        var total = (await client.Next("done")).GetProperty("usage");
        Assert.Equal(28 + 11 + 4, total.GetProperty("input_tokens").GetInt32());
        Assert.Null(await client.NextOrEnd());
        Assert.Equal(WebSocketCloseStatus.NormalClosure, client.Socket.CloseStatus);
    }

    [Fact]
    public async Task The_same_text_and_seed_are_the_same_speech_however_the_text_comes()
    {
        await using var service = await TestService.Start();
        service.Model.ChunkSamples = ChunkSamples;
        async Task<byte[]> Speak(IEnumerable<string> parts, string audio)
        {
            await using var client = await SessionClient.Open(
                service,
                new
                {
                    type = "session",
                    seed = 9,
                    audio,
                    response_format = "wav",
                }
            );
            foreach (var part in parts)
            {
                await client.Write(part);
            }

            await client.Send(new { type = "end" });
            await client.UpTo("done");
            return client.TakeAudio();
        }

        const string text = FakeModel.TwoPieces + " And a third!";
        var whole = await Speak([text], "binary");
        Assert.Equal("RIFF"u8, whole.AsSpan(0, 4));
        Assert.Equal(whole, await Speak(text.Chunk(3).Select(part => new string(part)), "base64"));
        Assert.Equal([9, 10, 11], service.Model.Calls.Select(call => call.Sampling.Seed!.Value).Take(3));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(3)]
    public async Task Cancel_between_two_chunks_drops_the_rest_and_the_session_goes_on(int heard)
    {
        await using var service = await TestService.Start();
        service.Model.ChunkSamples = ChunkSamples;
        service.Model.Holds = true;
        await using var client = await SessionClient.Open(service);
        await client.Write("This is the one that is being spoken. This one waits. And this is not comp");
        await client.Send(new { type = "flush" });
        await client.Write("Behind the flush. So is");
        await client.Next("sentence");
        for (var chunk = 0; chunk < heard; chunk++)
        {
            service.Model.LetGo();
            await client.Hear();
        }

        await Waits.Until(() => service.Model.IsWaiting);
        await client.Send(new { type = "cancel" });
        var cancelled = await client.Next("cancelled");
        var dropped = cancelled.GetProperty("sentences").EnumerateArray().ToList();
        Assert.Equal(
            ["This is the one that is being spoken.", "This one waits.", "And this is not comp", "Behind the flush."],
            dropped.Select(sentence => sentence.GetProperty("text").GetString())
        );
        Assert.Equal([0, 1, 2, 3], dropped.Select(sentence => sentence.GetProperty("index").GetInt32()));
        Assert.Equal(Math.Max(0, (heard * ChunkSamples) - 120) / 24_000.0, dropped[0].GetProperty("audio_seconds").GetDouble());
        Assert.Equal("So is", cancelled.GetProperty("text").GetString());
        Assert.Equal(Math.Max(0, (heard * ChunkSamples) - 120) * 2, client.TakeAudio().Length);
        await Waits.Until(() => service.Model.Cancelled.Count == 1 && service.Fleet.Default.Status.Active == 0);

        service.Model.LetGo(100);
        await client.Write("Now this.");
        await client.Send(new { type = "flush" });
        Assert.Equal(["sentence", "sentence.done", "flushed"], (await client.UpTo("flushed")).Select(SessionClient.TypeOf));
        var tone = FakeModel.Tone("Now this.", service.Model.BuiltInVoice!, service.Model.Calls.Last().Sampling);
        Assert.Equal(tone.Length, client.TakeAudio().Length / 2);
        Assert.Equal(2, service.Model.Calls.Count); // of what was dropped, nothing else was begun
    }

    [Fact]
    public async Task A_cancel_with_nothing_to_cancel_and_a_flush_of_nothing_are_answered()
    {
        await using var service = await TestService.Start();
        await using var client = await SessionClient.Open(service, new { type = "session" });
        await client.Send(new { type = "cancel" });
        Assert.Equal("""{"type":"cancelled","sentences":[],"text":""}""", (await client.Next()).GetRawText());
        await client.Send(new { type = "flush" });
        await client.Next("flushed");
        await client.Write(" \n ");
        await client.Send(new { type = "end" });
        Assert.Equal(
            """{"type":"done","usage":{"input_tokens":0,"output_tokens":0,"total_tokens":0}}""",
            (await client.Next()).GetRawText()
        );
        Assert.Empty(service.Model.Calls);
    }

    [Theory]
    [InlineData("opus", "OggS")]
    [InlineData("flac", "fLaC")]
    public async Task Text_up_to_a_flush_is_one_stream_of_the_format(string format, string begins)
    {
        FfmpegTool.SkipIfMissing();
        await using var service = await TestService.Start();
        service.Model.ChunkSamples = ChunkSamples;
        await using var client = await SessionClient.Open(
            service,
            new
            {
                type = "session",
                seed = 5,
                response_format = format,
            }
        );
        for (var utterance = 0; utterance < 2; utterance++)
        {
            await client.Write("One sentence of it. And another.");
            await client.Send(new { type = "flush" });
            Assert.Equal(
                ["sentence", "sentence.done", "sentence", "sentence.done", "flushed"],
                (await client.UpTo("flushed")).Select(SessionClient.TypeOf)
            );
            var audio = client.TakeAudio();
            Assert.Equal(begins, Encoding.ASCII.GetString(audio, 0, 4));
            var spoken = service.Model.Calls.TakeLast(2).Sum(call => FakeModel.Tone(call.Text, call.Voice, call.Sampling).Length) + 6000;
            Assert.InRange((await FfmpegTool.Decode(audio)).Length, spoken - 500, spoken + 4000);
        }

        await client.Write("Cut off in the middle, as it should be.");
        await client.Send(new { type = "cancel" });
        await client.UpTo("cancelled");
        client.TakeAudio();
        await client.Write("Fine.");
        await client.Send(new { type = "end" });
        await client.UpTo("done");
        Assert.Equal(begins, Encoding.ASCII.GetString(client.TakeAudio(), 0, 4));
    }

    [Theory]
    [InlineData("""{"type":"session","voice":"nobody"}""", "voice", "voice_not_found")]
    [InlineData("""{"type":"session","model":"tts-9"}""", "model", "model_not_found")]
    [InlineData("""{"type":"session","response_format":"midi"}""", "response_format", "invalid_value")]
    [InlineData("""{"type":"session","audio":"sse"}""", "audio", "invalid_value")]
    [InlineData("""{"type":"session","temperature":9}""", "temperature", "invalid_value")]
    [InlineData("""{"type":"session","exaggeration":0.5}""", "exaggeration", "unsupported_parameter")]
    [InlineData("""{"type":"session","loudness":1}""", "loudness", "unknown_parameter")]
    [InlineData("""{"type":"session","seed":"one"}""", "seed", "invalid_type")]
    [InlineData("""{"type":"text","text":"Too early."}""", "type", "session_missing")]
    [InlineData("""{"type":"shout"}""", "type", "invalid_value")]
    [InlineData("""{"text":"a"}""", "type", "invalid_value")]
    [InlineData("""["type"]""", "type", "invalid_value")]
    [InlineData("""{"type":"text"}""", "text", "missing_required_parameter")]
    [InlineData("""{"type":"text","text":null}""", "text", "invalid_type")]
    [InlineData("""{"type":"flush","text":"a"}""", "text", "unknown_parameter")]
    [InlineData("{", null, "invalid_json")]
    [InlineData("", null, "invalid_json")]
    public async Task A_message_that_is_wrong_is_told_why_and_the_session_goes_on(string message, string? param, string code)
    {
        await using var service = await TestService.Start(describe: model => model with { Lacks = ["exaggeration"] });
        await using var client = await SessionClient.Connect(service);
        await client.SendText(message);
        var error = (await client.Next("error")).GetProperty("error");
        Assert.Equal(["message", "type", "param", "code"], error.Names());
        Assert.Equal(
            ("invalid_request_error", param, code),
            (error.GetProperty("type").GetString(), error.GetProperty("param").GetString(), error.GetProperty("code").GetString())
        );
        await client.Send(new { type = "session", model = "fake" });
        Assert.Equal(["type", "request_id", "model", "sample_rate", "seed"], (await client.Next("session.ready")).Names());
        await client.Socket.SendAsync(new byte[] { 1 }, WebSocketMessageType.Binary, endOfMessage: true, CancellationToken.None);
        await client.Next("error");
        await client.Write("Fine.");
        await client.Send(new { type = "end" });
        Assert.Equal(["sentence", "sentence.done", "done"], (await client.UpTo("done")).Select(SessionClient.TypeOf));
    }

    [Fact]
    public async Task A_sentence_that_cannot_be_spoken_is_told_and_the_session_goes_on()
    {
        await using var service = await TestService.Start();
        service.Model.ChunkSamples = ChunkSamples;
        await using var client = await SessionClient.Open(service);
        await client.Write("This is unspeakable. This one breaks off. A pause of [pause:99s] is too long. Fine.");
        await client.Send(new { type = "flush" });
        var told = await client.UpTo("flushed");
        Assert.Equal(
            ["sentence", "error", "sentence", "error", "sentence", "error", "sentence", "sentence.done", "flushed"],
            told.Select(SessionClient.TypeOf)
        );
        Assert.Equal([0, 1, 2], told.Where(e => SessionClient.TypeOf(e) == "error").Select(e => e.GetProperty("index").GetInt32()));
        Assert.Equal(
            ["speech_failed", "speech_failed", "invalid_value"],
            told.Where(e => SessionClient.TypeOf(e) == "error").Select(e => e.GetProperty("error").GetProperty("code").GetString())
        );
    }

    [Fact]
    public async Task A_full_queue_is_told_with_when_to_come_back()
    {
        await using var service = await TestService.Start(new() { ["Engine:MaxQueuedRequests"] = "1" });
        service.Model.Holds = true;
        var first = service.Post("/speak", new { text = "One.", stream = true });
        await Waits.Until(() => service.Fleet.Default.Status.Active == 1);
        var second = service.Post("/speak", new { text = "Two.", stream = true });
        await Waits.Until(() => service.Fleet.Default.Status.Waiting == 1);
        await using var client = await SessionClient.Open(service);
        await client.Write("Three.");
        await client.Send(new { type = "flush" });
        await client.Next("sentence");
        var error = await client.Next("error");
        Assert.Equal(["type", "error", "index", "retry_after"], error.Names());
        Assert.Equal(
            ("rate_limit_error", "queue_full"),
            (error.GetProperty("error").GetProperty("type").GetString(), error.GetProperty("error").GetProperty("code").GetString())
        );
        Assert.True(error.GetProperty("retry_after").GetDouble() > 0);
        await client.Next("flushed");
        service.Model.LetGo(3);
        await Task.WhenAll(first, second);
        await client.Write("Three, again.");
        await client.Send(new { type = "flush" });
        Assert.Equal(["sentence", "sentence.done", "flushed"], (await client.UpTo("flushed")).Select(SessionClient.TypeOf));
    }

    [Fact]
    public async Task Text_that_waits_is_bounded_and_a_message_too()
    {
        await using var service = await TestService.Start(
            new() { ["Streaming:MaxWaitingCharacters"] = "200", ["Streaming:MaxMessageBytes"] = "1024" }
        );
        service.Model.Holds = true;
        await using var client = await SessionClient.Open(service);
        await client.Write(new string('a', 100) + ". " + new string('B', 50));
        await client.Next("sentence");
        await client.Write(new string('c', 60));
        Assert.Equal("too_much_text", (await client.Next("error")).GetProperty("error").GetProperty("code").GetString());
        service.Model.LetGo(2);
        await client.Next("sentence.done");
        await client.Write(new string('c', 60)); // there is room again
        await client.Send(new { type = "flush" });
        Assert.Equal(new string('B', 50) + new string('c', 60), (await client.Next("sentence")).GetProperty("text").GetString());
        await client.UpTo("flushed");

        await client.Write(new string('d', 2000));
        Assert.Equal("message_too_large", (await client.Next("error")).GetProperty("error").GetProperty("code").GetString());
        Assert.Null(await client.NextOrEnd());
        Assert.Equal(WebSocketCloseStatus.MessageTooBig, client.Socket.CloseStatus);
    }

    [Fact]
    public async Task A_session_is_changed_only_while_nothing_is_spoken()
    {
        await using var service = await TestService.Start();
        service.AddVoice("Ann.wav", 500);
        service.Model.Holds = true;
        await using var client = await SessionClient.Open(service);
        await client.Write("Hello there. I");
        await client.Next("sentence");
        await client.Send(new { type = "session", voice = "Ann" });
        Assert.Equal("session_busy", (await client.Next("error")).GetProperty("error").GetProperty("code").GetString());
        service.Model.LetGo(10);
        await client.Send(new { type = "flush" });
        await client.UpTo("flushed");
        await client.Send(
            new
            {
                type = "session",
                voice = "Ann",
                exaggeration = 0.7,
                seed = 77,
            }
        );
        Assert.Equal(77, (await client.Next("session.ready")).GetProperty("seed").GetInt64());
        service.Model.HoldAgain();
        await client.Write("Bye.");
        await client.Send(new { type = "end" });
        await client.Write("Nobody hears this.");
        var told = await client.UpTo("error");
        service.Model.LetGo();
        told.AddRange(await client.UpTo("done"));
        Assert.Equal(
            "session_ending",
            Assert.Single(told, e => SessionClient.TypeOf(e) == "error").GetProperty("error").GetProperty("code").GetString()
        );
        var (_, sampling, voice, _) = service.Model.Calls.Last();
        Assert.Equal((77, 0.7, 500f), (sampling.Seed, sampling.Exaggeration, voice.T3.SpeakerEmbedding[0]));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_client_that_leaves_frees_its_place(bool politely)
    {
        await using var service = await TestService.Start();
        service.Model.ChunkSamples = ChunkSamples;
        service.Model.Holds = true;
        var client = await SessionClient.Open(service);
        await client.Write("Nobody hears the end of this. Nor this. ");
        service.Model.LetGo(2);
        await client.Next("sentence");
        await client.Hear();
        await Waits.Until(() => service.Model.IsWaiting);
        if (politely)
        {
            await client.DisposeAsync();
        }
        else
        {
            client.Socket.Abort();
        }

        await Waits.Until(() => service.Model.Cancelled.Count == 1 && service.Fleet.Default.Status is { Active: 0, Waiting: 0 });
        Assert.Single(service.Model.Calls);
        await Waits.Until(() => Sessions(service).GetAwaiter().GetResult() == 0);
    }

    [Fact]
    public async Task A_session_in_which_nothing_happens_is_closed()
    {
        var clock = new Clock();
        await using var service = await TestService.Start(
            new() { ["Streaming:IdleSeconds"] = "3600" },
            configure: builder => builder.Services.AddSingleton<TimeProvider>(clock)
        );
        service.Model.Holds = true;
        await using var client = await SessionClient.Open(service);
        await client.Write("It is being spoken for longer than that. ");
        await client.Send(new { type = "flush" });
        await client.Next("sentence");
        clock.Ahead += TimeSpan.FromHours(2);
        var checks = clock.Ticks + 2;
        await Waits.Until(() => clock.Ticks >= checks); // by then it would have been closed
        service.Model.LetGo();
        await client.UpTo("flushed");
        clock.Ahead += TimeSpan.FromHours(2);
        Assert.Equal("idle_timeout", (await client.Next("error")).GetProperty("error").GetProperty("code").GetString());
        Assert.Null(await client.NextOrEnd());
        Assert.Equal(WebSocketCloseStatus.NormalClosure, client.Socket.CloseStatus);
    }

    [Fact]
    public async Task A_service_that_stops_finishes_the_sentence_and_closes()
    {
        await using var service = await TestService.Start(new() { ["Service:ShutdownSeconds"] = "60" });
        service.Model.Holds = true;
        await using var idle = await SessionClient.Connect(service);
        await using var client = await SessionClient.Open(service);
        await client.Write("This one has begun. This one has not. ");
        await client.Send(new { type = "flush" });
        await client.Next("sentence");
        await Waits.Until(() => service.Model.IsWaiting);
        var stopped = service.Stop();
        Assert.Equal("unavailable", (await idle.Next("error")).GetProperty("error").GetProperty("code").GetString());
        Assert.Null(await idle.NextOrEnd());
        await idle.DisposeAsync();
        service.Model.LetGo(10);
        Assert.Equal(0, (await client.Next("sentence.done")).GetProperty("index").GetInt32());
        Assert.Equal("unavailable", (await client.Next("error")).GetProperty("error").GetProperty("code").GetString());
        Assert.Null(await client.NextOrEnd());
        Assert.Equal(WebSocketCloseStatus.EndpointUnavailable, client.Socket.CloseStatus);
        await client.DisposeAsync();
        await stopped;
        Assert.Single(service.Model.Calls);
    }

    [Fact]
    public async Task Keys_origins_and_other_than_WebSocket_are_looked_at_before_anything_is_opened()
    {
        const string key = "a-key-of-some-length";
        await using var service = await TestService.Start(
            new() { ["Security:ApiKeys:0"] = key, ["Security:CorsOrigins:0"] = "https://example.org" }
        );
        async Task<HttpStatusCode> Status(string? sent, string? origin)
        {
            using var socket = new ClientWebSocket();
            socket.Options.CollectHttpResponseDetails = true;
            socket.Options.SetRequestHeader("Authorization", sent is null ? null : $"Bearer {sent}");
            socket.Options.SetRequestHeader("Origin", origin);
            try
            {
                await socket.ConnectAsync(new Uri($"ws://{service.Address.Authority}{Route}"), CancellationToken.None);
            }
            catch (WebSocketException)
            {
                // The status tells.
            }

            return socket.HttpStatusCode;
        }

        Assert.Equal(HttpStatusCode.Unauthorized, await Status(null, null));
        Assert.Equal(HttpStatusCode.Unauthorized, await Status(key + "x", null));
        Assert.Equal(HttpStatusCode.SwitchingProtocols, await Status(key, null));
        Assert.Equal(HttpStatusCode.SwitchingProtocols, await Status(key, $"http://{service.Address.Authority}"));
        Assert.Equal(HttpStatusCode.SwitchingProtocols, await Status(key, "https://example.org"));
        Assert.Equal(HttpStatusCode.Forbidden, await Status(key, "https://example.com"));
        service.Http.DefaultRequestHeaders.Authorization = new("Bearer", key);
        using var plain = await service.Http.GetAsync(new Uri(Route, UriKind.Relative));
        await plain.AssertOpenAiError(HttpStatusCode.UpgradeRequired, null, "upgrade_required");
    }

    private static async Task<int> Sessions(TestService service)
    {
        using var answer = await service.Http.GetAsync(new Uri("/metrics", UriKind.Relative));
        var line = (await answer.Content.ReadAsStringAsync())
            .Split('\n')
            .Last(l => l.StartsWith("chatterbox_sessions", StringComparison.Ordinal));
        return int.Parse(line.Split(' ')[1], System.Globalization.CultureInfo.InvariantCulture);
    }
}
