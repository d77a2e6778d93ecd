using System.Net;
using System.Net.Http.Json;
using System.Net.WebSockets;

namespace Chatterbox.Service.Tests;

/// <summary>Deepgram's dialect, as its clients and agent frameworks use it.</summary>
public sealed class DeepgramTests
{
    private const string Route = "/v1/speak";

    [Theory]
    [InlineData("?model=aura-2-andromeda-en", "audio/mpeg")]
    [InlineData("?model=aura-2-andromeda-en&encoding=linear16&sample_rate=24000&mip_opt_out=false", "audio/wav")]
    [InlineData("?encoding=linear16&container=none&sample_rate=16000", "audio/pcm")]
    [InlineData("?encoding=mulaw&container=none", "audio/basic")]
    [InlineData("?encoding=opus&container=ogg&bit_rate=32000", "audio/opus")]
    public async Task A_complete_text_is_answered_with_bytes(string query, string contentType)
    {
        await using var service = await TestService.Start();
        using var answer = await service.Post(Route + query, new { text = "Hello." });
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        Assert.Equal(contentType, answer.Content.Headers.ContentType?.ToString());
        Assert.Equal("6", answer.Headers.GetValues("dg-char-count").Single());
        Assert.NotEmpty(await answer.Content.ReadAsByteArrayAsync());
    }

    [Theory]
    [InlineData("?model=nobody", 404, "VOICE_NOT_FOUND")]
    [InlineData("?encoding=midi", 400, "INVALID_VALUE")]
    [InlineData("?encoding=linear16&sample_rate=fast", 400, "INVALID_VALUE")]
    [InlineData("?encoding=linear16&container=ogm", 400, "INVALID_VALUE")]
    [InlineData("?encoding=linear16&sample_rate=7", 400, "INVALID_VALUE")]
    public async Task A_request_that_is_wrong_is_told_why(string query, int status, string code)
    {
        await using var service = await TestService.Start();
        using var answer = await service.Post(Route + query, new { text = "Hello." });
        Assert.Equal(status, (int)answer.StatusCode);
        var error = await answer.Json();
        Assert.Equal(["err_code", "err_msg", "request_id"], error.Names());
        Assert.Equal(code, error.GetProperty("err_code").GetString());
    }

    // As LiveKit speaks a segment: words, a flush, and the end of the connection at once.
    [Fact]
    public async Task Text_is_spoken_while_it_is_written_and_closing_waits_for_it()
    {
        await using var service = await TestService.Start();
        service.AddVoice("Ann.wav", 500);
        await using var client = await SocketClient.Connect(
            service,
            Route + "?model=Ann&encoding=linear16&sample_rate=24000&mip_opt_out=false"
        );
        Assert.Equal(
            ("Metadata", "Ann"),
            (
                await client.NextJson() is var ready ? ready.GetProperty("type").GetString() : null,
                ready.GetProperty("model_name").GetString()
            )
        );
        foreach (var word in (string[])["Hello ", "there. ", "Bye "])
        {
            await client.Send(new { type = "Speak", text = word });
        }

        await client.Send("""{"type":"Flush"}""");
        await client.Send("""{"type":"Close"}""");
        var told = await client.UpTo("Flushed");
        Assert.Equal("""{"type":"Flushed","sequence_id":0}""", told[^1].Json.GetRawText());
        var calls = service.Model.Calls.ToList();
        Assert.Equal(["Hello there.", "Bye"], calls.Select(call => call.Text));
        Assert.All(calls, call => Assert.Equal(500f, call.Voice.T3.SpeakerEmbedding[0]));
        Assert.Equal(
            calls.Sum(call => FakeModel.Tone(call.Text, call.Voice, call.Sampling).Length) + 6000,
            told.Sum(message => message.Bytes.Length) / 2
        );
        Assert.Null(await client.Next());
        Assert.Equal(WebSocketCloseStatus.NormalClosure, client.Socket.CloseStatus);
    }

    [Fact]
    public async Task Clear_interrupts_and_the_connection_goes_on()
    {
        await using var service = await TestService.Start();
        service.Model.ChunkSamples = 1000;
        service.Model.Holds = true;
        await using var client = await SocketClient.Connect(service, Route + "?encoding=mulaw&sample_rate=8000");
        await client.NextJson();
        await client.Send("""{"type":"Speak","text":"This is interrupted. And this never said."}""");
        await client.Send("""{"type":"Flush"}""");
        service.Model.LetGo(2);
        Assert.NotEmpty((await client.Next())!.Value.Bytes);
        await Waits.Until(() => service.Model.IsWaiting);
        await client.Send("""{"type":"Clear"}""");
        var told = await client.UpTo("Cleared");
        Assert.Equal("""{"type":"Cleared","sequence_id":0}""", told[^1].Json.GetRawText());
        service.Model.LetGo(100);
        await client.Send("""{"type":"Speak","text":"This is heard."}""");
        await client.Send("""{"type":"Flush"}""");
        Assert.Equal(1, (await client.UpTo("Flushed"))[^1].Json.GetProperty("sequence_id").GetInt32());
        Assert.Equal(2, service.Model.Calls.Count);
        await client.Send("""{"type":"Shout"}""");
        var warning = await client.NextJson();
        Assert.Equal(["type", "description", "code"], warning.Names());
        Assert.Equal("Warning", warning.GetProperty("type").GetString());
    }

    [Fact]
    public async Task A_voice_that_is_missing_is_told_and_keys_come_as_token()
    {
        const string key = "a-key-of-some-length";
        await using var service = await TestService.Start(new() { ["Security:ApiKeys:0"] = key });
        Assert.Equal(HttpStatusCode.Unauthorized, await SocketClient.Status(service, Route));
        await using (
            var client = await SocketClient.Connect(
                service,
                Route + "?model=nobody",
                options => options.SetRequestHeader("Authorization", $"Token {key}")
            )
        )
        {
            Assert.Equal("voice_not_found", (await client.NextJson()).GetProperty("code").GetString());
            Assert.Null(await client.Next());
            Assert.Equal(WebSocketCloseStatus.PolicyViolation, client.Socket.CloseStatus);
        }

        // A browser can send no headers, but protocols.
        await using var browser = await SocketClient.Connect(
            service,
            Route,
            options =>
            {
                options.AddSubProtocol("token");
                options.AddSubProtocol(key);
            }
        );
        Assert.Equal("token", browser.Socket.SubProtocol);
        Assert.Equal("Metadata", (await browser.NextJson()).GetProperty("type").GetString());
        using var request = new HttpRequestMessage(HttpMethod.Post, Route)
        {
            Content = JsonContent.Create(new { text = "Hello." }),
            Headers = { { "Authorization", $"Token {key}" } },
        };
        Assert.Equal(HttpStatusCode.OK, (await service.Http.SendAsync(request)).StatusCode);
    }
}
