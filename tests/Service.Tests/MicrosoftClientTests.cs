using System.ClientModel;
using System.ClientModel.Primitives;
using Microsoft.Extensions.AI;
using OpenAI;
using OpenAI.Audio;

namespace Chatterbox.Service.Tests;

/// <summary>The text-to-speech client of Microsoft.Extensions.AI for OpenAI, against the running service.</summary>
public sealed class MicrosoftClientTests
{
    [Fact]
    public async Task It_hears_the_speech_whole()
    {
        await using var service = await TestService.Start();
        using var client = Client(service);
        var speech = await client.GetAudioAsync("Hello there.", new() { VoiceId = "alloy", AudioFormat = "pcm" });
        var tone = FakeModel.Tone("Hello there.", service.Model.BuiltInVoice!, service.Model.Calls.Single().Sampling);
        Assert.Equal(tone[200..^200], Wav.Pcm(Audio(speech.Contents))[200..^200], Wav.Close);
    }

    [Fact]
    public async Task It_hears_the_speech_while_it_is_generated()
    {
        await using var service = await TestService.Start();
        using var client = Client(service);
        var audio = new List<byte>();
        await foreach (
            var update in client.GetStreamingAudioAsync(
                "Hello there. This is Microsoft's client.",
                new()
                {
                    VoiceId = "alloy",
                    AudioFormat = "pcm",
                    Speed = 1,
                }
            )
        )
        {
            audio.AddRange(Audio(update.Contents));
        }

        Assert.True(audio.Count > 1000);
        Assert.Equal("Hello there. This is Microsoft's client.", service.Model.Calls.Single().Text);
    }

    [Fact]
    public async Task It_understands_the_errors()
    {
        await using var service = await TestService.Start();
        using var client = Client(service);
        var error = await Assert.ThrowsAsync<ClientResultException>(() => client.GetAudioAsync("Hello.", new() { VoiceId = "nobody" }));
        Assert.Equal(404, error.Status);
    }

    private static ITextToSpeechClient Client(TestService service) =>
        new AudioClient(
            "tts-1",
            new ApiKeyCredential("none"),
            new OpenAIClientOptions { Endpoint = new Uri(service.Address, "v1"), RetryPolicy = new ClientRetryPolicy(0) }
        ).AsITextToSpeechClient();

    private static byte[] Audio(IEnumerable<AIContent> contents) =>
        [.. contents.OfType<DataContent>().SelectMany(content => content.Data.ToArray())];
}
