using System.Net;
using System.Text.Json;

namespace Chatterbox.Service.Tests;

/// <summary>Several texts in one request, and voices of recordings that come with a request.</summary>
public sealed class BatchTests
{
    private const string Batch = "/v1/audio/speech/batch";
    private const string Speech = "/v1/audio/speech";

    [Fact]
    public async Task Items_are_spoken_in_their_order_and_one_that_fails_leaves_the_others()
    {
        await using var service = await TestService.Start();
        object[] items =
        [
            new { input = "One." },
            new
            {
                input = "Two.",
                seed = 9,
                response_format = "mp3",
            },
            new { input = "unspeakable" },
            new { input = "Three.", voice = "nobody" },
            new { seed = 1 },
            new { input = "Six." },
        ];
        using var answer = await service.Post(
            Batch,
            new
            {
                model = "fake",
                voice = "default",
                response_format = "wav",
                seed = 5,
                stream = true,
                items,
            }
        );
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        var json = await answer.Json();
        Assert.Equal(["id", "results", "total", "succeeded", "failed"], json.Names());
        Assert.Equal(
            (6, 3, 3),
            (json.GetProperty("total").GetInt32(), json.GetProperty("succeeded").GetInt32(), json.GetProperty("failed").GetInt32())
        );
        var results = json.GetProperty("results").EnumerateArray().ToList();
        Assert.Equal(Enumerable.Range(0, 6), results.Select(result => result.GetProperty("index").GetInt32()));
        Assert.Equal(
            ["success", "success", "error", "error", "error", "success"],
            results.Select(result => result.GetProperty("status").GetString())
        );
        Assert.Equal(["index", "status", "audio_data", "media_type", "usage"], results[0].Names());
        Assert.Equal(
            ["audio/wav", "audio/mpeg", "audio/wav"],
            results
                .Where(result => result.TryGetProperty("media_type", out _))
                .Select(result => result.GetProperty("media_type").GetString())
        );
        Assert.Equal(
            FakeModel.Tone("Six.", service.Model.BuiltInVoice!, new() { Seed = 5 }).Length,
            Wav.Read(results[5].GetProperty("audio_data").GetBytesFromBase64()).Length
        );
        Assert.Equal(["index", "status", "error"], results[2].Names());
        Assert.Equal(
            ["speech_failed", "voice_not_found", "missing_required_parameter"],
            results.Skip(2).Take(3).Select(result => result.GetProperty("error").GetProperty("code").GetString())
        );
        Assert.Equal(9, service.Model.Calls.Single(call => call.Text == "Two.").Sampling.Seed);
    }

    [Theory]
    [InlineData("""{"items":[]}""", "items", "invalid_value")]
    [InlineData("""{"model":"fake"}""", "items", "missing_required_parameter")]
    [InlineData("""{"items":[5]}""", "items", "invalid_type")]
    public async Task A_batch_that_is_wrong_is_told_why(string body, string param, string code)
    {
        await using var service = await TestService.Start();
        using var answer = await service.PostText(Batch, body);
        await answer.AssertOpenAiError(HttpStatusCode.BadRequest, param, code);
    }

    [Fact]
    public async Task A_batch_has_32_items_at_most_and_each_counts_as_a_request()
    {
        await using var service = await TestService.Start(new() { ["Security:RequestsPerMinute"] = "3" });
        using var large = await service.Post(Batch, new { items = Enumerable.Repeat(new { input = "a" }, 33) });
        await large.AssertOpenAiError(HttpStatusCode.BadRequest, "items", "invalid_value");
        using var answer = await service.Post(
            Batch,
            new
            {
                model = "fake",
                voice = "default",
                items = Enumerable.Repeat(new { input = "Hi." }, 4),
            }
        );
        var json = await answer.Json();
        Assert.Equal((2, 2), (json.GetProperty("succeeded").GetInt32(), json.GetProperty("failed").GetInt32()));
        Assert.Equal("rate_limit_exceeded", json.GetProperty("results")[3].GetProperty("error").GetProperty("code").GetString());
    }

    [Fact]
    public async Task A_recording_in_the_request_is_the_voice_and_is_computed_once()
    {
        await using var service = await TestService.Start(new() { ["Voices:UploadsEnabled"] = "true" });
        var audio = $"data:audio/wav;base64,{Convert.ToBase64String(new byte[777])}";
        for (var times = 0; times < 2; times++)
        {
            using var answer = await service.Post(
                Speech,
                new
                {
                    model = "fake",
                    input = "Hello.",
                    voice = new { audio },
                    response_format = "pcm",
                }
            );
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
            Assert.Equal("recording", answer.Headers.GetValues("X-Chatterbox-Voice").Single());
        }

        Assert.Equal(1, service.Model.VoicesMade);
        Assert.All(service.Model.Calls, call => Assert.Equal(777f, call.Voice.T3.SpeakerEmbedding[0]));
        Assert.Empty(Directory.EnumerateFiles(Path.Combine(service.AudioFolder, ".voices"), "*.part"));
    }

    [Theory]
    [InlineData("data:audio/wav;base64,!", 400, "invalid_value")]
    [InlineData("https://example.org/a.wav", 400, "invalid_value")]
    [InlineData("data:audio/wav;base64,", 400, "invalid_value")]
    [InlineData("data:audio/wav;base64,AAAA", 400, "unusable_voice")] // 3 ms
    [InlineData("3001", 400, "unusable_voice")] // longer than recordings may be
    [InlineData("4001", 413, "request_too_large")]
    public async Task A_recording_that_cannot_be_a_voice_is_told_why(string audio, int status, string code)
    {
        await using var service = await TestService.Start(
            new()
            {
                ["Voices:UploadsEnabled"] = "true",
                ["Voices:MaxUploadBytes"] = "4000",
                ["Voices:MaxUploadSeconds"] = "3",
            }
        );
        audio = int.TryParse(audio, out var bytes) ? $"data:audio/wav;base64,{Convert.ToBase64String(new byte[bytes])}" : audio;
        using var answer = await service.Post(
            Speech,
            new
            {
                model = "fake",
                input = "Hello.",
                voice = new { audio },
            }
        );
        await answer.AssertOpenAiError((HttpStatusCode)status, "voice", code);
    }

    [Fact]
    public async Task A_recording_is_taken_only_where_uploads_are_on_and_then_a_larger_body_too()
    {
        var audio = $"data:audio/wav;base64,{Convert.ToBase64String(new byte[20_000])}";
        var body = new
        {
            model = "fake",
            input = "Hello.",
            voice = new { audio },
            response_format = "pcm",
        };
        await using (var off = await TestService.Start())
        {
            using var refused = await off.Post(Speech, body);
            await refused.AssertOpenAiError(HttpStatusCode.Forbidden, code: "uploads_disabled");
        }

        await using var on = await TestService.Start(new() { ["Voices:UploadsEnabled"] = "true", ["Service:MaxRequestBytes"] = "2048" });
        using var answer = await on.PostText(Speech, JsonSerializer.Serialize(body));
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        using var other = await on.Post("/speak", new { text = new string('a', 3000) });
        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, other.StatusCode);
    }
}
