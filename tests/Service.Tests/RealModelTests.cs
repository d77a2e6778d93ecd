using System.Net;
using Chatterbox.Audio;
using Chatterbox.Engine;

namespace Chatterbox.Service.Tests;

/// <summary>The service with the tiny synthetic models: everything is as it will be but the sense of what is said.</summary>
public sealed class RealModelTests
{
    private const string Route = "/v1/audio/speech";
    private const string Input = "A real recording lends its voice.";

    [Fact]
    public async Task A_recording_is_a_voice_on_both_routes()
    {
        await using var service = await TestService.StartReal("tiny");
        service.AddRecording("jfk_16k_mono.wav", "Kennedy.wav");

        using var speak = await service.Post(
            "/speak",
            new
            {
                text = "Ask not. Ask.",
                voice = "Kennedy",
                stream = true,
            }
        );
        var events = await speak.Events();
        Assert.Equal(5, events.Count);
        Assert.NotEmpty(Wav.Read(events[1].GetProperty("audio_data").GetBytesFromBase64()));
        using var file = await service.Post("/speak", new { text = "Ask not.", voice = "Kennedy" });
        Assert.Equal("Kennedy", (await file.Json()).GetProperty("voice_used").GetString());

        var spoken = await Speak(
            service,
            new
            {
                model = "tiny",
                input = Input,
                voice = "Kennedy",
                response_format = "pcm",
                seed = 5,
                chunk = false,
            }
        );
        Assert.NotEqual(
            spoken,
            await Speak(
                service,
                new
                {
                    model = "tiny",
                    input = Input,
                    voice = "default",
                    response_format = "pcm",
                    seed = 5,
                }
            )
        );

        // The same speech as the engine makes with a voice of that recording.
        var engine = service.Fleet.Default;
        var voice = await engine.CreateVoiceAsync(AudioFile.Load(Path.Combine(service.VoicesFolder, "Kennedy.wav")), client: "");
        var job = engine.Submit(
            new SpeechRequest
            {
                Pieces = [Input],
                Voice = voice,
                Sampling = new() { Seed = 5 },
            },
            CancellationToken.None
        );
        var samples = new List<float>();
        await foreach (var happened in job.Events)
        {
            samples.AddRange(Assert.IsType<AudioChunk>(happened).Samples.ToArray());
        }

        var heard = Wav.Pcm(spoken);
        Assert.Equal(samples.Count, heard.Length);
        Assert.Equal(samples.Select(s => Math.Clamp(s, -1, 1)).ToArray()[200..^200], heard[200..^200], Wav.Close);
        Assert.Single(Directory.GetFiles(Path.Combine(service.AudioFolder, ".voices"))); // kept for the next start
    }

    [Fact]
    public async Task Chunks_are_the_speech_in_another_cut()
    {
        await using var service = await TestService.StartReal(
            "tiny",
            new() { ["Streaming:FirstTokens"] = "2", ["Streaming:MostTokens"] = "2" }
        );
        var body = new
        {
            model = "tiny",
            input = Input,
            voice = "default",
            response_format = "pcm",
            seed = 5,
            stream_format = "sse",
            chunk = true,
        };
        using var chunks = await service.Post(Route, body);
        using var whole = await service.Post(Route, body with { chunk = false });
        var (many, one) = (await chunks.Events(), await whole.Events());
        Assert.True(many.Count > 3);
        Assert.Equal(2, one.Count);
        Assert.Equal(one[^1].GetRawText(), many[^1].GetRawText()); // the same tokens
        static int Bytes(List<System.Text.Json.JsonElement> events) =>
            events.SkipLast(1).Sum(e => e.GetProperty("audio").GetBytesFromBase64().Length);
        Assert.Equal(Bytes(one), Bytes(many));
        using var again = await service.Post(Route, body);
        Assert.Equal(many.Select(e => e.GetRawText()), (await again.Events()).Select(e => e.GetRawText()));
    }

    [Theory]
    [InlineData("jfk_16k_mono.mp3", ".mp3")]
    [InlineData("jfk_44k1_stereo_24bit.flac", ".flac")]
    public async Task A_recording_that_is_no_WAV_is_a_voice_without_ffmpeg(string fixture, string extension)
    {
        await using var service = await TestService.StartReal("tiny");
        service.AddRecording(fixture, "Kennedy" + extension);
        Assert.NotEmpty(
            await Speak(
                service,
                new
                {
                    model = "tiny",
                    input = Input,
                    voice = "Kennedy",
                    response_format = "pcm",
                    seed = 5,
                }
            )
        );
    }

    [Fact]
    public async Task A_recording_that_no_voice_can_be_made_of_is_told_why()
    {
        await using var service = await TestService.StartReal("tiny-turbo");
        var recording = AudioFile.Load(Path.Combine(TestService.Fixtures, "audio", "jfk_16k_mono.wav"));
        WavFile.Write(
            Path.Combine(service.VoicesFolder, "Short.wav"),
            recording.Samples.Span[..(3 * recording.SampleRate)],
            recording.SampleRate
        );
        File.WriteAllText(Path.Combine(service.VoicesFolder, "Broken.wav"), "RIFF, or so it says.");
        foreach (var (name, reason) in new[] { ("Short", "5 s"), ("Broken", "Broken") })
        {
            using var openAi = await service.Post(
                Route,
                new
                {
                    model = "tiny-turbo",
                    input = Input,
                    voice = name,
                    response_format = "pcm",
                }
            );
            var error = await openAi.AssertOpenAiError(HttpStatusCode.BadRequest, "voice", "unusable_voice");
            Assert.Contains(reason, error.GetProperty("message").GetString());
            Assert.DoesNotContain(service.VoicesFolder, error.GetProperty("message").GetString());
            using var speak = await service.Post(
                "/speak",
                new
                {
                    text = Input,
                    voice = name,
                    stream = true,
                }
            );
            Assert.Contains(reason, await speak.AssertSpeakError(HttpStatusCode.BadRequest));
        }
    }

    [Fact]
    public async Task Turbo_has_its_own_parameters_and_refuses_those_it_lacks()
    {
        await using var service = await TestService.StartReal("tiny-turbo");
        var plain = await Speak(
            service,
            new
            {
                model = "tiny-turbo",
                input = "[laugh] Well.",
                voice = "default",
                response_format = "pcm",
                seed = 5,
            }
        );
        var chosen = await Speak(
            service,
            new
            {
                model = "tiny-turbo",
                input = "[laugh] Well.",
                voice = "default",
                response_format = "pcm",
                seed = 5,
                top_k = 3,
                top_p = 0.5,
                temperature = 0.7,
                repetition_penalty = 1.4,
            }
        );
        Assert.NotEqual(plain, chosen);

        foreach (
            var (parameter, value) in new[] { ("exaggeration", "0.7"), ("cfg_weight", "0.3"), ("min_p", "0.1"), ("language", "\"en\"") }
        )
        {
            using var answer = await service.PostText(
                Route,
                $$"""{"model":"tiny-turbo","input":"Hello.","voice":"default","{{parameter}}":{{value}}}"""
            );
            await answer.AssertOpenAiError(HttpStatusCode.BadRequest, parameter, "unsupported_parameter");
        }

        // Older clients always send both.
        using var speak = await service.Post(
            "/speak",
            new
            {
                text = "Hello.",
                exaggeration = 0.7,
                cfg_weight = 0.3,
                stream = true,
            }
        );
        Assert.Equal(3, (await speak.Events()).Count);
    }

    [Fact]
    public async Task Flash_has_its_own_parameters_and_refuses_those_it_lacks()
    {
        await using var service = await TestService.StartReal("tiny-flash");
        var plain = new Dictionary<string, object>
        {
            ["model"] = "tiny-flash",
            ["input"] = "Well.",
            ["voice"] = "default",
            ["response_format"] = "pcm",
            ["seed"] = 5,
        };
        var chosen = new Dictionary<string, object>(plain)
        {
            ["temperature"] = 0.7,
            ["cfg_weight"] = 0.5,
            ["exaggeration"] = 0.7,
            ["block_size"] = 8,
            ["block_steps"] = 4,
            ["time_shift"] = 0.5,
            ["schedule_shift"] = 1,
            ["position_temperature"] = 0,
            ["fixed_prior"] = false,
        };
        Assert.NotEqual(await Speak(service, plain), await Speak(service, chosen));
        foreach (var (parameter, value) in new[] { ("top_p", "0.7"), ("min_p", "0.1"), ("top_k", "5"), ("repetition_penalty", "1.5") })
        {
            using var answer = await service.PostText(
                Route,
                $$"""{"model":"tiny-flash","input":"Hello.","voice":"default","{{parameter}}":{{value}}}"""
            );
            await answer.AssertOpenAiError(HttpStatusCode.BadRequest, parameter, "unsupported_parameter");
        }

        using var tooLarge = await service.PostText(
            Route,
            """{"model":"tiny-flash","input":"Hello.","voice":"default","block_size":129}"""
        );
        await tooLarge.AssertOpenAiError(HttpStatusCode.BadRequest, "block_size");
        using var speak = await service.Post(
            "/speak",
            new
            {
                text = "Hello.",
                exaggeration = 0.7,
                cfg_weight = 0.3,
                stream = true,
            }
        );
        Assert.Equal(3, (await speak.Events()).Count);
    }

    [Fact]
    public async Task English_lacks_what_is_Turbos()
    {
        await using var service = await TestService.StartReal("tiny");
        using var answer = await service.Post(
            Route,
            new
            {
                model = "tiny",
                input = "Hello.",
                voice = "default",
                top_k = 3,
            }
        );
        await answer.AssertOpenAiError(HttpStatusCode.BadRequest, "top_k", "unsupported_parameter");
    }

    [Fact]
    public async Task Multilingual_speaks_the_language_asked_for()
    {
        await using var service = await TestService.StartReal("tiny-multilingual");
        var body = new
        {
            model = "tiny-multilingual",
            input = "Eins zwei drei.",
            voice = "default",
            response_format = "pcm",
            seed = 5,
            language = "de",
        };
        Assert.NotEqual(await Speak(service, body), await Speak(service, body with { language = "fr" }));
        using var answer = await service.Post(Route, body with { language = "tlh" });
        await answer.AssertOpenAiError(HttpStatusCode.BadRequest, "language", "invalid_value");
    }

    private static async Task<byte[]> Speak(TestService service, object body)
    {
        using var answer = await service.Post(Route, body);
        Assert.True(answer.IsSuccessStatusCode, await answer.Content.ReadAsStringAsync());
        return await answer.Content.ReadAsByteArrayAsync();
    }
}
