using System.Net;
using System.Text;
using Chatterbox.Service.Models;

namespace Chatterbox.Service.Tests;

/// <summary>What is done to recordings: conversion into another voice, and the watermark.</summary>
public sealed class RecordingTests
{
    private const string Convert = "/v1/audio/conversions";
    private const string Watermark = "/v1/audio/watermark";

    [Fact]
    public async Task A_recording_is_said_again_in_a_voice_that_has_a_name()
    {
        await using var service = await TestService.Start();
        service.AddVoice("Ann.wav", 1234);
        using var answer = await service.Http.PostAsync(
            new Uri(Convert, UriKind.Relative),
            Form(Wav.Recording(2.5), ("voice", "Ann"), ("response_format", "pcm"), ("seed", "7"))
        );
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        Assert.Equal("audio/pcm", answer.Content.Headers.ContentType?.ToString());
        Assert.Equal("7", Assert.Single(answer.Headers.GetValues("X-Chatterbox-Seed")));
        Assert.Equal("fake", Assert.Single(answer.Headers.GetValues("X-Chatterbox-Model")));
        Assert.Equal(["second 0", "second 1", "second 2"], service.Model.Calls.Select(call => call.Text));
        Assert.All(service.Model.Calls, call => Assert.Equal((234f, 7L), (call.Voice.T3.SpeakerEmbedding[0], call.Sampling.Seed)));
        var samples = Wav.Pcm(await answer.Content.ReadAsByteArrayAsync());
        var tones = service.Model.Calls.SelectMany(call => FakeModel.Tone(call.Text, call.Voice, call.Sampling)).ToArray();
        Assert.Equal(tones.Length, samples.Length);
        Assert.Equal(tones[200..^200], samples[200..^200], Wav.Close);
    }

    [Fact]
    public async Task The_voice_may_be_that_of_a_second_recording()
    {
        await using var service = await TestService.Start();
        var form = Form(Wav.Recording(1), ("response_format", "pcm"));
        form.Add(new ByteArrayContent(Wav.Recording(0.777)), "voice_file", "someone.wav");
        using var answer = await service.Http.PostAsync(new Uri(Convert, UriKind.Relative), form);
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        Assert.Equal(Math.Round(0.777 * 16_000) % 1000, service.Model.Calls.Single().Voice.T3.SpeakerEmbedding[0]);
        Assert.Empty(Directory.EnumerateFiles(service.VoicesFolder));
    }

    [Fact]
    public async Task Audio_comes_before_the_rest_is_converted_and_others_are_served_between()
    {
        await using var service = await TestService.Start();
        service.Model.Holds = true;
        service.Model.LetGo();
        using var request = new HttpRequestMessage(HttpMethod.Post, Convert)
        {
            Content = Form(Wav.Recording(3), ("voice", "default"), ("response_format", "wav")),
        };
        using var answer = await service.Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        await using var body = await answer.Content.ReadAsStreamAsync();
        var beginning = new byte[2000];
        await body.ReadExactlyAsync(beginning);
        Assert.Equal("RIFF"u8, beginning.AsSpan(0, 4));
        using var elsewhere = TestClients.From("127.0.0.2", service.Address);
        var speech = elsewhere.PostAsync(
            new Uri("/speak", UriKind.Relative),
            new StringContent("""{"text":"In between.","stream":true}""", Encoding.UTF8, "application/json")
        );
        await Waits.Until(() => service.Fleet.Default.Status is { Waiting: 1, Active: 1 });
        service.Model.LetGo(3);
        Assert.Equal(3, (await (await speech).Events()).Count);
        await body.CopyToAsync(Stream.Null);
        Assert.InRange(service.Model.Calls.Select(call => call.Text).ToList().IndexOf("In between."), 1, 2);
    }

    [Fact]
    public async Task Events_carry_the_audio_and_its_tokens()
    {
        await using var service = await TestService.Start();
        using var answer = await service.Http.PostAsync(
            new Uri(Convert, UriKind.Relative),
            Form(Wav.Recording(2), ("voice", "default"), ("response_format", "pcm"), ("stream_format", "sse"))
        );
        var events = await answer.Events();
        Assert.All(events.SkipLast(1), e => Assert.Equal("speech.audio.delta", e.GetProperty("type").GetString()));
        Assert.Equal(
            """{"type":"speech.audio.done","usage":{"input_tokens":0,"output_tokens":50,"total_tokens":50}}""",
            events[^1].GetRawText()
        );
    }

    [Fact]
    public async Task A_client_that_leaves_ends_the_conversion()
    {
        await using var service = await TestService.Start();
        service.Model.Holds = true;
        using var leaves = new CancellationTokenSource();
        var answer = service.Http.PostAsync(
            new Uri(Convert, UriKind.Relative),
            Form(Wav.Recording(3), ("voice", "default"), ("response_format", "pcm")),
            leaves.Token
        );
        await Waits.Until(() => service.Model.Calls.Count == 1);
        await leaves.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => answer);
        await Waits.Until(() => service.Fleet.Default.Status is { Waiting: 0, Active: 0 });
        Assert.Equal("second 0", Assert.Single(service.Model.Cancelled));
    }

    [Fact]
    public async Task The_model_is_chosen_by_name_and_recordings_in_hand_are_bounded()
    {
        var other = new FakeModel();
        var served = new ServedModel("fake", "cpu", StandIn: false, () => new FakeModel());
        await using var service = await TestService.Start(
            new() { ["Engine:MaxQueuedRequests"] = "8" },
            models: [served, served with { Name = "other", Load = () => other }]
        );
        Task<HttpResponseMessage> Ask(string model) =>
            service.Http.PostAsync(
                new Uri(Convert, UriKind.Relative),
                Form(Wav.Recording(1), ("voice", "default"), ("model", model), ("response_format", "pcm"))
            );
        using var unknown = await Ask("nobody");
        await unknown.AssertOpenAiError(HttpStatusCode.NotFound, "model", "model_not_found");
        other.Holds = true; // a quarter of the queue may be recordings: two
        var begun = Ask("other");
        await Waits.Until(() => service.Fleet.Find("other")!.Status.Active == 1);
        var waits = Ask("other");
        await Waits.Until(() => service.Fleet.Find("other")!.Status.Waiting == 1);
        using var refused = await Ask("other");
        await refused.AssertOpenAiError(HttpStatusCode.TooManyRequests, null, "too_many_recordings");
        using var detect = await service.Http.PostAsync(new Uri(Watermark, UriKind.Relative), Form(Wav.Recording(1)));
        await detect.AssertOpenAiError(HttpStatusCode.TooManyRequests, null, "too_many_recordings");
        other.LetGo(2);
        Assert.All(
            await Task.WhenAll(begun, waits),
            answer => Assert.Equal("other", Assert.Single(answer.Headers.GetValues("X-Chatterbox-Model")))
        );
    }

    [Theory]
    [InlineData("", "file", "missing_required_parameter")]
    [InlineData("file", "voice", "missing_required_parameter")]
    [InlineData("file voice=default voice_file", "voice", "missing_required_parameter")]
    [InlineData("file voice=nobody", "voice", "voice_not_found")]
    [InlineData("file voice=default response_format=midi", "response_format", "invalid_value")]
    [InlineData("file voice=default stream_format=both", "stream_format", "invalid_value")]
    [InlineData("file voice=default seed=many", "seed", "invalid_type")]
    [InlineData("file voice=default exaggeration=1", "exaggeration", "unknown_parameter")]
    [InlineData("noise voice=default", "file", "unusable_recording")]
    [InlineData("click voice=default", "file", "unusable_recording")]
    [InlineData("long voice=default", "file", "unusable_recording")]
    [InlineData("large voice=default", "file", "request_too_large")]
    [InlineData("file voice_file=short", "voice_file", "unusable_voice")]
    public async Task A_form_that_is_wrong_is_told_why(string fields, string param, string code)
    {
        await using var service = await TestService.Start(
            new() { ["Voices:MaxUploadBytes"] = "150000", ["Voices:MaxUploadSeconds"] = "4" }
        );
        var form = new MultipartFormDataContent { { new StringContent("wav"), "response_format" } };
        foreach (var field in fields.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(field => field.Split('=')))
        {
            byte[]? bytes = field[0] switch
            {
                "file" => Wav.Recording(1),
                "voice_file" => field.Length > 1 ? Wav.Recording(0.2) : Wav.Recording(1),
                "noise" => "This is no recording."u8.ToArray(),
                "click" => Wav.Recording(0.05),
                "long" => Wav.Recording(4.5),
                "large" => new byte[150_001],
                _ => null,
            };
            if (bytes is null)
            {
                form = field[0] == "response_format" ? [] : form;
                form.Add(new StringContent(field[1]), field[0]);
                if (field[0] == "response_format")
                {
                    form.Add(new ByteArrayContent(Wav.Recording(1)), "file", "a.wav");
                    form.Add(new StringContent("default"), "voice");
                }
            }
            else
            {
                form.Add(new ByteArrayContent(bytes), field[0] == "voice_file" ? "voice_file" : "file", "a.wav");
            }
        }

        using var answer = await service.Http.PostAsync(new Uri(Convert, UriKind.Relative), form);
        var status = code switch
        {
            "voice_not_found" => HttpStatusCode.NotFound,
            "request_too_large" => HttpStatusCode.RequestEntityTooLarge,
            _ => HttpStatusCode.BadRequest,
        };
        await answer.AssertOpenAiError(status, param, code);
        Assert.Empty(service.Model.Calls);
    }

    [Fact]
    public async Task What_is_no_form_is_told_which_one_is_expected()
    {
        await using var service = await TestService.Start();
        foreach (var route in (string[])[Convert, Watermark])
        {
            using var answer = await service.PostText(route, "{}");
            var error = await answer.AssertOpenAiError(HttpStatusCode.BadRequest, null, "invalid_form");
            Assert.Contains("file", error.GetProperty("message").GetString());
        }
    }

    [Fact]
    public async Task The_watermark_is_looked_for()
    {
        await using var service = await TestService.Start();
        async Task<string> Look(byte[] recording)
        {
            using var answer = await service.Http.PostAsync(new Uri(Watermark, UriKind.Relative), Form(recording));
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
            return await answer.Content.ReadAsStringAsync();
        }

        Assert.Equal("""{"marked":true,"confidence":0.75,"seconds":1}""", await Look(Wav.Recording(1, level: 0.75f)));
        Assert.Equal("""{"marked":false,"confidence":0.25,"seconds":2}""", await Look(Wav.Recording(2, level: 0.25f)));
        Assert.Equal("""{"marked":false,"confidence":null,"seconds":1}""", await Look(Wav.Recording(1, level: 0)));
        using var wrong = await service.Http.PostAsync(new Uri(Watermark, UriKind.Relative), Form(Wav.Recording(1), ("voice", "default")));
        await wrong.AssertOpenAiError(HttpStatusCode.BadRequest, "voice", "unknown_parameter");
    }

    [Fact]
    public async Task Both_are_behind_the_keys_and_in_the_document()
    {
        await using var service = await TestService.Start(new() { ["Security:ApiKeys:0"] = "a-key-of-some-length" });
        foreach (var route in (string[])[Convert, Watermark])
        {
            using var answer = await service.Http.PostAsync(new Uri(route, UriKind.Relative), Form(Wav.Recording(1)));
            await answer.AssertOpenAiError(HttpStatusCode.Unauthorized, null, "invalid_api_key");
        }

        await using var open = await TestService.Start();
        var paths = (await (await open.Http.GetAsync(new Uri("/openapi/v1.json", UriKind.Relative))).Json()).GetProperty("paths");
        var form = paths
            .GetProperty(Convert)
            .GetProperty("post")
            .GetProperty("requestBody")
            .GetProperty("content")
            .GetProperty("multipart/form-data")
            .GetProperty("schema");
        Assert.Equal(
            ["file", "voice", "voice_file", "model", "response_format", "sample_rate", "stream_format", "stream", "seed"],
            form.GetProperty("properties").Names()
        );
        Assert.Equal("file", Assert.Single(form.GetProperty("required").EnumerateArray()).GetString());
        Assert.Equal("binary", form.GetProperty("properties").GetProperty("file").GetProperty("format").GetString());
        Assert.Equal(
            9,
            paths.GetProperty(Convert).GetProperty("post").GetProperty("responses").GetProperty("200").GetProperty("content").Names().Length
        );
        var report = paths
            .GetProperty(Watermark)
            .GetProperty("post")
            .GetProperty("responses")
            .GetProperty("200")
            .GetProperty("content")
            .Names();
        Assert.Equal("application/json", Assert.Single(report));
        Assert.True(paths.GetProperty("/v1/audio/voices").GetProperty("post").TryGetProperty("requestBody", out _));
    }

    [Fact]
    public async Task What_a_real_model_converts_carries_the_mark_of_its_kind()
    {
        await using var service = await TestService.Start(new() { ["Model"] = "tiny", ["Device"] = "cpu" }, models: []);
        using var answer = await service.Http.PostAsync(
            new Uri(Convert, UriKind.Relative),
            Form(Wav.Recording(2), ("voice", "default"), ("response_format", "wav"), ("seed", "1"))
        );
        var wav = await answer.Content.ReadAsByteArrayAsync();
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        Assert.Equal(44 + (2 * 2 * 24_000), wav.Length);
        using var again = await service.Http.PostAsync(
            new Uri(Convert, UriKind.Relative),
            Form(Wav.Recording(2), ("voice", "default"), ("response_format", "wav"), ("seed", "1"))
        );
        Assert.Equal(wav, await again.Content.ReadAsByteArrayAsync());
        using var report = await service.Http.PostAsync(new Uri(Watermark, UriKind.Relative), Form(wav));
        var found = await report.Json();
        Assert.InRange(found.GetProperty("confidence").GetDouble(), 0, 1); // an untrained detector's, but a detector's
        Assert.Equal(2, found.GetProperty("seconds").GetDouble(), 3);
    }

    private static MultipartFormDataContent Form(byte[] recording, params (string Name, string Value)[] fields)
    {
        var form = new MultipartFormDataContent { { new ByteArrayContent(recording), "file", "recording.wav" } };
        foreach (var (name, value) in fields)
        {
            form.Add(new StringContent(value), name);
        }

        return form;
    }
}
