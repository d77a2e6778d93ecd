using System.Net;
using System.Text;

namespace Chatterbox.Service.Tests;

/// <summary>The requests that well-known clients send with their own defaults, only the address being set. Where each was read is beside
/// it.</summary>
public sealed class RecordedClientTests
{
    private const string OpenAiPython =
        "User-Agent: AsyncOpenAI/Python 1.99.9\nAuthorization: Bearer sk-none\nAccept: application/octet-stream\nX-Stainless-Lang: "
        + "python\nX-Stainless-Async: async:asyncio";

    /// <summary>Client and source, headers, body.</summary>
    public static TheoryData<string, string, string> Requests =>
        new()
        {
            {
                "Open WebUI: backend/open_webui/routers/audio.py, speech",
                "Authorization: Bearer none\nX-OpenWebUI-User-Name: Ann\nX-OpenWebUI-User-Id: 7\nX-OpenWebUI-User-Email: "
                    + "ann@example.org\nX-OpenWebUI-User-Role: user",
                """{"model":"tts-1","input":"Hello there!","voice":"alloy"}"""
            },
            {
                "SillyTavern: public/scripts/extensions/tts/openai-compatible.js and src/endpoints/openai.js",
                "Authorization: Bearer \nUser-Agent: node-fetch",
                """{"input":"Hello there!","response_format":"mp3","voice":"alloy","speed":1,"model":"tts-1"}"""
            },
            {
                "Home Assistant, openai_tts: custom_components/openai_tts/openaitts_engine.py",
                "User-Agent: python-requests/2.32.4",
                """{"model":"tts-1","input":"Hello there!","voice":"shimmer","response_format":"wav","speed":1}"""
            },
            {
                "Home Assistant, wyoming_openai: src/wyoming_openai/handler.py through openai-python",
                OpenAiPython,
                """{"input":"Hello there!","model":"tts-1","voice":"alloy"}"""
            },
            {
                "LiveKit Agents: livekit-plugins-openai/livekit/plugins/openai/tts.py through openai-python",
                OpenAiPython,
                """{"input":"Hello there!","model":"gpt-4o-mini-tts","voice":"ash","response_format":"mp3","speed":1.0}"""
            },
            {
                "LiveKit Agents before openai-python: the same file, 2024",
                "Authorization: Bearer sk-none",
                """{"input":"Hello there!","model":"tts-1","voice":"alloy","response_format":"mp3"}"""
            },
            {
                "Pipecat: src/pipecat/services/openai/tts.py through openai-python",
                OpenAiPython,
                """{"input":"Hello there!","model":"gpt-4o-mini-tts","voice":"alloy","response_format":"pcm"}"""
            },
        };

    [Theory, MemberData(nameof(Requests))]
    public async Task It_is_heard(string client, string headers, string body)
    {
        await using var service = await TestService.Start();
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/audio/speech")
        {
            Content = new StringContent(body, Encoding.UTF8, "application/json"),
        };
        foreach (var header in headers.Split('\n'))
        {
            var (name, value) = (
                header[..header.IndexOf(':', StringComparison.Ordinal)],
                header[(header.IndexOf(':', StringComparison.Ordinal) + 1)..].Trim()
            );
            Assert.True(request.Headers.TryAddWithoutValidation(name, value), client);
        }

        using var answer = await service.Http.SendAsync(request);
        var audio = await answer.Content.ReadAsByteArrayAsync();
        Assert.True(answer.StatusCode == HttpStatusCode.OK, $"{client}: {Encoding.UTF8.GetString(audio)}");
        Assert.Equal("Hello there!", service.Model.Calls.Single().Text);
        switch (answer.Content.Headers.ContentType?.MediaType)
        {
            case "audio/mpeg":
                Assert.Equal((0xFF, 0xE0), (audio[0], audio[1] & 0xE0)); // the frame's synchronisation
                break;
            case "audio/wav":
                Assert.Equal("RIFF"u8, audio.AsSpan(0, 4));
                break;
            case "audio/pcm":
                Assert.True(audio.Length > 1000 && audio.Length % 2 == 0);
                break;
            default:
                Assert.Fail($"{client}: {answer.Content.Headers.ContentType}");
                break;
        }
    }

    [Fact]
    public async Task Open_WebUI_finds_models_and_voices()
    {
        await using var service = await TestService.Start();
        service.AddVoice("Ann.flac", 1234);
        using var models = await service.Http.GetAsync(new Uri("/v1/audio/models", UriKind.Relative));
        Assert.Equal(
            ["fake"],
            (await models.Json()).GetProperty("models").EnumerateArray().Select(model => model.GetProperty("id").GetString())
        );
        using var voices = await service.Http.GetAsync(new Uri("/v1/audio/voices", UriKind.Relative));
        Assert.Contains(
            "Ann",
            (await voices.Json()).GetProperty("voices").EnumerateArray().Select(voice => voice.GetProperty("id").GetString())
        );
    }
}
