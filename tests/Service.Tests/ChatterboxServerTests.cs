using System.Net;
using System.Text.Json;

namespace Chatterbox.Service.Tests;

/// <summary>The routes of the most used Chatterbox server, as SillyTavern's provider sends its requests.</summary>
public sealed class ChatterboxServerTests
{
    [Fact]
    public async Task Voices_and_the_model_are_described()
    {
        await using var service = await TestService.Start(describe: model => model with { Languages = ["en", "de"], Tags = ["laugh"] });
        service.AddVoice("Ann.wav");
        service.AddVoice("Bo.safetensors");
        Assert.Equal(
            """[{"display_name":"Default","filename":"default"},{"display_name":"Ann","filename":"Ann.wav"},{"display_name":"Bo","filename":"Bo.safetensors"}]""",
            await service.Http.GetStringAsync(new Uri("/get_predefined_voices", UriKind.Relative))
        );
        Assert.Equal("""["Ann.wav"]""", await service.Http.GetStringAsync(new Uri("/get_reference_files", UriKind.Relative)));
        Assert.Equal(
            """
            {"loaded":true,"type":"fake","class_name":"Chatterbox","device":"cpu","sample_rate":24000,"supports_paralinguistic_tags":true,"available_paralinguistic_tags":["laugh"],"supports_multilingual":true,"supported_languages":["en","de"]}
            """.Trim(),
            await service.Http.GetStringAsync(new Uri("/api/model-info", UriKind.Relative))
        );
    }

    [Theory]
    [InlineData("wav", "audio/wav")]
    [InlineData("opus", "audio/opus")]
    [InlineData("mp3", "audio/mpeg")]
    public async Task A_text_is_spoken_with_what_the_provider_sends(string output_format, string contentType)
    {
        await using var service = await TestService.Start(describe: model => model with { Lacks = ["exaggeration", "cfg_weight"] });
        service.AddVoice("Ann.wav", 500);
        using var answer = await service.Post(
            "/tts",
            new
            {
                text = "Hello there.",
                voice_mode = "clone",
                reference_audio_filename = "Ann.wav",
                temperature = 0.8,
                exaggeration = 0.5,
                cfg_weight = 0.5,
                seed = 7,
                speed_factor = 1.0,
                language = "en",
                split_text = true,
                chunk_size = 120,
                output_format,
            }
        );
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        Assert.Equal(contentType, answer.Content.Headers.ContentType?.ToString());
        var file = await answer.Content.ReadAsByteArrayAsync();
        Assert.Equal(file.Length, answer.Content.Headers.ContentLength);
        if (output_format == "wav")
        {
            Assert.NotEmpty(Wav.Read(file));
        }

        var (text, sampling, voice, language) = service.Model.Calls.Single();
        Assert.Equal(
            ("Hello there.", 7, 0.8, null, 500f, null),
            (text, sampling.Seed!.Value, sampling.Temperature!.Value, sampling.Exaggeration, voice.T3.SpeakerEmbedding[0], language)
        );
    }

    [Fact]
    public async Task A_query_is_answered_with_a_stream()
    {
        await using var service = await TestService.Start();
        var query =
            "text=Hello%20there.&voice_mode=predefined&temperature=0.8&exaggeration=0.5&cfg_weight=0.5&seed=-1&speed_factor=1&language=en&output_format=wav&predefined_voice_id=default";
        using var answer = await service.Http.GetAsync(new Uri($"/tts-stream?{query}", UriKind.Relative));
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        Assert.Equal("audio/wav", answer.Content.Headers.ContentType?.ToString());
        var file = await answer.Content.ReadAsByteArrayAsync();
        Assert.Equal("RIFF"u8, file.AsSpan(0, 4));
        Assert.NotNull(service.Model.Calls.Single().Sampling.Seed);
    }

    [Fact]
    public async Task A_long_text_is_cut_as_asked()
    {
        await using var service = await TestService.Start();
        var text = string.Join(' ', Enumerable.Repeat("Some words, and then some more.", 6));
        using var answer = await service.Post("/tts", new { text, chunk_size = 50 });
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        Assert.Equal(6, service.Model.Calls.Count);
        Assert.All(service.Model.Calls, call => Assert.InRange(call.Text.Length, 1, 50));
    }

    [Theory]
    [InlineData("""{"text":"a","predefined_voice_id":"S1"}""", 404)]
    [InlineData("""{"text":"a","predefined_voice_id":"../Ann.wav"}""", 404)]
    [InlineData("""{"text":"a","voice_mode":"clone"}""", 400)]
    [InlineData("""{"text":"a","voice_mode":"other"}""", 400)]
    [InlineData("""{"text":"a","output_format":"midi"}""", 400)]
    [InlineData("""{"text":"a","chunk_size":5}""", 400)]
    [InlineData("""{"text":""}""", 400)]
    [InlineData("{}", 400)]
    public async Task A_request_that_is_wrong_is_told_why(string body, int status)
    {
        await using var service = await TestService.Start();
        using var answer = await service.PostText("/tts", body);
        Assert.Equal(status, (int)answer.StatusCode);
        var error = await answer.Json();
        Assert.Equal(["detail"], error.Names());
        Assert.Equal(JsonValueKind.String, error.GetProperty("detail").ValueKind);
    }

    [Fact]
    public async Task Pages_of_other_origins_are_refused_unless_the_settings_allow_them()
    {
        await using var service = await TestService.Start(new() { ["Security:CorsOrigins:0"] = "http://localhost:8000" });
        async Task<HttpResponseMessage> Ask(HttpMethod method, string path, params (string, string)[] headers)
        {
            using var request = new HttpRequestMessage(method, path);
            foreach (var (name, value) in headers)
            {
                request.Headers.Add(name, value);
            }

            return await service.Http.SendAsync(request);
        }

        using var foreign = await Ask(
            HttpMethod.Get,
            "/tts-stream?text=Hi.",
            ("Sec-Fetch-Site", "cross-site"),
            ("Referer", "http://evil.example/")
        );
        Assert.Equal(HttpStatusCode.Forbidden, foreign.StatusCode);
        using var allowed = await Ask(
            HttpMethod.Get,
            "/tts-stream?text=Hi.",
            ("Sec-Fetch-Site", "cross-site"),
            ("Referer", "http://localhost:8000/")
        );
        Assert.Equal(HttpStatusCode.OK, allowed.StatusCode);

        // SillyTavern's page sends Cache-Control, which a browser asks for first.
        using var preflight = await Ask(
            HttpMethod.Options,
            "/tts",
            ("Origin", "http://localhost:8000"),
            ("Access-Control-Request-Method", "POST"),
            ("Access-Control-Request-Headers", "cache-control,content-type")
        );
        Assert.Contains(
            "Cache-Control",
            preflight.Headers.GetValues("Access-Control-Allow-Headers").Single(),
            StringComparison.OrdinalIgnoreCase
        );
    }
}
