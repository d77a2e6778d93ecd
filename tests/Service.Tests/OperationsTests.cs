using System.Net;
using System.Net.Http.Headers;

namespace Chatterbox.Service.Tests;

/// <summary>What is off unless set, and what those who run the service look at.</summary>
public sealed class OperationsTests
{
    private const string Key = "a-key-of-some-length";

    [Fact]
    public async Task With_keys_each_request_must_carry_one()
    {
        await using var service = await TestService.Start(
            new() { ["Security:ApiKeys:0"] = "another-key-of-length", ["Security:ApiKeys:1"] = Key }
        );
        var body = new
        {
            model = "fake",
            input = "a",
            voice = "default",
            response_format = "pcm",
        };
        using var without = await service.Post("/v1/audio/speech", body);
        var error = await without.AssertOpenAiError(HttpStatusCode.Unauthorized, null, "invalid_api_key");
        Assert.Equal("authentication_error", error.GetProperty("type").GetString());
        Assert.Equal("Bearer", Assert.Single(without.Headers.WwwAuthenticate).Scheme);
        using var speak = await service.Post("/speak", new { text = "Hello.", stream = true });
        await speak.AssertSpeakError(HttpStatusCode.Unauthorized);
        using var metrics = await service.Http.GetAsync(new Uri("/metrics", UriKind.Relative));
        Assert.Equal(HttpStatusCode.Unauthorized, metrics.StatusCode);
        foreach (var wrong in (string[])["", "wrong", Key + "x", Key[1..]])
        {
            service.Http.DefaultRequestHeaders.Remove("Authorization");
            service.Http.DefaultRequestHeaders.TryAddWithoutValidation("Authorization", $"Bearer {wrong}");
            using var refused = await service.Post("/v1/audio/speech", body);
            Assert.Equal(HttpStatusCode.Unauthorized, refused.StatusCode);
        }

        foreach (var open in (string[])["/", "/health", "/health/live", "/health/ready", "/page.js"])
        {
            using var answer = await service.Http.GetAsync(new Uri(open, UriKind.Relative));
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        }

        service.Http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", Key);
        using var with = await service.Post("/v1/audio/speech", body);
        Assert.Equal(HttpStatusCode.OK, with.StatusCode);
    }

    [Fact]
    public async Task Other_origins_are_let_in_only_where_set()
    {
        await using var closed = await TestService.Start();
        Assert.DoesNotContain((await Ask(closed)).Headers, h => h.Key == "Access-Control-Allow-Origin");
        await using var open = await TestService.Start(new() { ["Security:CorsOrigins:0"] = "https://example.org" });
        Assert.Equal("https://example.org", Assert.Single((await Ask(open)).Headers.GetValues("Access-Control-Allow-Origin")));

        static Task<HttpResponseMessage> Ask(TestService service) =>
            service.Http.SendAsync(new HttpRequestMessage(HttpMethod.Get, "/voices") { Headers = { { "Origin", "https://example.org" } } });
    }

    [Fact]
    public async Task A_client_that_asks_too_often_is_told_to_wait()
    {
        await using var service = await TestService.Start(new() { ["Security:RequestsPerMinute"] = "2" });
        for (var i = 0; i < 2; i++)
        {
            using var fine = await service.Http.GetAsync(new Uri("/voices", UriKind.Relative));
            Assert.Equal(HttpStatusCode.OK, fine.StatusCode);
        }

        using var openAi = await service.Post(
            "/v1/audio/speech",
            new
            {
                model = "fake",
                input = "a",
                voice = "default",
            }
        );
        await openAi.AssertOpenAiError(HttpStatusCode.TooManyRequests, null, "rate_limit_exceeded");
        Assert.NotNull(openAi.Headers.RetryAfter);
        using var health = await service.Http.GetAsync(new Uri("/health", UriKind.Relative));
        Assert.Equal(HttpStatusCode.OK, health.StatusCode);
    }

    [Fact]
    public async Task Voices_are_changed_over_HTTP_only_where_set()
    {
        await using var service = await TestService.Start();
        service.AddVoice("Ann.wav");
        using var upload = await service.Http.PostAsync(new Uri("/v1/audio/voices", UriKind.Relative), Form("Bob", "bob.wav", 2000));
        await upload.AssertOpenAiError(HttpStatusCode.Forbidden, null, "uploads_disabled");
        using var delete = await service.Http.DeleteAsync(new Uri("/v1/audio/voices/Ann", UriKind.Relative));
        await delete.AssertOpenAiError(HttpStatusCode.Forbidden, null, "uploads_disabled");
        Assert.True(File.Exists(Path.Combine(service.VoicesFolder, "Ann.wav")));
    }

    [Fact]
    public async Task A_voice_is_uploaded_used_and_deleted()
    {
        await using var service = await TestService.Start(new() { ["Voices:UploadsEnabled"] = "true" });
        using var upload = await service.Http.PostAsync(new Uri("/v1/audio/voices", UriKind.Relative), Form("Bob", "anything.wav", 2500));
        Assert.Equal(HttpStatusCode.Created, upload.StatusCode);
        Assert.Equal("""{"id":"Bob","name":"Bob","type":"recording"}""", await upload.Content.ReadAsStringAsync());
        using var speech = await service.Post(
            "/v1/audio/speech",
            new
            {
                model = "fake",
                input = "a",
                voice = "Bob",
                response_format = "pcm",
            }
        );
        Assert.Equal(HttpStatusCode.OK, speech.StatusCode);
        Assert.Equal(1, service.Model.VoicesMade); // checking it has made it
        using var again = await service.Http.PostAsync(new Uri("/v1/audio/voices", UriKind.Relative), Form("Bob", "bob.mp3", 2000));
        await again.AssertOpenAiError(HttpStatusCode.Conflict, "name", "voice_exists");
        using var delete = await service.Http.DeleteAsync(new Uri("/v1/audio/voices/Bob", UriKind.Relative));
        Assert.Equal(HttpStatusCode.NoContent, delete.StatusCode);
        using var gone = await service.Http.DeleteAsync(new Uri("/v1/audio/voices/Bob", UriKind.Relative));
        await gone.AssertOpenAiError(HttpStatusCode.NotFound, "voice", "voice_not_found");
        Assert.Empty(Directory.EnumerateFiles(service.VoicesFolder));
    }

    [Theory]
    [InlineData("../Bob", "bob.wav", 2000, HttpStatusCode.BadRequest, "name")]
    [InlineData("default", "bob.wav", 2000, HttpStatusCode.BadRequest, "name")]
    [InlineData(".hidden", "bob.wav", 2000, HttpStatusCode.BadRequest, "name")]
    [InlineData("Bob", "bob.exe", 2000, HttpStatusCode.BadRequest, "file")]
    [InlineData("Bob", "bob.safetensors", 2000, HttpStatusCode.BadRequest, "file")]
    [InlineData("Bob", "bob.wav", 100, HttpStatusCode.BadRequest, "file")] // too short for a voice
    [InlineData("Bob", "bob.wav", 3500, HttpStatusCode.BadRequest, "file")] // longer than allowed
    [InlineData("Bob", "bob.wav", 4500, HttpStatusCode.RequestEntityTooLarge, "file")]
    [InlineData("Bob", "bob.wav", 400_000, HttpStatusCode.RequestEntityTooLarge, null)]
    public async Task An_upload_that_is_wrong_leaves_nothing_behind(
        string name,
        string file,
        int bytes,
        HttpStatusCode status,
        string? param
    )
    {
        await using var service = await TestService.Start(
            new()
            {
                ["Voices:UploadsEnabled"] = "true",
                ["Voices:MaxUploadBytes"] = "4000",
                ["Voices:MaxUploadSeconds"] = "3",
            }
        );
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/audio/voices")
        {
            Content = Form(name, file, bytes),
            Headers = { ExpectContinue = true },
        };
        using var upload = await service.Http.SendAsync(request);
        await upload.AssertOpenAiError(status, param);
        Assert.Empty(Directory.EnumerateFiles(service.VoicesFolder, "*", new EnumerationOptions { AttributesToSkip = 0 }));
    }

    [Fact]
    public async Task Metrics_tell_what_was_done()
    {
        await using var service = await TestService.Start();
        service.AddVoice("Ann.wav");
        service.Model.ChunkSamples = 1500;
        using var speech = await service.Post(
            "/v1/audio/speech",
            new
            {
                model = "fake",
                input = "Count me.",
                voice = "Ann",
                response_format = "pcm",
            }
        );
        using var failed = await service.Post("/speak", new { text = "This is unspeakable.", stream = true });
        await failed.Content.ReadAsStringAsync();
        using var answer = await service.Http.GetAsync(new Uri("/metrics", UriKind.Relative));
        var metrics = await answer.Content.ReadAsStringAsync();
        foreach (
            var line in (string[])
                [
                    "outcome=\"spoken\",route=\"/v1/audio/speech\"} 1",
                    "outcome=\"failed\",route=\"/speak\"} 1",
                    "chatterbox_first_audio_seconds_bucket",
                    "chatterbox_real_time_factor",
                    "chatterbox_queue_wait_seconds",
                    "chatterbox_queue_waiting",
                    "chatterbox_speech_token_rate",
                    "chatterbox_audio_seconds_total",
                    "chatterbox_chunks_total",
                    "chatterbox_chunk_lateness_seconds_count",
                    "chatterbox_stream_stalls_total",
                    "chatterbox_prefill_batch_count",
                    "chatterbox_voice_batch_count",
                    "chatterbox_utterances",
                    "found=\"made\"} 1",
                    "dotnet_process_memory_working_set_bytes",
                ]
        )
        {
            Assert.Contains(line, metrics);
        }
    }

    [Fact]
    public async Task The_document_tells_every_field_default_range_and_error()
    {
        await using var service = await TestService.Start();
        var api = await (await service.Http.GetAsync(new Uri("/openapi/v1.json", UriKind.Relative))).Json();
        var paths = api.GetProperty("paths");
        foreach (
            var path in (string[])
                [
                    "/",
                    "/speak",
                    "/voices",
                    "/audio/{id}",
                    "/health",
                    "/health/live",
                    "/health/ready",
                    "/v1/audio/speech",
                    "/v1/audio/speech/stream",
                    "/v1/audio/voices",
                    "/v1/audio/voices/{name}",
                    "/v1/models",
                    "/v1/models/{id}",
                ]
        )
        {
            Assert.True(paths.TryGetProperty(path, out _), path);
        }

        var schemas = api.GetProperty("components").GetProperty("schemas");
        var speech = schemas.GetProperty("SpeechBody").GetProperty("properties");
        Assert.Equal(
            [
                "model",
                "input",
                "voice",
                "response_format",
                "speed",
                "stream_format",
                "instructions",
                "exaggeration",
                "cfg_weight",
                "temperature",
                "top_p",
                "min_p",
                "top_k",
                "repetition_penalty",
                "block_size",
                "block_steps",
                "time_shift",
                "schedule_shift",
                "position_temperature",
                "fixed_prior",
                "seed",
                "language",
                "chunk",
                "stream",
                "sample_rate",
                "timestamp_granularities",
                "normalize",
                "markup",
                "pronunciations",
            ],
            speech.Names()
        );
        Assert.All(speech.EnumerateObject(), p => Assert.True(p.Value.TryGetProperty("description", out _), p.Name));
        Assert.Equal(
            (0.25, 4.0, 1.0),
            (
                speech.GetProperty("speed").GetProperty("minimum").GetDouble(),
                speech.GetProperty("speed").GetProperty("maximum").GetDouble(),
                speech.GetProperty("speed").GetProperty("default").GetDouble()
            )
        );
        Assert.Equal(10, speech.GetProperty("response_format").GetProperty("enum").GetArrayLength());
        Assert.Equal("#/components/schemas/VoiceChoice", speech.GetProperty("voice").GetProperty("$ref").GetString());
        Assert.Equal(3, schemas.GetProperty("VoiceChoice").GetProperty("oneOf").GetArrayLength());
        var responses = paths.GetProperty("/v1/audio/speech").GetProperty("post").GetProperty("responses");
        Assert.Equal(["200", "400", "401", "404", "413", "429", "500", "503"], responses.Names());
        Assert.Equal(
            [
                "application/json",
                "application/x-subrip",
                "audio/PCMA",
                "audio/aac",
                "audio/basic",
                "audio/flac",
                "audio/mpeg",
                "audio/opus",
                "audio/pcm",
                "audio/wav",
                "text/event-stream",
                "text/vtt",
            ],
            responses.GetProperty("200").GetProperty("content").Names().Order(StringComparer.Ordinal)
        );
        Assert.Equal(
            ["application/json", "text/event-stream"],
            paths.GetProperty("/speak").GetProperty("post").GetProperty("responses").GetProperty("200").GetProperty("content").Names()
        );
        Assert.Equal(4, schemas.GetProperty("SpeakEvent").GetProperty("anyOf").GetArrayLength());
        var form = paths
            .GetProperty("/v1/audio/voices")
            .GetProperty("post")
            .GetProperty("requestBody")
            .GetProperty("content")
            .GetProperty("multipart/form-data")
            .GetProperty("schema");
        Assert.Equal(["name", "file"], form.GetProperty("properties").Names());
        Assert.All(
            paths
                .EnumerateObject()
                .Where(p => p.Name != "/" && !p.Name.StartsWith("/health", StringComparison.Ordinal))
                .SelectMany(p => p.Value.EnumerateObject()),
            operation => Assert.True(operation.Value.GetProperty("responses").TryGetProperty("401", out _), operation.Value.ToString())
        );
        using var page = await service.Http.GetAsync(new Uri("/scalar/", UriKind.Relative));
        var html = await page.Content.ReadAsStringAsync();
        Assert.DoesNotContain("https://", html);
    }

    [Fact]
    public async Task The_page_needs_nothing_from_elsewhere()
    {
        await using var service = await TestService.Start();
        foreach (var file in (string[])["/page.css", "/page.js", "/player.js", "/wave.js", "/index.html"])
        {
            using var answer = await service.Http.GetAsync(new Uri(file, UriKind.Relative));
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
            Assert.DoesNotMatch("https?://", await answer.Content.ReadAsStringAsync());
        }
    }

    private static MultipartFormDataContent Form(string name, string file, int bytes) =>
        new() { { new StringContent(name), "name" }, { new ByteArrayContent(new byte[bytes]), "file", file } };
}
