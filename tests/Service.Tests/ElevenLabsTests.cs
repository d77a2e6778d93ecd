using System.Net;
using System.Net.Http.Json;
using System.Net.WebSockets;
using System.Text.Json;

namespace Chatterbox.Service.Tests;

/// <summary>ElevenLabs' dialect, as its clients and agent frameworks use it.</summary>
public sealed class ElevenLabsTests
{
    private const string Speech = "/v1/text-to-speech/default";
    private const string Contexts = Speech + "/multi-stream-input?model_id=eleven_turbo_v2_5&output_format=pcm_24000&auto_mode=true";

    [Theory]
    [InlineData(Speech, "audio/mpeg")]
    [InlineData(Speech + "/stream", "audio/mpeg")]
    [InlineData(Speech + "?output_format=pcm_16000", "audio/pcm")]
    [InlineData(Speech + "/stream?output_format=ulaw_8000", "audio/basic")]
    [InlineData(Speech + "?output_format=opus_48000_64", "audio/opus")]
    public async Task A_complete_text_is_answered_with_bytes(string path, string contentType)
    {
        await using var service = await TestService.Start(describe: model => model with { Languages = ["en", "de"] });
        var voice_settings = new
        {
            stability = 0.5,
            similarity_boost = 0.75,
            style = 0.4,
            use_speaker_boost = true,
        };
        using var answer = await service.Post(
            path,
            new
            {
                text = "Hallo.",
                model_id = "eleven_multilingual_v2",
                voice_settings,
                language_code = "de",
                seed = 11,
                previous_text = "Vorher.",
            }
        );
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        Assert.Equal(contentType, answer.Content.Headers.ContentType?.ToString());
        Assert.NotEmpty(await answer.Content.ReadAsByteArrayAsync());
        var call = service.Model.Calls.Single();
        Assert.Equal(
            ("Hallo.", 11, 0.7, 0.8, "de"),
            (call.Text, call.Sampling.Seed!.Value, call.Sampling.Exaggeration!.Value, call.Sampling.Temperature!.Value, call.Language)
        );
    }

    [Fact]
    public async Task Sentences_have_their_times_and_characters_none()
    {
        await using var service = await TestService.Start();
        using var answer = await service.Post(
            Speech + "/with-timestamps?output_format=pcm_24000",
            new { text = "One is here. Two is there.", voice_settings = new { speed = 2.0 } }
        );
        var json = await answer.Json();
        Assert.Equal(["audio_base64", "sentences", "alignment", "normalized_alignment"], json.Names());
        Assert.Equal(JsonValueKind.Null, json.GetProperty("alignment").ValueKind);
        var sentences = json.GetProperty("sentences").EnumerateArray().ToList();
        Assert.Equal(["One is here.", "Two is there."], sentences.Select(sentence => sentence.GetProperty("text").GetString()));
        var tones = service.Model.Calls.Select(call => FakeModel.Tone(call.Text, call.Voice, call.Sampling).Length / 24_000.0).ToList();
        Assert.Equal([0, tones[0] / 2], Times(sentences[0]));
        Assert.Equal([(tones[0] + 0.25) / 2, (tones[0] + 0.25 + tones[1]) / 2], Times(sentences[1]));

        using var lines = await service.Post(
            Speech + "/stream/with-timestamps?output_format=pcm_24000",
            new { text = "One is here. Two is there." }
        );
        var parts = (await lines.Content.ReadAsStringAsync())
            .Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Select(line => JsonDocument.Parse(line).RootElement)
            .ToList();
        Assert.True(parts.Count > 1);
        Assert.Equal(
            ["One is here.", "Two is there."],
            parts
                .SelectMany(part => part.GetProperty("sentences").EnumerateArray())
                .Select(sentence => sentence.GetProperty("text").GetString())
        );
        Assert.Equal(
            2 * ((int)Math.Round(tones.Sum() * 24_000) + 6000),
            parts.Sum(part => part.GetProperty("audio_base64").GetBytesFromBase64().Length)
        );

        static IEnumerable<double> Times(JsonElement sentence) =>
            [
                Math.Round(sentence.GetProperty("start_seconds").GetDouble(), 9),
                Math.Round(sentence.GetProperty("end_seconds").GetDouble(), 9),
            ];
    }

    [Theory]
    [InlineData("/v1/text-to-speech/nobody", """{"text":"a"}""", 404, "voice_not_found")]
    [InlineData(Speech, "{}", 400, "missing_required_parameter")]
    [InlineData(Speech + "?output_format=midi_1", """{"text":"a"}""", 400, "invalid_value")]
    [InlineData(Speech, """{"text":"a","voice_settings":{"stability":2}}""", 400, "invalid_value")]
    [InlineData(Speech, """{"text":" "}""", 400, "invalid_value")]
    public async Task A_request_that_is_wrong_is_told_why(string path, string body, int status, string code)
    {
        await using var service = await TestService.Start();
        using var answer = await service.PostText(path, body);
        Assert.Equal(status, (int)answer.StatusCode);
        var detail = (await answer.Json()).GetProperty("detail");
        Assert.Equal(["status", "message"], detail.Names());
        Assert.Equal(code, detail.GetProperty("status").GetString());
    }

    [Fact]
    public async Task Voices_and_models_are_listed_in_this_dialect_where_its_key_is_sent()
    {
        await using var service = await TestService.Start();
        service.AddVoice("Ann.wav");
        var voices = (await (await service.Http.GetAsync(new Uri("/v1/voices", UriKind.Relative))).Json())
            .GetProperty("voices")
            .EnumerateArray()
            .ToList();
        Assert.Equal(["voice_id", "name", "category", "labels", "preview_url"], voices[0].Names());
        Assert.Contains(
            voices,
            voice => voice.GetProperty("voice_id").GetString() == "Ann" && voice.GetProperty("category").GetString() == "cloned"
        );
        Assert.Equal(
            "Ann",
            (await (await service.Http.GetAsync(new Uri("/v1/voices/Ann", UriKind.Relative))).Json()).GetProperty("name").GetString()
        );
        Assert.Equal(HttpStatusCode.NotFound, (await service.Http.GetAsync(new Uri("/v1/voices/nobody", UriKind.Relative))).StatusCode);

        using var request = new HttpRequestMessage(HttpMethod.Get, "/v1/models") { Headers = { { "xi-api-key", "any" } } };
        var models = await (await service.Http.SendAsync(request)).Json();
        Assert.Equal(
            ("fake", true),
            (models[0].GetProperty("model_id").GetString(), models[0].GetProperty("can_do_text_to_speech").GetBoolean())
        );
        Assert.Equal(
            "list",
            (await service.Http.GetFromJsonAsync<JsonElement>(new Uri("/v1/models", UriKind.Relative))).GetProperty("object").GetString()
        );
    }

    [Fact]
    public async Task A_text_is_spoken_while_it_is_written_and_ends_with_an_empty_one()
    {
        await using var service = await TestService.Start();
        await using var client = await SocketClient.Connect(service, Speech + "/stream-input?output_format=pcm_24000&seed=5");
        await client.Send("""{"text":" ","voice_settings":{"stability":0.5,"similarity_boost":0.8},"xi_api_key":"any"}""");
        foreach (var text in (string[])["Hello ", "there. ", "Bye "])
        {
            await client.Send(new { text, try_trigger_generation = true });
        }

        await client.Send("""{"text":""}""");
        var told = await client.UpTo(IsFinal);
        Assert.All(
            told.SkipLast(1),
            message =>
            {
                Assert.Equal(["audio", "isFinal", "alignment", "normalizedAlignment"], message.Json.Names());
                Assert.Equal(JsonValueKind.Null, message.Json.GetProperty("isFinal").ValueKind);
            }
        );
        Assert.Equal("""{"isFinal":true}""", told[^1].Json.GetRawText());
        var calls = service.Model.Calls.ToList();
        Assert.Equal([("Hello there.", 5L), ("Bye", 6L)], calls.Select(call => (call.Text, call.Sampling.Seed!.Value)));
        Assert.Equal(calls.Sum(call => FakeModel.Tone(call.Text, call.Voice, call.Sampling).Length) + 6000, Samples(told));
        Assert.Null(await client.Next());
        Assert.Equal(WebSocketCloseStatus.NormalClosure, client.Socket.CloseStatus);
    }

    // As LiveKit and Pipecat end a turn: a flush, the end of the context at once, and then they wait for the audio.
    [Fact]
    public async Task A_context_that_was_flushed_and_closed_is_spoken_to_its_end()
    {
        await using var service = await TestService.Start();
        await using var client = await SocketClient.Connect(service, Contexts);
        await client.Send("""{"text":" ","context_id":"a","voice_settings":{"stability":0.5}}""");
        await client.Send("""{"text":"Hello there. ","context_id":"a"}""");
        await client.Send("""{"text":""}""");
        await client.Send("""{"context_id":"a","flush":true}""");
        await client.Send("""{"text":"","context_id":"a"}""");
        await client.Send("""{"context_id":"a","close_context":true}""");
        var told = await client.UpTo(IsFinal);
        Assert.All(told, message => Assert.Equal("a", message.Json.GetProperty("contextId").GetString()));
        var call = service.Model.Calls.Single();
        Assert.Equal(FakeModel.Tone(call.Text, call.Voice, call.Sampling).Length, Samples(told));

        await client.Send("""{"text":"A new one. ","context_id":"a","flush":true}"""); // the name is free again
        await client.Send("""{"text":"","context_id":"a","flush":true}""");
        await client.Send("""{"context_id":"a","close_context":true}""");
        Assert.True(Samples(await client.UpTo(IsFinal)) > 0);
        await client.Send("""{"close_socket":true}""");
        Assert.Null(await client.Next());
    }

    [Theory]
    [InlineData(false)] // while the text is still being written
    [InlineData(true)] // while what was closed is still being spoken
    public async Task A_context_that_is_closed_is_interrupted_and_others_go_on(bool isFlushed)
    {
        await using var service = await TestService.Start();
        service.Model.ChunkSamples = 1000;
        service.Model.Holds = true;
        await using var client = await SocketClient.Connect(service, Contexts);
        await client.Send("""{"text":"This is interrupted. And never said ","context_id":"a"}""");
        if (isFlushed)
        {
            await client.Send("""{"context_id":"a","flush":true}""");
            await client.Send("""{"context_id":"a","close_context":true}""");
        }

        service.Model.LetGo();
        Assert.NotEmpty((await client.NextJson()).GetProperty("audio").GetBytesFromBase64());
        await Waits.Until(() => service.Model.IsWaiting);
        await client.Send("""{"context_id":"a","close_context":true}""");
        Assert.Equal("""{"contextId":"a","isFinal":true}""", (await client.NextJson()).GetRawText());
        await Waits.Until(() => service.Model.Cancelled.Count == 1);
        service.Model.LetGo(100);
        await client.Send("""{"text":"This is heard. ","context_id":"b"}""");
        await client.Send("""{"context_id":"b","flush":true}""");
        await client.Send("""{"context_id":"b","close_context":true}""");
        var told = await client.UpTo(IsFinal);
        Assert.All(told, message => Assert.Equal("b", message.Json.GetProperty("contextId").GetString()));
        Assert.Equal("This is heard.", service.Model.Calls.Last().Text);
        Assert.Equal(2, service.Model.Calls.Count);
    }

    [Fact]
    public async Task Errors_are_told_by_context_and_contexts_are_bounded()
    {
        await using var service = await TestService.Start();
        await using var client = await SocketClient.Connect(service, Contexts);
        await client.Send("""{"text":"This is unspeakable. ","context_id":"a","flush":true}""");
        var error = await client.NextJson();
        Assert.Equal(("speech_failed", "a"), (error.GetProperty("error").GetString(), error.GetProperty("contextId").GetString()));
        for (var i = 1; i < 16; i++)
        {
            await client.Send($$"""{"text":" ","context_id":"{{i}}"}""");
        }

        await client.Send("""{"text":" ","context_id":"one too many"}""");
        Assert.Equal("too_many_contexts", (await client.NextJson()).GetProperty("error").GetString());
        await client.Send("{");
        Assert.Equal("invalid_json", (await client.NextJson()).GetProperty("error").GetString());

        await using var nobody = await SocketClient.Connect(service, "/v1/text-to-speech/nobody/stream-input");
        await nobody.Send("""{"text":" "}""");
        Assert.Equal("voice_not_found", (await nobody.NextJson()).GetProperty("error").GetString());
    }

    [Fact]
    public async Task Keys_come_in_the_header_or_the_first_message()
    {
        const string key = "a-key-of-some-length";
        await using var service = await TestService.Start(new() { ["Security:ApiKeys:0"] = key });
        using var without = await service.Post(Speech, new { text = "Hello." });
        Assert.Equal(HttpStatusCode.Unauthorized, without.StatusCode);
        Assert.Equal("invalid_api_key", (await without.Json()).GetProperty("detail").GetProperty("status").GetString());
        using var request = new HttpRequestMessage(HttpMethod.Post, Speech)
        {
            Content = JsonContent.Create(new { text = "Hello." }),
            Headers = { { "xi-api-key", key } },
        };
        Assert.Equal(HttpStatusCode.OK, (await service.Http.SendAsync(request)).StatusCode);

        Assert.Equal(
            HttpStatusCode.SwitchingProtocols,
            await SocketClient.Status(service, Contexts, options => options.SetRequestHeader("xi-api-key", key))
        );
        Assert.Equal(
            HttpStatusCode.Unauthorized,
            await SocketClient.Status(service, Contexts, options => options.SetRequestHeader("xi-api-key", key + "x"))
        );
        await using (var known = await SocketClient.Connect(service, Speech + "/stream-input"))
        {
            await known.Send(new { text = " ", xi_api_key = key });
            await known.Send("""{"text":"Hello. "}""");
            await known.Send("""{"text":""}""");
            Assert.True(Samples(await known.UpTo(IsFinal)) > 0);
        }

        await using var unknown = await SocketClient.Connect(service, Speech + "/stream-input");
        await unknown.Send("""{"text":" ","xi_api_key":"wrong"}""");
        Assert.Equal("invalid_api_key", (await unknown.NextJson()).GetProperty("error").GetString());
        Assert.Null(await unknown.Next());
        Assert.Equal(WebSocketCloseStatus.PolicyViolation, unknown.Socket.CloseStatus);
    }

    [Fact]
    public async Task Switched_off_its_routes_are_gone()
    {
        await using var service = await TestService.Start(
            new()
            {
                ["Dialects:ElevenLabs"] = "false",
                ["Dialects:Deepgram"] = "false",
                ["Dialects:ChatterboxServer"] = "false",
            }
        );
        foreach (var path in (string[])[Speech, "/v1/speak", "/tts"])
        {
            using var answer = await service.Post(path, new { text = "Hello." });
            Assert.Equal(HttpStatusCode.NotFound, answer.StatusCode);
        }

        var endpoints = (await service.Http.GetStringAsync(new Uri("/", UriKind.Relative)));
        Assert.DoesNotContain("text-to-speech", endpoints, StringComparison.Ordinal);
        Assert.Contains("/v1/audio/speech", endpoints, StringComparison.Ordinal);
    }

    private static bool IsFinal(JsonElement json) => json.TryGetProperty("isFinal", out var final) && final.ValueKind == JsonValueKind.True;

    private static int Samples(IEnumerable<(JsonElement Json, byte[] Bytes)> told) =>
        told.Where(message => message.Json.TryGetProperty("audio", out _))
            .Sum(message => message.Json.GetProperty("audio").GetBytesFromBase64().Length / 2);
}
