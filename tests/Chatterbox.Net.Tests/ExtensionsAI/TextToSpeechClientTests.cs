#pragma warning disable MEAI001 // text-to-speech clients are marked as experimental
using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text.Json;
using Chatterbox.Audio;
using Chatterbox.Engine;
using Chatterbox.Extensions.AI;
using Chatterbox.Tests.Models;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Chatterbox.Tests.ExtensionsAI;

/// <summary>The text-to-speech client of Microsoft.Extensions.AI over an engine with the tiny model.</summary>
public sealed class TextToSpeechClientTests : IAsyncLifetime
{
    private const string Text = "Hello there. [pause:0.2s] How are you?";

    private static readonly SamplingOptions Short = new() { Seed = 3, MaxSpeechTokens = 12 };

    private readonly SpeechEngine _engine = new([() => ChatterboxModel.Load(TinyCheckpoint.Folder)]);
    private readonly ChatterboxTextToSpeechClient _client;

    public TextToSpeechClientTests() => _client = new(_engine, new() { ModelId = "tiny", Sampling = Short });

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public ValueTask InitializeAsync() => default;

    public async ValueTask DisposeAsync()
    {
        _client.Dispose();
        await _engine.DisposeAsync();
    }

    [Fact]
    public async Task A_text_becomes_one_whole_file()
    {
        var response = await _client.GetAudioAsync(Text, cancellationToken: Cancel);
        var audio = Assert.IsType<DataContent>(Assert.Single(response.Contents));
        var speech = await _engine.SynthesizeAsync(Text, sampling: Short, cancellationToken: Cancel);
        Assert.Equal(("audio/wav", "tiny", 3L), (audio.MediaType, response.ModelId, response.AdditionalProperties!["seed"]));
        Assert.Equal(Pcm16.Encode(speech.Samples.ToArray()), audio.Data[44..].ToArray());
        Assert.Equal((speech.TextTokens, speech.SpeechTokens), (response.Usage!.InputTokenCount, response.Usage.OutputTokenCount));
        Assert.Equal(2, speech.Pieces.Count);
    }

    [Fact]
    public async Task A_text_is_streamed()
    {
        var updates = await _client.GetStreamingAudioAsync(Text, new() { AudioFormat = "pcm" }, Cancel).ToListAsync(Cancel);
        Assert.True(updates.Count > 2);
        Assert.All(updates.SkipLast(1), update => Assert.Equal(TextToSpeechResponseUpdateKind.AudioUpdating, update.Kind));
        Assert.Equal(TextToSpeechResponseUpdateKind.SessionClose, updates[^1].Kind);
        Assert.Single(updates.Select(update => update.ResponseId).Distinct());
        var chunks = await _engine.StreamAsync(Text, sampling: Short, cancellationToken: Cancel).ToListAsync(Cancel);
        Assert.Equal(
            Pcm16.Encode([.. chunks.SelectMany(chunk => chunk.Samples.ToArray())]),
            updates.SelectMany(update => update.Contents.OfType<DataContent>()).SelectMany(audio => audio.Data.ToArray())
        );

        var whole = updates.ToTextToSpeechResponse();
        Assert.Equal(("tiny", chunks.Sum(chunk => chunk.SpeechTokens)), (whole.ModelId, (int)whole.Usage!.OutputTokenCount!));
    }

    [Theory]
    [InlineData("mp3", "audio/mpeg")]
    [InlineData("audio/mpeg", "audio/mpeg")]
    [InlineData("audio/ogg", "audio/opus")]
    [InlineData("flac", "audio/flac")]
    [InlineData("pcm_16000", "audio/pcm")]
    public async Task Formats_are_named_or_media_types(string format, string type)
    {
        var response = await _client.GetAudioAsync(
            "Hello.",
            new()
            {
                AudioFormat = format,
                Language = "en-GB",
                Speed = 1.5f,
                ModelId = "tiny",
                Pitch = 1,
            },
            Cancel
        );
        Assert.Equal(type, Assert.IsType<DataContent>(Assert.Single(response.Contents)).MediaType);
    }

    [Fact]
    public async Task Properties_are_sampling_settings()
    {
        var json = JsonSerializer.SerializeToElement(4);
        foreach (
            var properties in new AdditionalPropertiesDictionary[]
            {
                new()
                {
                    ["seed"] = 4,
                    ["cfg_weight"] = 0.2,
                    ["exaggeration"] = 1.5f,
                },
                new()
                {
                    ["Seed"] = json,
                    ["CfgWeight"] = 0.2m,
                    ["EXAGGERATION"] = 1.5,
                },
            }
        )
        {
            await AssertSpeaks(new() { AdditionalProperties = properties });
        }

        await AssertSpeaks(new() { RawRepresentationFactory = _ => Short with { Seed = 4, CfgWeight = 0.2, Exaggeration = 1.5 } });

        async Task AssertSpeaks(TextToSpeechOptions options)
        {
            var response = await _client.GetAudioAsync("Hello.", options, Cancel);
            var speech = await _engine.SynthesizeAsync(
                "Hello.",
                sampling: Short with
                {
                    Seed = 4,
                    CfgWeight = 0.2,
                    Exaggeration = 1.5,
                },
                cancellationToken: Cancel
            );
            Assert.Equal(Pcm16.Encode(speech.Samples.ToArray()), ((DataContent)response.Contents[0]).Data[44..].ToArray());
            Assert.Equal(4L, response.AdditionalProperties!["seed"]);
        }
    }

    [Fact]
    public async Task What_has_no_effect_is_refused()
    {
        (TextToSpeechOptions Options, string Message)[] refused =
        [
            (new() { ModelId = "tts-1" }, "There is no model 'tts-1'"),
            (new() { VoiceId = "alloy" }, "There is no voice 'alloy'"),
            (new() { Language = "fr-CA" }, "Language 'fr'"),
            (new() { AudioFormat = "audio/midi" }, "There is no audio format 'audio/midi'"),
            (new() { Speed = 5 }, "Speed is 5"),
            (new() { Pitch = 1.2f }, "Pitch cannot be changed"),
            (new() { Volume = 0.5f }, "Volume cannot be changed"),
            (new() { AdditionalProperties = new() { ["style"] = "cheerful" } }, "There is no setting 'style'"),
            (new() { AdditionalProperties = new() { ["temperature"] = "hot" } }, "'temperature' is hot"),
            (new() { AdditionalProperties = new() { ["temperature"] = 50 } }, "50"),
            (new() { RawRepresentationFactory = _ => "fast" }, "RawRepresentationFactory returned System.String"),
        ];
        foreach (var (options, message) in refused)
        {
            Assert.Contains(
                message,
                (await Assert.ThrowsAsync<RequestException>(() => _client.GetAudioAsync("Hello.", options, Cancel))).Message,
                StringComparison.Ordinal
            );
        }

        await Assert.ThrowsAsync<RequestException>(() => _client.GetAudioAsync("…", cancellationToken: Cancel));
    }

    [Fact]
    public async Task Voices_have_ids()
    {
        await _engine.Ready;
        var recording = AudioFile.Load(Path.Combine(Parity.Fixtures.Root, "audio", "aishell_BAC009S0764W0121_16k.wav"));
        var options = new ChatterboxTextToSpeechOptions { Sampling = Short };
        options.Voices["ann"] = await _engine.CreateVoiceAsync(recording, cancellationToken: Cancel);
        using var client = new ChatterboxTextToSpeechClient(_engine, options);
        var (own, ann) = (await Speak(null), await Speak("ann"));
        Assert.NotEqual(own, ann);
        Assert.Contains("ann", (await Assert.ThrowsAsync<RequestException>(() => Speak("bob"))).Message, StringComparison.Ordinal);

        async Task<byte[]> Speak(string? voice) =>
            ((DataContent)(await client.GetAudioAsync("Hello.", new() { VoiceId = voice }, Cancel)).Contents[0]).Data.ToArray();
    }

    [Fact]
    public async Task It_is_the_end_of_a_pipeline()
    {
        var activities = new ConcurrentQueue<Activity>();
        using var listener = new ActivityListener
        {
            ShouldListenTo = source => source.Name == "speech",
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllData,
            ActivityStopped = activities.Enqueue,
        };
        ActivitySource.AddActivityListener(listener);
        var services = new ServiceCollection()
            .AddSingleton<ISpeechEngine>(_engine)
            .AddLogging(logging => logging.SetMinimumLevel(LogLevel.Trace));
        services
            .AddTextToSpeechClient(provider => new ChatterboxTextToSpeechClient(
                provider.GetRequiredService<ISpeechEngine>(),
                new() { ModelId = "tiny", Sampling = Short }
            ))
            .UseLogging()
            .UseOpenTelemetry(sourceName: "speech");
        await using (var provider = services.BuildServiceProvider())
        {
            var client = provider.GetRequiredService<ITextToSpeechClient>();
            await client.GetAudioAsync("Hello.", cancellationToken: Cancel);
            await client.GetStreamingAudioAsync("Hello.", cancellationToken: Cancel).CountAsync(Cancel);
            Assert.Same(_engine, client.GetService<ISpeechEngine>());
            Assert.Equal("tiny", client.GetService<TextToSpeechClientMetadata>()!.DefaultModelId);
        }

        Assert.Equal(2, activities.Count);
        Assert.All(activities, activity => Assert.Equal("chatterbox", activity.GetTagItem("gen_ai.provider.name")));
        Assert.Equal(EngineState.Ready, _engine.Status.State);
    }

    [Fact]
    public async Task It_is_registered_once_or_by_key()
    {
        var services = new ServiceCollection()
            .AddSingleton<ISpeechEngine>(_engine)
            .AddKeyedSingleton<ISpeechEngine>("second", _engine)
            .AddChatterboxTextToSpeech()
            .AddKeyedChatterboxTextToSpeech("second", options => options.ModelId = "second");
        await using var provider = services.BuildServiceProvider();
        var (one, two) = (
            provider.GetRequiredService<ITextToSpeechClient>(),
            provider.GetRequiredKeyedService<ITextToSpeechClient>("second")
        );
        Assert.Equal(
            ("chatterbox", "second"),
            (one.GetService<TextToSpeechClientMetadata>()!.DefaultModelId, two.GetService<TextToSpeechClientMetadata>()!.DefaultModelId)
        );
        Assert.Same(one, one.GetService<ChatterboxTextToSpeechClient>());
    }

    [Fact]
    public async Task Leaving_a_stream_gives_up_the_rest()
    {
        var text = string.Join(' ', Enumerable.Repeat("This is one more sentence of a long text.", 200));
        await foreach (var update in _client.GetStreamingAudioAsync(text, new() { AudioFormat = "pcm" }, Cancel))
        {
            Assert.NotEmpty(update.Contents);
            break;
        }

        await Waits.Until(() => _engine.Status is { Active: 0, Waiting: 0 }, "the engine has given the request up");
    }
}
