using System.ClientModel;
using System.ClientModel.Primitives;
using OpenAI;
using OpenAI.Audio;

namespace Chatterbox.Service.Tests;

/// <summary>The official .NET client against the running service.</summary>
public sealed class OpenAiClientTests
{
    [Fact]
    public async Task It_hears_the_speech()
    {
        await using var service = await TestService.Start();
        var speech = await Client(service)
            .GenerateSpeechAsync(
                "Hello there.",
                GeneratedSpeechVoice.Alloy,
                new SpeechGenerationOptions { ResponseFormat = GeneratedSpeechFormat.Pcm }
            );
        var tone = FakeModel.Tone("Hello there.", service.Model.BuiltInVoice!, service.Model.Calls.Single().Sampling);
        Assert.Equal(tone[200..^200], Wav.Pcm(speech.Value)[200..^200], Wav.Close);
    }

    [Fact]
    public async Task It_hears_every_format_but_aac_at_another_speed_without_ffmpeg()
    {
        await using var service = await TestService.Start(new() { ["Service:Ffmpeg"] = "/nowhere/ffmpeg" });
        foreach (
            var format in (GeneratedSpeechFormat[])
                [
                    GeneratedSpeechFormat.Mp3,
                    GeneratedSpeechFormat.Opus,
                    GeneratedSpeechFormat.Flac,
                    GeneratedSpeechFormat.Wav,
                    GeneratedSpeechFormat.Pcm,
                ]
        )
        {
            var speech = await Client(service)
                .GenerateSpeechAsync(
                    "Hello there.",
                    GeneratedSpeechVoice.Nova,
                    new SpeechGenerationOptions { ResponseFormat = format, SpeedRatio = 1.25f }
                );
            Assert.True(speech.Value.ToMemory().Length > 500);
        }
    }

    [Fact]
    public async Task It_understands_the_errors()
    {
        await using var service = await TestService.Start();
        var voice = await Assert.ThrowsAsync<ClientResultException>(() => Client(service).GenerateSpeechAsync("Hello.", "nobody"));
        Assert.Equal(404, voice.Status);
        Assert.Contains("voice_not_found", voice.Message);
        var model = await Assert.ThrowsAsync<ClientResultException>(() =>
            Client(service, "tts-9").GenerateSpeechAsync("Hello.", GeneratedSpeechVoice.Alloy)
        );
        Assert.Equal(404, model.Status);
        var models = await new OpenAIClient(new ApiKeyCredential("none"), Options(service)).GetOpenAIModelClient().GetModelsAsync();
        Assert.Equal("fake", Assert.Single(models.Value).Id);
    }

    private static AudioClient Client(TestService service, string model = "fake") =>
        new(model, new ApiKeyCredential("none"), Options(service));

    private static OpenAIClientOptions Options(TestService service) =>
        new() { Endpoint = new Uri(service.Address, "v1"), RetryPolicy = new ClientRetryPolicy(0) };
}
