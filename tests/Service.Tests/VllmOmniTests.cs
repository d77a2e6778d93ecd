using System.Net.WebSockets;
using System.Text.Json;

namespace Chatterbox.Service.Tests;

/// <summary>vLLM-Omni's dialect on the service's own WebSocket.</summary>
public sealed class VllmOmniTests
{
    private const string Route = "/v1/audio/speech/stream";

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Each_sentence_is_a_stream_of_audio_and_the_connection_stays(bool stream_audio)
    {
        await using var service = await TestService.Start();
        service.Model.ChunkSamples = 1000;
        await using var client = await SocketClient.Connect(service, Route);
        await client.Send(
            new
            {
                type = "session.config",
                voice = "default",
                response_format = "wav",
                seed = 3,
                stream_audio,
                task_type = "CustomVoice",
            }
        );
        for (var utterance = 0; utterance < 2; utterance++)
        {
            await client.Send("""{"type":"input.text","text":"Hello there. How are"}""");
            await client.Send("""{"type":"input.text","text":" you"}""");
            await client.Send("""{"type":"input.done"}""");
            var told = await client.UpTo("session.done");
            Assert.Equal($$"""{"type":"session.done","utterance_index":{{utterance}},"total_sentences":2}""", told[^1].Json.GetRawText());
            var (from, sentences) = (0, (string[])["Hello there.", "How are you"]);
            for (var index = 0; index < 2; index++)
            {
                Assert.Equal(
                    $$"""{"type":"audio.start","utterance_index":{{utterance}},"sentence_index":{{index}},"sentence_text":"{{sentences[index]}}","format":"wav","sample_rate":24000}""",
                    told[from].Json.GetRawText()
                );
                var frames = told.Skip(from + 1).TakeWhile(message => message.Bytes.Length > 0).Select(message => message.Bytes).ToList();
                Assert.Equal(stream_audio, frames.Count > 1);
                byte[] file = [.. frames.SelectMany(bytes => bytes)];
                Assert.Equal("RIFF"u8, file.AsSpan(0, 4));
                if (!stream_audio)
                {
                    Assert.NotEmpty(Wav.Read(file)); // its length is true
                }

                from += 1 + frames.Count;
                Assert.Equal(
                    $$"""{"type":"audio.done","utterance_index":{{utterance}},"sentence_index":{{index}},"total_bytes":{{file.Length}},"error":false}""",
                    told[from++].Json.GetRawText()
                );
            }
        }

        await client.Send("""{"type":"session.close"}""");
        Assert.Null(await client.Next());
        Assert.Equal(WebSocketCloseStatus.NormalClosure, client.Socket.CloseStatus);
    }

    [Fact]
    public async Task Errors_and_cancels_are_told_and_the_session_goes_on()
    {
        await using var service = await TestService.Start();
        service.Model.ChunkSamples = 1000;
        await using var client = await SocketClient.Connect(service, Route);
        await client.Send("""{"type":"session.config","voice":"nobody"}""");
        var error = await client.NextJson();
        Assert.Equal(["type", "message"], error.Names());
        await client.Send("""{"type":"session.config","\ud800":1}""");
        Assert.Equal("error", (await client.NextJson()).GetProperty("type").GetString());
        await client.Send("""{"type":"session.config","response_format":"mp3","response_format":"pcm","stream_audio":true}""");
        await client.Send("""{"type":"input.text","text":"This is unspeakable."}""");
        await client.Send("""{"type":"input.done"}""");
        Assert.Equal(
            ["audio.start", "error", "audio.done", "session.done"],
            (await client.UpTo("session.done")).Select(message => message.Json.GetProperty("type").GetString())
        );
        service.Model.Holds = true;
        await client.Send("""{"type":"input.text","text":"This is interrupted. And this never said."}""");
        service.Model.LetGo();
        Assert.Equal("audio.start", (await client.NextJson()).GetProperty("type").GetString());
        Assert.NotEmpty((await client.Next())!.Value.Bytes);
        await client.Send("""{"type":"input.cancel"}""");
        Assert.Equal("""{"type":"session.done","utterance_index":1,"total_sentences":1}""", (await client.NextJson()).GetRawText());
        await Waits.Until(() => service.Model.Cancelled.Count == 1);
        await client.Send("""{"type":"shout"}""");
        Assert.Equal("error", (await client.NextJson()).GetProperty("type").GetString());
    }

    [Fact]
    public async Task Switched_off_only_the_services_own_messages_are_taken()
    {
        await using var service = await TestService.Start(new() { ["Dialects:VllmOmni"] = "false" });
        await using var client = await SocketClient.Connect(service, Route);
        await client.Send("""{"type":"session.config"}""");
        Assert.Equal(JsonValueKind.Object, (await client.NextJson()).GetProperty("error").ValueKind);
    }
}
