using System.Net;

namespace Chatterbox.Service.Tests;

/// <summary>Section 2 of the contract.</summary>
public sealed class OpenAiTests
{
    private const string Route = "/v1/audio/speech";

    [Fact]
    public async Task Pcm_is_the_speech_of_the_model_by_seed()
    {
        await using var service = await TestService.Start();
        using var answer = await service.Post(
            Route,
            new
            {
                model = "fake",
                input = "Hello there.",
                voice = "alloy",
                response_format = "pcm",
                seed = 42,
            }
        );
        Assert.Equal("audio/pcm", answer.Content.Headers.ContentType?.ToString());
        Assert.Equal("42", Assert.Single(answer.Headers.GetValues("X-Chatterbox-Seed")));
        Assert.Equal("0", Assert.Single(answer.Headers.GetValues("X-Chatterbox-Queue-Position")));
        var samples = Wav.Pcm(await answer.Content.ReadAsByteArrayAsync());
        var tone = FakeModel.Tone("Hello there.", service.Model.BuiltInVoice!, new SamplingOptions { Seed = 42 });
        Assert.Equal(tone.Length, samples.Length);
        Assert.Equal(tone[200..^200], samples[200..^200], Wav.Close);
        Assert.Equal(0, samples[0]);
        Assert.Equal(0, samples[^1]);
    }

    [Fact]
    public async Task A_streamed_wav_does_not_know_its_length()
    {
        await using var service = await TestService.Start();
        using var answer = await service.Post(
            Route,
            new
            {
                model = "fake",
                input = "Hello there.",
                voice = "default",
                response_format = "wav",
            }
        );
        Assert.Equal("audio/wav", answer.Content.Headers.ContentType?.ToString());
        Assert.True(answer.Headers.TransferEncodingChunked);
        var wav = await answer.Content.ReadAsByteArrayAsync();
        Assert.Equal("RIFF"u8, wav.AsSpan(0, 4));
        Assert.Equal(uint.MaxValue, BitConverter.ToUInt32(wav, 4));
        Assert.Equal(24_000u, BitConverter.ToUInt32(wav, 24));
        Assert.Equal(uint.MaxValue, BitConverter.ToUInt32(wav, 40));
    }

    [Fact]
    public async Task Audio_comes_before_the_rest_is_made()
    {
        await using var service = await TestService.Start();
        service.Model.Holds = true;
        service.Model.LetGo();
        using var answer = await service.Post(
            Route,
            new
            {
                model = "fake",
                input = FakeModel.TwoPieces,
                voice = "default",
                response_format = "pcm",
            },
            HttpCompletionOption.ResponseHeadersRead
        );
        await using var body = await answer.Content.ReadAsStreamAsync();
        Assert.True(await body.ReadAtLeastAsync(new byte[4000], 4000) == 4000);
        service.Model.LetGo();
        Assert.NotEqual(0, await body.ReadAtLeastAsync(new byte[10_000_000], 10_000_000, throwOnEndOfStream: false));
    }

    [Fact]
    public async Task Events_carry_audio_and_true_token_counts()
    {
        await using var service = await TestService.Start();
        const string input = FakeModel.TwoPieces;
        using var whole = await service.Post(
            Route,
            new
            {
                model = "fake",
                input,
                voice = "default",
                response_format = "pcm",
                seed = 7,
            }
        );
        using var answer = await service.Post(
            Route,
            new
            {
                model = "fake",
                input,
                voice = "default",
                response_format = "pcm",
                seed = 7,
                stream_format = "sse",
            }
        );
        var events = await answer.Events();
        Assert.All(
            events.SkipLast(1),
            e =>
            {
                Assert.Equal(["type", "audio"], e.Names());
                Assert.Equal("speech.audio.delta", e.GetProperty("type").GetString());
            }
        );
        Assert.Equal(
            await whole.Content.ReadAsByteArrayAsync(),
            events.SkipLast(1).SelectMany(e => e.GetProperty("audio").GetBytesFromBase64())
        );
        var texts = service.Model.Calls.Skip(2).Sum(c => c.Text.Length);
        Assert.Equal(
            $$$"""{"type":"speech.audio.done","usage":{"input_tokens":{{{texts}}},"output_tokens":{{{2 * texts}}},"total_tokens":{{{3 * texts}}}}}""",
            events[^1].GetRawText()
        );
    }

    [Fact]
    public async Task Every_setting_reaches_the_model()
    {
        await using var service = await TestService.Start(describe: model => model with { Languages = ["en", "de"] });
        service.AddVoice("Ann.flac", 1234);
        using var answer = await service.PostText(
            Route,
            """
            {"model":"fake","input":"Hallo.","voice":{"id":"Ann"},"response_format":"pcm","speed":1,"instructions":"Whisper.","exaggeration":0.7,"cfg_weight":0.2,
             "temperature":0.9,"top_p":0.95,"min_p":0.1,"top_k":50,"repetition_penalty":1.5,"seed":-3,"language":"de",
             "block_size":32,"block_steps":4,"time_shift":0.75,"schedule_shift":1,"position_temperature":0,"fixed_prior":false}
            """
        );
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        Assert.Equal("instructions", Assert.Single(answer.Headers.GetValues("X-Chatterbox-Ignored")));
        var call = service.Model.Calls.Single();
        var expected = new SamplingOptions
        {
            Seed = -3,
            Exaggeration = 0.7,
            CfgWeight = 0.2,
            Temperature = 0.9,
            TopP = 0.95,
            MinP = 0.1,
            TopK = 50,
            RepetitionPenalty = 1.5,
            MaxSpeechTokens = 86,
        };
        expected = expected with
        {
            BlockSize = 32,
            BlockSteps = 4,
            TimeShift = 0.75,
            ScheduleShift = 1,
            PositionTemperature = 0,
            FixedPrior = false,
        };
        Assert.Equal((expected, "de", 234f), (call.Sampling, call.Language, call.Voice.T3.SpeakerEmbedding[0]));
    }

    [Theory]
    [InlineData("""{"input":"a","voice":"default"}""", "model", "missing_required_parameter")]
    [InlineData("""{"model":"fake","voice":"default"}""", "input", "missing_required_parameter")]
    [InlineData("""{"model":"fake","input":"a"}""", "voice", "missing_required_parameter")]
    [InlineData("""{"model":5,"input":"a","voice":"default"}""", "model", "invalid_type")]
    [InlineData("""{"model":"fake","input":["a"],"voice":"default"}""", "input", "invalid_type")]
    [InlineData("""{"model":"fake","input":"a","voice":5}""", "voice", "invalid_type")]
    [InlineData("""{"model":"fake","input":"a","voice":{"name":"x"}}""", "voice", "invalid_type")]
    [InlineData("""{"model":"fake","input":"a","voice":{"id":null}}""", "voice", "invalid_type")]
    [InlineData("""{"model":"fake","input":"a","voice":"default","speed":"fast"}""", "speed", "invalid_type")]
    [InlineData("""{"model":"fake","input":"a","voice":"default","seed":1.5}""", "seed", "invalid_type")]
    [InlineData("""{"model":"fake","input":"a","voice":"default","top_k":"all"}""", "top_k", "invalid_type")]
    [InlineData("""{"model":"fake","input":"a","voice":"default","stream":"yes"}""", "stream", "invalid_type")]
    [InlineData("""{"model":"fake","input":"a","voice":"default","stream":false,"stream_format":"sse"}""", "stream", "invalid_value")]
    [InlineData("""{"model":"fake","input":"","voice":"default"}""", "input", null)]
    [InlineData("""{"model":"fake","input":" … [pause:1s] ","voice":"default"}""", "input", null)]
    [InlineData("""{"model":"fake","input":"a [pause:99s] b","voice":"default"}""", "input", null)]
    [InlineData("""{"model":"fake","input":"a","voice":"default","response_format":"midi"}""", "response_format", "invalid_value")]
    [InlineData("""{"model":"fake","input":"a","voice":"default","stream_format":"websocket"}""", "stream_format", "invalid_value")]
    [InlineData("""{"model":"fake","input":"a","voice":"default","speed":0.2}""", "speed", "invalid_value")]
    [InlineData("""{"model":"fake","input":"a","voice":"default","speed":4.1}""", "speed", "invalid_value")]
    [InlineData("""{"model":"fake","input":"a","voice":"default","speed":1e999}""", "speed", "invalid_value")]
    [InlineData("""{"model":"fake","input":"a","voice":"default","exaggeration":2.1}""", "exaggeration", "invalid_value")]
    [InlineData("""{"model":"fake","input":"a","voice":"default","cfg_weight":-0.1}""", "cfg_weight", "invalid_value")]
    [InlineData("""{"model":"fake","input":"a","voice":"default","temperature":5.1}""", "temperature", "invalid_value")]
    [InlineData("""{"model":"fake","input":"a","voice":"default","top_p":0}""", "top_p", "invalid_value")]
    [InlineData("""{"model":"fake","input":"a","voice":"default","min_p":1.1}""", "min_p", "invalid_value")]
    [InlineData("""{"model":"fake","input":"a","voice":"default","top_k":-1}""", "top_k", "invalid_value")]
    [InlineData("""{"model":"fake","input":"a","voice":"default","repetition_penalty":0.9}""", "repetition_penalty", "invalid_value")]
    [InlineData("""{"model":"fake","input":"a","voice":"default","block_size":0}""", "block_size", "invalid_value")]
    [InlineData("""{"model":"fake","input":"a","voice":"default","block_steps":129}""", "block_steps", "invalid_value")]
    [InlineData("""{"model":"fake","input":"a","voice":"default","time_shift":1.1}""", "time_shift", "invalid_value")]
    [InlineData("""{"model":"fake","input":"a","voice":"default","schedule_shift":-1}""", "schedule_shift", "invalid_value")]
    [InlineData("""{"model":"fake","input":"a","voice":"default","position_temperature":-1}""", "position_temperature", "invalid_value")]
    [InlineData("""{"model":"fake","input":"a","voice":"default","fixed_prior":"yes"}""", "fixed_prior", "invalid_type")]
    [InlineData("""{"model":"fake","input":"a","voice":"default","language":"de"}""", "language", "unsupported_parameter")]
    [InlineData("""{"model":"fake","input":"a","voice":"default","min_p":0.1}""", null, null)]
    [InlineData("""{"model":"fake","input":"unusable","voice":"default","response_format":"pcm"}""", "cfg_weight", null)]
    [InlineData("[1]", null, "invalid_json")]
    [InlineData("{", null, "invalid_json")]
    [InlineData("", null, null)]
    public async Task A_request_that_is_wrong_is_told_why(string body, string? param, string? code)
    {
        await using var service = await TestService.Start(describe: model => model with { Lacks = ["exaggeration"] });
        using var answer = await service.PostText(Route, body);
        if (body.Contains("min_p\":0.1", StringComparison.Ordinal))
        {
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
            return;
        }

        var error = await answer.AssertOpenAiError(HttpStatusCode.BadRequest, param, code);
        Assert.Equal("invalid_request_error", error.GetProperty("type").GetString());
    }

    [Fact]
    public async Task A_parameter_that_the_model_lacks_is_refused()
    {
        await using var service = await TestService.Start(describe: model => model with { Lacks = ["exaggeration"] });
        using var answer = await service.Post(
            Route,
            new
            {
                model = "fake",
                input = "a",
                voice = "default",
                exaggeration = 0.5,
            }
        );
        await answer.AssertOpenAiError(HttpStatusCode.BadRequest, "exaggeration", "unsupported_parameter");
    }

    [Fact]
    public async Task Characters_that_the_model_does_not_know_are_told()
    {
        await using var service = await TestService.Start();
        using var answer = await service.Post(
            Route,
            new
            {
                model = "fake",
                input = "Runes: ᚠ and ᚢ and ᚠ.",
                voice = "default",
                response_format = "pcm",
            }
        );
        Assert.Equal("U+16A0, U+16A2", Assert.Single(answer.Headers.GetValues("X-Chatterbox-Unknown-Characters")));
        using var file = await service.Post("/speak", new { text = "Runes: ᚠ." });
        Assert.Equal("U+16A0", Assert.Single(file.Headers.GetValues("X-Chatterbox-Unknown-Characters")));
        using var known = await service.Post(
            Route,
            new
            {
                model = "fake",
                input = "None.",
                voice = "default",
                response_format = "pcm",
            }
        );
        Assert.False(known.Headers.Contains("X-Chatterbox-Unknown-Characters"));
    }

    [Fact]
    public async Task Input_may_have_4096_characters()
    {
        await using var service = await TestService.Start();
        var longest = string.Concat(Enumerable.Repeat("😀 words. ", 456))[..4552]; // 9 characters, 10 UTF-16 units each
        using var fits = await service.Post(
            Route,
            new
            {
                model = "fake",
                input = longest.PadRight(4096 + 455, 'x')[..4551],
                voice = "default",
                response_format = "pcm",
            }
        );
        Assert.Equal(HttpStatusCode.OK, fits.StatusCode);
        Assert.All(service.Model.Calls, call => Assert.True(call.Text.Length <= 280));
        using var over = await service.Post(
            Route,
            new
            {
                model = "fake",
                input = new string('a', 4097),
                voice = "default",
            }
        );
        await over.AssertOpenAiError(HttpStatusCode.BadRequest, "input", "string_above_max_length");
    }

    [Fact]
    public async Task Unknown_models_and_voices_are_not_found()
    {
        await using var service = await TestService.Start();
        service.AddVoice("../secret.wav");
        using var model = await service.Post(
            Route,
            new
            {
                model = "tts-9",
                input = "a",
                voice = "default",
            }
        );
        await model.AssertOpenAiError(HttpStatusCode.NotFound, "model", "model_not_found");
        foreach (var voice in (string[])["nobody", "../secret", "../secret.wav", "/etc/passwd", "", ".", "a\0b", "x\r\nX-Evil: 1"])
        {
            using var answer = await service.Post(
                Route,
                new
                {
                    model = "fake",
                    input = "a",
                    voice,
                }
            );
            await answer.AssertOpenAiError(HttpStatusCode.NotFound, "voice", "voice_not_found");
        }

        using var one = await service.Http.GetAsync(new Uri("/v1/models/tts-9", UriKind.Relative));
        await one.AssertOpenAiError(HttpStatusCode.NotFound, "model", "model_not_found");
        using var route = await service.Http.GetAsync(new Uri("/v1/chat/completions", UriKind.Relative));
        await route.AssertOpenAiError(HttpStatusCode.NotFound, null, "not_found");
        using var method = await service.Http.GetAsync(new Uri(Route, UriKind.Relative));
        await method.AssertOpenAiError(HttpStatusCode.MethodNotAllowed, null, "method_not_allowed");
    }

    [Fact]
    public async Task OpenAIs_names_of_models_and_voices_work_without_settings()
    {
        await using var service = await TestService.Start();
        foreach (var model in (string[])["tts-1", "tts-1-hd", "gpt-4o-mini-tts", "gpt-4o-mini-tts-2025-12-15"])
        {
            using var answer = await service.Post(
                Route,
                new
                {
                    model,
                    input = "a",
                    voice = "alloy",
                    response_format = "pcm",
                }
            );
            Assert.Equal((HttpStatusCode.OK, "fake"), (answer.StatusCode, Assert.Single(answer.Headers.GetValues("X-Chatterbox-Model"))));
        }

        service.AddVoice("nova.wav", 1111);
        service.AddVoice("Zoë.wav", 1111);
        foreach (
            var voice in (string[])
                [
                    "alloy",
                    "ash",
                    "ballad",
                    "coral",
                    "echo",
                    "fable",
                    "onyx",
                    "nova",
                    "sage",
                    "shimmer",
                    "verse",
                    "marin",
                    "cedar",
                    "Zoë.wav",
                ]
        )
        {
            var speaks = voice switch
            {
                "nova" => "nova",
                "Zoë.wav" => "Zo%C3%AB",
                _ => "default",
            };
            using var answer = await service.Post(
                Route,
                new
                {
                    model = "tts-1",
                    input = "a",
                    voice,
                    response_format = "pcm",
                }
            );
            Assert.Equal((HttpStatusCode.OK, speaks), (answer.StatusCode, Assert.Single(answer.Headers.GetValues("X-Chatterbox-Voice"))));
        }

        using var named = await service.Http.GetAsync(new Uri("/v1/models/tts-1", UriKind.Relative));
        Assert.Equal("fake", (await named.Json()).GetProperty("id").GetString());
    }

    [Fact]
    public async Task OpenAIs_names_can_be_removed()
    {
        await using var service = await TestService.Start(new() { ["OpenAi:VoiceAliases:alloy"] = "", ["OpenAi:ModelAliases:tts-1"] = "" });
        using var model = await service.Post(
            Route,
            new
            {
                model = "tts-1",
                input = "a",
                voice = "default",
            }
        );
        await model.AssertOpenAiError(HttpStatusCode.NotFound, "model", "model_not_found");
        using var voice = await service.Post(
            Route,
            new
            {
                model = "fake",
                input = "a",
                voice = "alloy",
            }
        );
        await voice.AssertOpenAiError(HttpStatusCode.NotFound, "voice", "voice_not_found");
        var voices = await (await service.Http.GetAsync(new Uri("/v1/audio/voices", UriKind.Relative))).Json();
        Assert.DoesNotContain(voices.GetProperty("voices").EnumerateArray(), v => v.GetProperty("id").GetString() == "alloy");
    }

    [Fact]
    public async Task Fields_of_other_clients_are_accepted_and_unknown_ones_named_in_a_header()
    {
        const string wellKnown =
            """{"model":"tts-1","input":"a","voice":"alloy","response_format":"pcm","stream":true,"lang_code":"a","volume_multiplier":1.5,"normalize":true,"return_download_link":false,"user":"me"}""";
        const string unknown =
            """{"model":"tts-1","input":"a","voice":"alloy","response_format":"pcm","instructions":"Whisper.","loudness":{"level":1},"x\r\nX-Evil: 1":1,"":2}""";
        await using var lenient = await TestService.Start();
        using var known = await lenient.PostText(Route, wellKnown);
        Assert.Equal(HttpStatusCode.OK, known.StatusCode);
        Assert.Equal("lang_code, volume_multiplier, return_download_link", Assert.Single(known.Headers.GetValues("X-Chatterbox-Ignored")));
        using var ignored = await lenient.PostText(Route, unknown);
        Assert.Equal(HttpStatusCode.OK, ignored.StatusCode);
        Assert.Equal("loudness, instructions", Assert.Single(ignored.Headers.GetValues("X-Chatterbox-Ignored")));
        await using var strict = await TestService.Start(new() { ["Strict:UnknownFields"] = "true" });
        using var accepted = await strict.PostText(Route, wellKnown);
        Assert.Equal(HttpStatusCode.OK, accepted.StatusCode);
        using var refused = await strict.PostText(Route, unknown);
        var error = await refused.AssertOpenAiError(HttpStatusCode.BadRequest, "loudness", "unknown_parameter");
        Assert.DoesNotContain("others", error.GetProperty("message").GetString());
    }

    [Theory]
    [InlineData("""{"model":"fake","input":"INPUT","voice":"default","response_format":"wav","seed":5,"stream":false}""")]
    [InlineData("""{"model":"fake","input":"INPUT","voice":"default","response_format":"wav","seed":5,"chunk":false}""")]
    [InlineData("""{"model":"fake","input":"INPUT","voice":"default","response_format":"pcm","seed":5,"stream":false}""")]
    public async Task A_whole_file_has_its_true_length(string body)
    {
        await using var service = await TestService.Start();
        using var whole = await service.PostText(Route, body.Replace("INPUT", FakeModel.TwoPieces, StringComparison.Ordinal));
        var file = await whole.Content.ReadAsByteArrayAsync();
        Assert.Equal(file.Length, whole.Content.Headers.ContentLength);
        Assert.NotEqual(true, whole.Headers.TransferEncodingChunked);
        using var streamed = await service.Post(
            Route,
            new
            {
                model = "fake",
                input = FakeModel.TwoPieces,
                voice = "default",
                response_format = "pcm",
                seed = 5,
            }
        );
        var samples = whole.Content.Headers.ContentType?.MediaType == "audio/wav" ? Wav.Read(file) : Wav.Pcm(file);
        Assert.Equal(Wav.Pcm(await streamed.Content.ReadAsByteArrayAsync()), samples);
        using var failed = await service.PostText(
            Route,
            body.Replace("INPUT", FakeModel.TwoPieces + " This is unspeakable.", StringComparison.Ordinal)
        );
        await failed.AssertOpenAiError(HttpStatusCode.InternalServerError, null, "speech_failed");
    }

    [Fact]
    public async Task Aliases_are_settable()
    {
        await using var service = await TestService.Start(
            new()
            {
                ["OpenAi:VoiceAliases:alloy"] = "Ann",
                ["OpenAi:VoiceAliases:ghost"] = "Nobody",
                ["OpenAi:ModelAliases:loud"] = "fake",
            }
        );
        service.AddVoice("Ann.wav", 1111);
        using var answer = await service.Post(
            Route,
            new
            {
                model = "loud",
                input = "a",
                voice = "alloy",
                response_format = "pcm",
            }
        );
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        Assert.Equal("Ann", Assert.Single(answer.Headers.GetValues("X-Chatterbox-Voice")));
        Assert.Equal(111, service.Model.Calls.Single().Voice.T3.SpeakerEmbedding[0]);
        using var ghost = await service.Post(
            Route,
            new
            {
                model = "fake",
                input = "a",
                voice = "ghost",
            }
        );
        await ghost.AssertOpenAiError(HttpStatusCode.NotFound, "voice", "voice_not_found");
    }

    [Fact]
    public async Task Voices_and_models_are_listed()
    {
        await using var service = await TestService.Start();
        service.AddVoice("Ann.wav");
        service.AddVoice("Bob.ogg");
        service.AddVoice("Cy.safetensors");
        var voices = (await (await service.Http.GetAsync(new Uri("/v1/audio/voices", UriKind.Relative))).Json())
            .GetProperty("voices")
            .EnumerateArray()
            .ToList();
        Assert.Equal(["default", "Ann", "Bob", "Cy"], voices.Take(4).Select(v => v.GetProperty("id").GetString()));
        Assert.All(voices, v => Assert.Equal(["id", "name", "type"], v.Names()[..3]));
        Assert.Contains(voices, v => v.GetProperty("id").GetString() == "alloy" && v.GetProperty("alias_of").GetString() == "default");
        foreach (var voice in (string[])["Ann", "Ann.wav", "Bob.ogg"])
        {
            using var answer = await service.Post(
                Route,
                new
                {
                    model = "fake",
                    input = "a",
                    voice,
                    response_format = "pcm",
                }
            );
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        }

        var models = await (await service.Http.GetAsync(new Uri("/v1/models", UriKind.Relative))).Json();
        Assert.Equal("list", models.GetProperty("object").GetString());
        Assert.Equal(
            ["id", "object", "created", "owned_by", "state", "is_default", "languages", "unsupported_parameters"],
            models.GetProperty("data")[0].Names()
        );
        var one = await (await service.Http.GetAsync(new Uri("/v1/models/fake", UriKind.Relative))).Json();
        Assert.Equal(models.GetProperty("data")[0].GetRawText(), one.GetRawText());
    }

    [Fact]
    public async Task What_fails_before_the_first_audio_is_a_status()
    {
        await using var service = await TestService.Start();
        foreach (var stream_format in (string[])["audio", "sse"])
        {
            using var answer = await service.Post(
                Route,
                new
                {
                    model = "fake",
                    input = "This is unspeakable.",
                    voice = "default",
                    response_format = "wav",
                    stream_format,
                }
            );
            var error = await answer.AssertOpenAiError(HttpStatusCode.InternalServerError, null, "speech_failed");
            Assert.Equal("server_error", error.GetProperty("type").GetString());
        }
    }

    [Fact]
    public async Task What_fails_later_is_an_event_and_the_stream_ends()
    {
        await using var service = await TestService.Start();
        using var answer = await service.Post(
            Route,
            new
            {
                model = "fake",
                input = FakeModel.TwoPieces + " This is unspeakable.",
                voice = "default",
                response_format = "wav",
                stream_format = "sse",
            }
        );
        var events = await answer.Events();
        Assert.Equal("speech.audio.delta", events[0].GetProperty("type").GetString());
        Assert.Equal("error", events[^1].GetProperty("type").GetString());
        Assert.Equal(["message", "type", "param", "code"], events[^1].GetProperty("error").Names());
        Assert.Equal("speech_failed", events[^1].GetProperty("error").GetProperty("code").GetString());
    }

    [Fact]
    public async Task Audio_that_fails_later_breaks_off()
    {
        await using var service = await TestService.Start();
        using var answer = await service.Post(
            Route,
            new
            {
                model = "fake",
                input = FakeModel.TwoPieces + " This is unspeakable.",
                voice = "default",
                response_format = "pcm",
            },
            HttpCompletionOption.ResponseHeadersRead
        );
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        await Assert.ThrowsAnyAsync<Exception>(() => answer.Content.ReadAsByteArrayAsync());
    }

    [Theory]
    [InlineData("endless", "piece 1: more speech than the text needs; spoken again", 2)]
    [InlineData("stuck", "piece 1: the same sound over and over; spoken again", 2)]
    [InlineData("silence", "piece 1: long silence; spoken again", 2)]
    [InlineData("silent end", "piece 1: silent end trimmed", 1)]
    public async Task Speech_that_went_wrong_is_repaired(string fault, string repair, int times)
    {
        await using var service = await TestService.Start();
        service.Model.Faults.Enqueue(fault);
        using var answer = await service.Post(
            Route,
            new
            {
                model = "fake",
                input = "Hello there.",
                voice = "default",
                response_format = "pcm",
                seed = 1,
            }
        );
        Assert.Equal(repair, Assert.Single(answer.Headers.GetValues("X-Chatterbox-Repairs")));
        var samples = Wav.Pcm(await answer.Content.ReadAsByteArrayAsync());
        Assert.Equal(times, service.Model.Calls.Select(c => c.Sampling.Seed).Distinct().Count());
        var tone = FakeModel.Tone("Hello there.", service.Model.BuiltInVoice!, service.Model.Calls.Last().Sampling);
        Assert.Equal(tone[200..^200], samples[200..(tone.Length - 200)], Wav.Close);
        Assert.InRange(samples.Length, tone.Length, tone.Length + 4800);
        Assert.Contains(repair["piece 1: ".Length..], service.Log.ToString());
    }

    [Fact]
    public async Task The_guard_can_be_turned_off()
    {
        await using var service = await TestService.Start(new() { ["Engine:GuardQuality"] = "false" });
        service.Model.Faults.Enqueue("endless");
        using var answer = await service.Post(
            Route,
            new
            {
                model = "fake",
                input = "Hello there.",
                voice = "default",
                response_format = "pcm",
            }
        );
        Assert.DoesNotContain(answer.Headers, h => h.Key == "X-Chatterbox-Repairs");
        Assert.Single(service.Model.Calls);
        Assert.Null(service.Model.Calls.Single().Sampling.MaxSpeechTokens);
    }

    [Fact]
    public async Task Pauses_are_silence_of_that_length()
    {
        await using var service = await TestService.Start();
        using var answer = await service.Post(
            Route,
            new
            {
                model = "fake",
                input = "[pause:0.5s]One[pause:1.5s] [pause:0.5s] two",
                voice = "default",
                response_format = "pcm",
                seed = 1,
            }
        );
        var samples = Wav.Pcm(await answer.Content.ReadAsByteArrayAsync());
        Assert.Equal(["One", "two"], service.Model.Calls.Select(c => c.Text));
        var piece = FakeModel.Tone("One", service.Model.BuiltInVoice!, new SamplingOptions { Seed = 1 }).Length;
        Assert.Equal(12_000 + piece + 48_000 + piece, samples.Length);
        Assert.All(samples[..12_000], s => Assert.Equal(0, s));
        Assert.All(samples[(12_000 + piece)..(60_000 + piece)], s => Assert.Equal(0, s));
    }

    [Fact]
    public async Task While_the_model_loads_speech_is_unavailable()
    {
        using var loading = new ManualResetEventSlim();
        await using var service = await TestService.Start(
            describe: model =>
                model with
                {
                    Load = () =>
                    {
                        Assert.True(loading.Wait(Waits.Limit), "The test has not let the model load.");
                        return model.Load();
                    },
                },
            waitUntilReady: false
        );
        using var answer = await service.Post(
            Route,
            new
            {
                model = "fake",
                input = "a",
                voice = "default",
                response_format = "pcm",
            }
        );
        await answer.AssertOpenAiError(HttpStatusCode.ServiceUnavailable);
        Assert.NotNull(answer.Headers.RetryAfter);
        using var health = await service.Http.GetAsync(new Uri("/health", UriKind.Relative));
        Assert.Equal(
            """{"status":"degraded","model":"fake","device":"cpu","model_loaded":false,"streaming_enabled":true,"runtime":[],"self_check":[]}""",
            await health.Content.ReadAsStringAsync()
        );
        using var notReady = await service.Http.GetAsync(new Uri("/health/ready", UriKind.Relative));
        Assert.Equal(HttpStatusCode.ServiceUnavailable, notReady.StatusCode);
        var speak = service.Post("/speak", new { text = "It waits.", stream = true }); // older clients know no 503
        loading.Set();
        Assert.Equal(3, (await (await speak).Events()).Count);
        using var ready = await service.Http.GetAsync(new Uri("/health/ready", UriKind.Relative));
        Assert.Equal(HttpStatusCode.OK, ready.StatusCode);
    }

    [Fact]
    public async Task Bytes_that_are_not_UTF8_and_huge_bodies_are_refused()
    {
        await using var service = await TestService.Start();
        using var content = new ByteArrayContent([.. """{"model":"fake","voice":"default","input":"a"""u8, 0xFF, .. "\"}"u8]);
        content.Headers.ContentType = new("application/json");
        using var answer = await service.Http.PostAsync(new Uri(Route, UriKind.Relative), content);
        await answer.AssertOpenAiError(HttpStatusCode.BadRequest, "input");
        using var huge = await service.PostText(Route, new string(' ', 2 << 20));
        await huge.AssertOpenAiError(HttpStatusCode.RequestEntityTooLarge, null, "request_too_large");
    }

    [Theory]
    [InlineData("mp3", "audio/mpeg")]
    [InlineData("opus", "audio/opus")]
    [InlineData("aac", "audio/aac")]
    [InlineData("flac", "audio/flac")]
    public async Task Encoded_formats_are_the_same_speech(string format, string type)
    {
        FfmpegTool.SkipIfMissing();
        await using var service = await TestService.Start();
        var request = new
        {
            model = "fake",
            input = "Hello there, listener.",
            voice = "default",
            response_format = format,
            seed = 3,
        };
        using var answer = await service.Post(Route, request);
        Assert.Equal(type, answer.Content.Headers.ContentType?.ToString());
        var encoded = await answer.Content.ReadAsByteArrayAsync();
        using var again = await service.Post(Route, request);
        Assert.Equal(encoded, await again.Content.ReadAsByteArrayAsync());
        var decoded = await FfmpegTool.Decode(encoded);
        var tone = FakeModel.Tone("Hello there, listener.", service.Model.BuiltInVoice!, new SamplingOptions { Seed = 3 });
        Assert.InRange(decoded.Length, tone.Length - 100, tone.Length + 4000); // encoders add up to a frame or two
        Assert.Equal(Pitch(tone), Pitch(decoded), 10.0);
    }

    [Theory]
    [InlineData("pcm", 0.25)]
    [InlineData("pcm", 4)]
    [InlineData("wav", 1.5)]
    [InlineData("mp3", 0.7)]
    public async Task Speed_changes_tempo_and_not_pitch(string format, double speed)
    {
        if (format == "mp3")
        {
            FfmpegTool.SkipIfMissing();
        }

        await using var service = await TestService.Start();
        const string input = "A text that is long enough to be spoken faster and slower, and to be measured after that";
        using var answer = await service.Post(
            Route,
            new
            {
                model = "fake",
                input,
                voice = "default",
                response_format = format,
                speed,
                seed = 3,
            }
        );
        var bytes = await answer.Content.ReadAsByteArrayAsync();
        var samples = format switch
        {
            "pcm" => Wav.Pcm(bytes),
            "wav" => Wav.Pcm(bytes.AsSpan(44)),
            _ => await FfmpegTool.Decode(bytes),
        };
        var tone = FakeModel.Tone(input, service.Model.BuiltInVoice!, new SamplingOptions { Seed = 3 });
        Assert.Equal(1 / speed, samples.Length / (double)tone.Length, 0.1 / speed);
        Assert.Equal(Pitch(tone), Pitch(samples), 20.0);
    }

    [Fact]
    public async Task Without_ffmpeg_every_format_but_aac_answers_at_any_speed()
    {
        await using var service = await TestService.Start(new() { ["Service:Ffmpeg"] = "/nowhere/ffmpeg" });
        foreach (var format in new[] { "mp3", "opus", "flac", "wav", "pcm", "ulaw", "alaw" })
        {
            using var answer = await service.Post(
                Route,
                new
                {
                    model = "fake",
                    input = "Hello.",
                    voice = "default",
                    response_format = format,
                    speed = 1.5,
                }
            );
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
            Assert.NotEmpty(await answer.Content.ReadAsByteArrayAsync());
        }

        using var standard = await service.Post(
            Route,
            new
            {
                model = "fake",
                input = "Hello.",
                voice = "default",
            }
        );
        Assert.Equal("audio/mpeg", standard.Content.Headers.ContentType?.ToString());
        using var aac = await service.Post(
            Route,
            new
            {
                model = "fake",
                input = "a",
                voice = "default",
                response_format = "aac",
            }
        );
        await aac.AssertOpenAiError(HttpStatusCode.BadRequest, "response_format", "ffmpeg_missing");
    }

    [Theory]
    [InlineData("pcm", 8_000)]
    [InlineData("wav", 16_000)]
    [InlineData("pcm", 44_100)]
    [InlineData("flac", 48_000)]
    [InlineData("mp3", 22_050)]
    public async Task Sample_rate_is_settable_and_leaves_the_pitch(string format, int rate)
    {
        if (format is "flac" or "mp3")
        {
            FfmpegTool.SkipIfMissing();
        }

        await using var service = await TestService.Start();
        const string input = "A text that is long enough to be measured";
        using var answer = await service.Post(
            Route,
            new
            {
                model = "fake",
                input,
                voice = "default",
                response_format = format,
                sample_rate = rate,
                seed = 3,
            }
        );
        var bytes = await answer.Content.ReadAsByteArrayAsync();
        var tone = FakeModel.Tone(input, service.Model.BuiltInVoice!, new SamplingOptions { Seed = 3 });
        if (format is "pcm" or "wav")
        {
            var samples = Wav.Pcm(format == "wav" ? bytes.AsSpan(44) : bytes);
            Assert.Equal((int)Math.Ceiling(tone.Length * (rate / 24_000.0)), samples.Length);
            Assert.Equal(Pitch(tone), Pitch(samples) * rate / 24_000, 10.0);
        }
        else
        {
            var decoded = await FfmpegTool.Decode(bytes);
            Assert.InRange(decoded.Length, tone.Length - 100, tone.Length + 4000);
            Assert.Equal(Pitch(tone), Pitch(decoded), 10.0);
        }
    }

    [Fact]
    public async Task A_sample_rate_that_does_not_exist_is_refused()
    {
        await using var service = await TestService.Start();
        foreach (var (format, rate) in new[] { ("pcm", 7_999), ("pcm", 96_000), ("mp3", 23_000) })
        {
            using var answer = await service.Post(
                Route,
                new
                {
                    model = "fake",
                    input = "a",
                    voice = "default",
                    response_format = format,
                    sample_rate = rate,
                }
            );
            await answer.AssertOpenAiError(HttpStatusCode.BadRequest, "sample_rate");
        }
    }

    /// <summary>Zero crossings a second, which for a tone is twice its pitch.</summary>
    private static double Pitch(float[] samples)
    {
        var middle = samples[(samples.Length / 4)..(samples.Length * 3 / 4)];
        return middle.Zip(middle.Skip(1)).Count(p => p.First < 0 && p.Second >= 0) * 24_000.0 / middle.Length;
    }
}
