using System.Net;
using System.Net.Http.Headers;
using System.Text;

namespace Chatterbox.Service.Tests;

/// <summary>Section 1 of the contract, to the letter.</summary>
public sealed class SpeakTests
{
    [Fact]
    public async Task A_stream_has_two_events_for_each_sentence_and_one_at_the_end()
    {
        await using var service = await TestService.Start();
        using var answer = await service.Post("/speak", new { text = "Hello <b>there</b>! *How* are you?", stream = true });
        Assert.Equal("no-cache", answer.Headers.CacheControl?.ToString());
        Assert.Equal("no", Assert.Single(answer.Headers.GetValues("X-Accel-Buffering")));
        var events = await answer.Events();
        Assert.Equal(5, events.Count);
        string[] sentences = ["Hello there!", "How are you?"];
        for (var i = 0; i < 2; i++)
        {
            var (chunk, audio) = (events[2 * i], events[(2 * i) + 1]);
            Assert.Equal(["chunk_index", "total_chunks", "text", "audio_size", "status"], chunk.Names());
            Assert.Equal(i, chunk.GetProperty("chunk_index").GetInt32());
            Assert.Equal(2, chunk.GetProperty("total_chunks").GetInt32());
            Assert.Equal(sentences[i], chunk.GetProperty("text").GetString());
            Assert.Equal("success", chunk.GetProperty("status").GetString());
            Assert.Equal(["audio_data", "chunk_index"], audio.Names());
            Assert.Equal(i, audio.GetProperty("chunk_index").GetInt32());
            var wav = audio.GetProperty("audio_data").GetBytesFromBase64();
            Assert.Equal(chunk.GetProperty("audio_size").GetInt32(), wav.Length);
            var call = service.Model.Calls.ElementAt(i);
            var tone = FakeModel.Tone(sentences[i], service.Model.BuiltInVoice!, call.Sampling);
            Assert.Equal(tone[200..^200], Wav.Read(wav)[200..^200], Wav.Close);
            Assert.Equal(tone.Length, Wav.Read(wav).Length);
            Assert.Equal(0.5, call.Sampling.CfgWeight);
        }

        Assert.Equal(["status", "total_chunks"], events[4].Names());
        Assert.Equal("complete", events[4].GetProperty("status").GetString());
        Assert.Equal(2, events[4].GetProperty("total_chunks").GetInt32());
    }

    [Fact]
    public async Task An_EventSource_gets_the_same_stream()
    {
        await using var service = await TestService.Start();
        service.AddVoice("Ann.wav");
        using var answer = await service.Http.GetAsync(
            new Uri("/speak?text=One.%20Two.&voice=Ann&exaggeration=0.7&cfg_weight=0.3", UriKind.Relative)
        );
        var events = await answer.Events();
        Assert.Equal(5, events.Count);
        var (_, sampling, voice, _) = service.Model.Calls.First();
        Assert.Equal((0.7, 0.3), (sampling.Exaggeration, sampling.CfgWeight));
        Assert.NotEqual(service.Model.BuiltInVoice, voice);
    }

    [Fact]
    public async Task A_sentence_that_failed_is_told_and_the_stream_goes_on()
    {
        await using var service = await TestService.Start();
        using var answer = await service.Post("/speak", new { text = "One. This is unspeakable. Three.", stream = true });
        var events = await answer.Events();
        Assert.Equal(6, events.Count);
        Assert.Equal("""{"chunk_index":1,"status":"error","message":"Failed to generate audio"}""", events[2].GetRawText());
        Assert.Equal(2, events[4].GetProperty("chunk_index").GetInt32());
        Assert.Equal("""{"status":"complete","total_chunks":3}""", events[5].GetRawText());
    }

    [Fact]
    public async Task A_sentence_too_long_for_the_model_is_spoken_in_pieces_and_heard_as_one()
    {
        await using var service = await TestService.Start();
        var sentence = string.Join(", ", Enumerable.Repeat("and so on", 60)) + ".";
        using var answer = await service.Post("/speak", new { text = $"{sentence} Here it ends.", stream = true });
        var events = await answer.Events();
        Assert.Equal(5, events.Count);
        Assert.Equal(sentence, events[0].GetProperty("text").GetString());
        var calls = service.Model.Calls.SkipLast(1).ToList();
        Assert.True(calls.Count > 1);
        Assert.All(calls, call => Assert.True(call.Text.Length <= 280));
        Assert.Equal(sentence, string.Join(' ', calls.Select(call => call.Text)));
        var spoken = calls.Sum(call => FakeModel.Tone(call.Text, call.Voice, call.Sampling).Length);
        Assert.InRange(Wav.Read(events[1].GetProperty("audio_data").GetBytesFromBase64()).Length, spoken, spoken + (calls.Count * 2400));
    }

    [Fact]
    public async Task A_pause_mark_is_silence_in_a_stream_too()
    {
        await using var service = await TestService.Start();
        using var answer = await service.Post("/speak", new { text = "One. [pause:1.5s] … Two.", stream = true });
        var events = await answer.Events();
        Assert.Equal(["One.", "Two."], service.Model.Calls.Select(call => call.Text.TrimStart('…', ' ')));
        var tone = FakeModel.Tone(service.Model.Calls.Last().Text, service.Model.BuiltInVoice!, new SamplingOptions());
        Assert.Equal(36_000 + tone.Length, Wav.Read(events[3].GetProperty("audio_data").GetBytesFromBase64()).Length);
    }

    [Fact]
    public async Task Speech_that_went_wrong_is_told_in_a_header_and_in_the_log()
    {
        await using var service = await TestService.Start();
        service.Model.Faults.Enqueue("stuck");
        using var file = await service.Post("/speak", new { text = "This text is long enough to be stuck in." });
        Assert.Equal("piece 1: the same sound over and over; spoken again", Assert.Single(file.Headers.GetValues("X-Chatterbox-Repairs")));

        // The headers of a stream leave before the first sentence is made.
        service.Model.Faults.Enqueue("stuck");
        using var stream = await service.Post("/speak", new { text = "This text is long enough to be stuck in.", stream = true });
        Assert.Equal(3, (await stream.Events()).Count);
        var request = Assert.Single(stream.Headers.GetValues("X-Request-Id"));
        lock (service.Log)
        {
            Assert.Contains($"Piece 1 of request {request}: the same sound over and over; spoken again", service.Log.ToString());
        }
    }

    [Fact]
    public async Task A_file_that_cannot_be_made_is_an_error()
    {
        await using var service = await TestService.Start();
        using var answer = await service.Post("/speak", new { text = "Fine. This is unspeakable." });
        Assert.Equal("Failed to generate audio", await answer.AssertSpeakError(HttpStatusCode.InternalServerError));
        Assert.Empty(Directory.EnumerateFiles(service.AudioFolder));
    }

    [Fact]
    public async Task Without_a_stream_a_file_is_written()
    {
        await using var service = await TestService.Start();
        service.AddVoice("Ann.mp3");
        using var answer = await service.Post(
            "/speak",
            new
            {
                text = "Hello there.",
                voice = "Ann",
                exaggeration = 0.25,
            }
        );
        var saved = await answer.Json();
        Assert.Equal(["status", "audio_url", "cloned", "voice_used", "emotion", "text_length", "truncated"], saved.Names());
        Assert.Equal("success", saved.GetProperty("status").GetString());
        Assert.True(saved.GetProperty("cloned").GetBoolean());
        Assert.Equal("Ann", saved.GetProperty("voice_used").GetString());
        Assert.Equal(0.25, saved.GetProperty("emotion").GetDouble());
        Assert.Equal(12, saved.GetProperty("text_length").GetInt32());
        Assert.False(saved.GetProperty("truncated").GetBoolean());

        var url = saved.GetProperty("audio_url").GetString()!;
        Assert.StartsWith("/audio/", url);
        using var audio = await service.Http.GetAsync(new Uri(url, UriKind.Relative));
        Assert.Equal("audio/wav", audio.Content.Headers.ContentType?.ToString());
        var wav = await audio.Content.ReadAsByteArrayAsync();
        Assert.Equal(wav, await File.ReadAllBytesAsync(Path.Combine(service.AudioFolder, url["/audio/".Length..] + ".wav")));
        Assert.NotEmpty(Wav.Read(wav));
    }

    [Theory]
    [InlineData("")]
    [InlineData("  \n ")]
    [InlineData("<b></b>|x|")]
    public async Task Nothing_left_to_say_is_refused(string text)
    {
        await using var service = await TestService.Start();
        foreach (var stream in (bool[])[false, true])
        {
            using var answer = await service.Post("/speak", new { text, stream });
            Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
            Assert.Equal("""{"status":"error","detail":"Empty text after cleaning"}""", await answer.Content.ReadAsStringAsync());
        }
    }

    [Theory]
    [InlineData("nobody")]
    [InlineData("../secret")]
    [InlineData("..\\secret")]
    [InlineData("/etc/passwd")]
    [InlineData("Ann\0")]
    [InlineData("Ann\r\nX-Evil: 1")]
    [InlineData(".")]
    [InlineData("..")]
    [InlineData("")]
    public async Task A_name_that_is_not_there_speaks_with_the_default_voice(string voice)
    {
        await using var service = await TestService.Start();
        service.AddVoice("Ann.wav");
        service.AddVoice("../secret.wav");
        using var answer = await service.Post("/speak", new { text = "Hello.", voice });
        var saved = await answer.Json();
        Assert.False(saved.GetProperty("cloned").GetBoolean());
        Assert.Equal("default", saved.GetProperty("voice_used").GetString());
        Assert.Equal("default", Assert.Single(answer.Headers.GetValues("X-Chatterbox-Voice")));
        Assert.Equal(0, service.Model.VoicesMade);
    }

    [Fact]
    public async Task A_link_out_of_the_folder_is_no_voice()
    {
        await using var service = await TestService.Start();
        service.AddVoice("../secret.wav");
        File.CreateSymbolicLink(Path.Combine(service.VoicesFolder, "Eve.wav"), Path.Combine(service.VoicesFolder, "../secret.wav"));
        using var answer = await service.Post("/speak", new { text = "Hello.", voice = "Eve" });
        Assert.False((await answer.Json()).GetProperty("cloned").GetBoolean());
    }

    [Fact]
    public async Task Wav_goes_before_mp3()
    {
        await using var service = await TestService.Start();
        service.AddVoice("Ann.mp3", 600);
        service.AddVoice("Ann.wav", 700);
        service.AddVoice("Bob.mp3", 800);
        service.AddVoice("notes.txt");
        using var answer = await service.Post("/speak", new { text = "Hello.", voice = "Ann" });
        Assert.Equal(700, service.Model.Calls.Single().Voice.T3.SpeakerEmbedding[0]);
        using var voices = await service.Http.GetAsync(new Uri("/voices", UriKind.Relative));
        Assert.Equal("""{"voices":["Ann","Bob"],"default":"Built-in default voice"}""", await voices.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task A_voice_is_computed_once_for_all_who_ask()
    {
        await using var service = await TestService.Start();
        service.AddVoice("Ann.wav");
        service.AddVoice("Same.wav");
        await Task.WhenAll(
            Enumerable.Range(0, 8).Select(i => service.Post("/speak", new { text = "Hello.", voice = i % 2 == 0 ? "Ann" : "Same" }))
        );
        Assert.Equal(1, service.Model.VoicesMade);
    }

    [Fact]
    public async Task A_recording_that_cannot_be_a_voice_is_an_error()
    {
        await using var service = await TestService.Start();
        service.AddVoice("Short.wav", 100);
        using var answer = await service.Post(
            "/speak",
            new
            {
                text = "Hello.",
                voice = "Short",
                stream = true,
            }
        );
        Assert.Contains("0.5 s", await answer.AssertSpeakError(HttpStatusCode.BadRequest));
    }

    [Theory]
    [InlineData("{", "line 1")]
    [InlineData("[]", "JSON object")]
    [InlineData("null", "")]
    [InlineData("", "")]
    [InlineData("{}", "'text' is missing")]
    [InlineData("""{"text":5}""", "'text' must be a string")]
    [InlineData("""{"text":null}""", "'text' must be a string")]
    [InlineData("""{"text":"a","exaggeration":"loud"}""", "'exaggeration' must be a number")]
    [InlineData("""{"text":"a","exaggeration":-1}""", "0 to 2")]
    [InlineData("""{"text":"a","cfg_weight":1e999}""", "0 to 2")]
    [InlineData("""{"text":"a","stream":"yes"}""", "'stream' must be true or false")]
    [InlineData("""{"text":"\ud800 lone"}""", "")]
    public async Task A_body_that_is_wrong_is_told_why(string body, string expected)
    {
        await using var service = await TestService.Start();
        using var answer = await service.PostText("/speak", body);
        Assert.Contains(expected, await answer.AssertSpeakError(HttpStatusCode.BadRequest));
    }

    [Fact]
    public async Task Bytes_that_are_not_UTF8_are_refused()
    {
        await using var service = await TestService.Start();
        using var content = new ByteArrayContent([.. """{"text":"a"""u8, 0xFF, 0xFE, .. "\"}"u8]);
        content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        using var answer = await service.Http.PostAsync(new Uri("/speak", UriKind.Relative), content);
        await answer.AssertSpeakError(HttpStatusCode.BadRequest);
    }

    [Fact]
    public async Task A_body_that_is_not_JSON_is_refused()
    {
        await using var service = await TestService.Start();
        using var answer = await service.PostText("/speak", """{"text":"a"}""", "text/plain");
        Assert.Contains("Content-Type", await answer.AssertSpeakError(HttpStatusCode.BadRequest));
    }

    [Fact]
    public async Task A_huge_body_is_refused()
    {
        await using var service = await TestService.Start(new() { ["Service:MaxRequestBytes"] = "4096" });
        using var answer = await service.PostText("/speak", $$"""{"text":"{{new string('a', 100_000)}}"}""");
        await answer.AssertSpeakError(HttpStatusCode.RequestEntityTooLarge);
        using var chunked = new HttpRequestMessage(HttpMethod.Post, "/speak")
        {
            Content = new StreamContent(new MemoryStream(Encoding.UTF8.GetBytes($$"""{"text":"{{new string('a', 100_000)}}"}"""))),
        };
        chunked.Content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        (chunked.Headers.TransferEncodingChunked, chunked.Headers.ExpectContinue) = (true, true);
        using var second = await service.Http.SendAsync(chunked);
        await second.AssertSpeakError(HttpStatusCode.RequestEntityTooLarge);
    }

    [Theory]
    [InlineData("nothing")]
    [InlineData("0123456789abcdef0123456789abcdef")]
    [InlineData("..%2F..%2Fetc%2Fpasswd")]
    public async Task Audio_that_is_not_there_is_not_found(string id)
    {
        await using var service = await TestService.Start();
        using var answer = await service.Http.GetAsync(new Uri($"/audio/{id}", UriKind.Relative));
        await answer.AssertSpeakError(HttpStatusCode.NotFound);
    }

    [Fact]
    public async Task A_query_that_is_wrong_is_told_why()
    {
        await using var service = await TestService.Start();
        using var missing = await service.Http.GetAsync(new Uri("/speak", UriKind.Relative));
        Assert.Contains("text", await missing.AssertSpeakError(HttpStatusCode.BadRequest));
        using var wrong = await service.Http.GetAsync(new Uri("/speak?text=a&exaggeration=loud", UriKind.Relative));
        Assert.Contains("exaggeration", await wrong.AssertSpeakError(HttpStatusCode.BadRequest));
    }

    [Theory]
    [InlineData(1000, false)]
    [InlineData(1200, true)]
    public async Task A_stream_whose_text_was_cut_says_so(int length, bool isCut)
    {
        await using var service = await TestService.Start();
        using var answer = await service.Post("/speak", new { text = new string('a', length), stream = true });
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        Assert.Equal(isCut, answer.Headers.Contains("X-Chatterbox-Truncated"));
        var events = await answer.Events();
        Assert.Equal(isCut, events[0].TryGetProperty("truncated", out var truncated) && truncated.GetBoolean());
        Assert.All(events.Skip(1), e => Assert.False(e.TryGetProperty("truncated", out _)));
    }
}
