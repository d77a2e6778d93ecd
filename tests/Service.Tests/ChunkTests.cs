using System.Net;
using System.Text.Json;

namespace Chatterbox.Service.Tests;

/// <summary>Speech that is sent while its sentence is still being made.</summary>
public sealed class ChunkTests
{
    private const string Route = "/v1/audio/speech";
    private const int ChunkSamples = 1000;

    [Fact]
    public async Task Speak_tells_each_chunk_in_two_events_and_the_chunks_joined_are_the_sentence()
    {
        await using var service = await TestService.Start();
        service.Model.ChunkSamples = ChunkSamples;
        using var answer = await service.Post(
            "/speak",
            new
            {
                text = "Hello there! How are you?",
                stream = true,
                chunk = true,
            }
        );
        var events = await answer.Events();
        var pairs = events.SkipLast(1).Chunk(2).ToList();
        string[] sentences = ["Hello there!", "How are you?"];
        foreach (var (i, pair) in pairs.Index())
        {
            var (told, audio) = (pair[0], pair[1]);
            Assert.Equal(
                ["chunk_index", "total_chunks", "text", "audio_size", "status", "sentence_index", "total_sentences"],
                told.Names()
            );
            Assert.Equal(["audio_data", "chunk_index", "sentence_index"], audio.Names());
            Assert.Equal((i, i), (Number(told, "chunk_index"), Number(audio, "chunk_index")));
            Assert.Equal(Number(told, "sentence_index"), Number(audio, "sentence_index"));
            Assert.Equal(sentences[Number(told, "sentence_index")], told.GetProperty("text").GetString());
            Assert.Equal("success", told.GetProperty("status").GetString());
            Assert.Equal(2, Number(told, "total_sentences"));
            // so far, and one for each sentence that follows
            Assert.Equal(i + 2 - Number(told, "sentence_index"), Number(told, "total_chunks"));
            Assert.Equal(Number(told, "audio_size"), audio.GetProperty("audio_data").GetBytesFromBase64().Length);
        }

        Assert.Equal($$"""{"status":"complete","total_chunks":{{pairs.Count}}}""", events[^1].GetRawText());
        foreach (var (i, sentence) in sentences.Index())
        {
            var chunks = pairs
                .Where(pair => Number(pair[0], "sentence_index") == i)
                .Select(pair => Wav.Read(pair[1].GetProperty("audio_data").GetBytesFromBase64()))
                .ToList();
            var tone = FakeModel.Tone(sentence, service.Model.BuiltInVoice!, service.Model.Calls.ElementAt(i).Sampling);
            Assert.Equal((tone.Length + ChunkSamples - 1) / ChunkSamples, chunks.Count);
            Assert.Equal(Faded(tone), chunks.SelectMany(chunk => chunk), Wav.Close);
        }
    }

    [Fact]
    public async Task An_EventSource_can_ask_for_chunks()
    {
        await using var service = await TestService.Start();
        service.Model.ChunkSamples = ChunkSamples;
        using var answer = await service.Http.GetAsync(new Uri("/speak?text=One.%20Two.&chunk=true", UriKind.Relative));
        var events = await answer.Events();
        Assert.Equal(2, Number(events[0], "total_sentences"));
        Assert.True(events.Count > 5);
    }

    [Fact]
    public async Task A_chunk_is_sent_before_the_next_is_made()
    {
        await using var service = await TestService.Start();
        service.Model.ChunkSamples = ChunkSamples;
        service.Model.Holds = true;
        using var speak = await service.Post(
            "/speak",
            new
            {
                text = "Hello there!",
                stream = true,
                chunk = true,
            },
            HttpCompletionOption.ResponseHeadersRead
        );
        using var reader = new StreamReader(await speak.Content.ReadAsStreamAsync());
        for (var chunk = 0; chunk < 3; chunk++)
        {
            service.Model.LetGo();
            Assert.Equal(chunk, Number(await Next(reader), "chunk_index"));
            Assert.Equal(chunk, Number(await Next(reader), "chunk_index"));
        }

        service.Model.LetGo(100);
        await reader.ReadToEndAsync();
        foreach (var stream_format in (string[])["audio", "sse"])
        {
            service.Model.HoldAgain();
            service.Model.LetGo();
            using var answer = await service.Post(
                Route,
                new
                {
                    model = "fake",
                    input = "Hello there!",
                    voice = "default",
                    response_format = "pcm",
                    stream_format,
                },
                HttpCompletionOption.ResponseHeadersRead
            );
            await using var body = await answer.Content.ReadAsStreamAsync();
            var least = 2 * (ChunkSamples - 120); // the last 5 ms wait for what follows
            await body.ReadExactlyAsync(new byte[least]);
            service.Model.LetGo();
            await body.ReadExactlyAsync(new byte[least]);
            service.Model.LetGo(10);
            await body.CopyToAsync(Stream.Null);
        }
    }

    private const int WavHeaderBytes = 44;

    [Theory]
    [InlineData("pcm")]
    [InlineData("wav")]
    public async Task Chunks_joined_are_the_whole_with_its_pauses(string format)
    {
        await using var service = await TestService.Start();
        service.Model.ChunkSamples = ChunkSamples;
        object Body(bool chunk) =>
            new
            {
                model = "fake",
                input = "[pause:0.5s]" + FakeModel.TwoPieces,
                voice = "default",
                response_format = format,
                seed = 3,
                chunk,
            };
        using var whole = await service.Post(Route, Body(false));
        using var chunks = await service.Post(Route, Body(true));
        var header = format == "wav" ? WavHeaderBytes : 0; // which has the length of the whole, and of a stream none
        Assert.Equal((await whole.Content.ReadAsByteArrayAsync())[header..], (await chunks.Content.ReadAsByteArrayAsync())[header..]);

        using var events = await service.Post(
            Route,
            new
            {
                model = "fake",
                input = FakeModel.TwoPieces,
                voice = "default",
                response_format = format,
                seed = 3,
                stream_format = "sse",
            }
        );
        var told = await events.Events();
        var usage = told[^1].GetProperty("usage");
        var pieces = service.Model.Calls.TakeLast(2).Select(call => call.Text.Length).ToList();
        Assert.Equal((pieces.Sum(), 2 * pieces.Sum()), (Number(usage, "input_tokens"), Number(usage, "output_tokens")));
        Assert.True(told.Count > 10);
    }

    [Fact]
    public async Task Speed_changes_over_chunks_as_over_the_whole()
    {
        await using var service = await TestService.Start();
        service.Model.ChunkSamples = ChunkSamples;
        object Body(bool chunk) =>
            new
            {
                model = "fake",
                input = FakeModel.TwoPieces,
                voice = "default",
                response_format = "pcm",
                speed = 1.5,
                seed = 3,
                chunk,
            };
        using var whole = await service.Post(Route, Body(false));
        using var chunks = await service.Post(Route, Body(true));
        Assert.Equal(await whole.Content.ReadAsByteArrayAsync(), await chunks.Content.ReadAsByteArrayAsync());
    }

    [Theory]
    [InlineData("mp3")]
    [InlineData("opus")]
    [InlineData("aac")]
    [InlineData("flac")]
    public async Task Most_of_the_first_chunk_is_heard_before_the_second_is_made(string format)
    {
        FfmpegTool.SkipIfMissing();
        await using var service = await TestService.Start();
        const int chunkSamples = 12_000;
        service.Model.ChunkSamples = chunkSamples;
        service.Model.Holds = true;
        service.Model.LetGo();
        using var answer = await service.Post(
            Route,
            new
            {
                model = "fake",
                input = "A text that has several chunks, each of half a second.",
                voice = "default",
                response_format = format,
            },
            HttpCompletionOption.ResponseHeadersRead
        );
        await using var body = await answer.Content.ReadAsStreamAsync();
        using var heard = new MemoryStream();
        var buffer = new byte[4096];
        do
        {
            heard.Write(buffer, 0, await body.ReadAsync(buffer)); // the second chunk is not made before this has come
        } while ((await FfmpegTool.Decode(heard.ToArray(), isWhole: false)).Length < chunkSamples * 4 / 5);
        service.Model.LetGo(100);
        await body.CopyToAsync(heard);
        Assert.InRange((await FfmpegTool.Decode(heard.ToArray())).Length, 14 * 1200, (14 * 1200) + 4000);
    }

    [Fact]
    public async Task Sizes_are_settable_and_chunks_are_left_out_where_nobody_wants_them()
    {
        await using var service = await TestService.Start();
        var body = new
        {
            model = "fake",
            input = "Hello.",
            voice = "default",
            response_format = "pcm",
        };
        using var answer = await service.Post(Route, body);
        Assert.Equal(new ChunkOptions(), Assert.Single(service.Model.Chunks)! with { EndsWhenStuck = false });

        await using var set = await TestService.Start(
            new()
            {
                ["Streaming:FirstTokens"] = "20",
                ["Streaming:MostTokens"] = "50",
                ["Streaming:LeftContext"] = "75",
                ["Streaming:FirstPrompt"] = "50",
            }
        );
        using var asSet = await set.Post(Route, body);
        var chunks = Assert.Single(set.Model.Chunks)!;
        Assert.Equal((20, 50, 75, 50), (chunks.FirstTokens, chunks.MostTokens, chunks.LeftContext, chunks.FirstPrompt));
        using var whole = await set.Post(
            Route,
            new
            {
                body.model,
                body.input,
                body.voice,
                body.response_format,
                chunk = false,
            }
        );
        using var sentences = await set.Post("/speak", new { text = "Hello.", stream = true });
        Assert.Equal([null, null], set.Model.Chunks.Skip(1));
    }

    [Fact]
    public async Task A_sentence_that_breaks_off_is_told_and_the_stream_goes_on()
    {
        await using var service = await TestService.Start();
        service.Model.ChunkSamples = ChunkSamples;
        using var answer = await service.Post(
            "/speak",
            new
            {
                text = "This one breaks off. Fine.",
                stream = true,
                chunk = true,
            }
        );
        var events = await answer.Events();
        Assert.Equal(
            """{"chunk_index":1,"status":"error","message":"Failed to generate audio","sentence_index":0}""",
            events[2].GetRawText()
        );
        Assert.Equal((2, 1), (Number(events[3], "chunk_index"), Number(events[3], "sentence_index")));
        Assert.Equal("Fine.", events[3].GetProperty("text").GetString());
        Assert.Equal("complete", events[^1].GetProperty("status").GetString());

        using var sse = await service.Post(
            Route,
            new
            {
                model = "fake",
                input = "This one breaks off.",
                voice = "default",
                response_format = "pcm",
                stream_format = "sse",
            }
        );
        var told = await sse.Events();
        Assert.Equal(["speech.audio.delta", "error"], told.Select(e => e.GetProperty("type").GetString()));
        Assert.Equal("speech_failed", told[1].GetProperty("error").GetProperty("code").GetString());
        await Assert.ThrowsAnyAsync<HttpRequestException>(() =>
            service.Post(
                Route,
                new
                {
                    model = "fake",
                    input = "This one breaks off.",
                    voice = "default",
                    response_format = "pcm",
                }
            )
        );
    }

    [Fact]
    public async Task What_is_known_at_the_end_is_told_at_the_end()
    {
        await using var service = await TestService.Start();
        service.Model.ChunkSamples = ChunkSamples;
        service.Model.Faults.Enqueue("endless");
        using var answer = await service.Post(
            Route,
            new
            {
                model = "fake",
                input = "Runes: ᚠ.",
                voice = "default",
                response_format = "pcm",
                stream_format = "sse",
            }
        );
        Assert.False(answer.Headers.Contains("X-Chatterbox-Repairs"));
        Assert.Equal("U+16A0", Assert.Single(answer.Headers.GetValues("X-Chatterbox-Unknown-Characters")));
        var done = (await answer.Events())[^1];
        Assert.Equal(["type", "usage", "repairs"], done.Names());
        Assert.Equal(
            "piece 1: more speech than the text needs; cut short",
            Assert.Single(done.GetProperty("repairs").EnumerateArray()).GetString()
        );
        using var sound = await service.Post(
            Route,
            new
            {
                model = "fake",
                input = "Fine.",
                voice = "default",
                response_format = "pcm",
                stream_format = "sse",
            }
        );
        Assert.Equal(["type", "usage"], (await sound.Events())[^1].Names());
    }

    [Fact]
    public async Task Chunks_of_a_file_are_refused()
    {
        await using var service = await TestService.Start();
        using var answer = await service.Post("/speak", new { text = "Hello.", chunk = true });
        Assert.Contains("'stream': true", await answer.AssertSpeakError(HttpStatusCode.BadRequest));
    }

    [Fact]
    public async Task A_client_that_leaves_between_two_chunks_frees_its_place()
    {
        await using var service = await TestService.Start();
        service.Model.ChunkSamples = ChunkSamples;
        service.Model.Holds = true;
        for (var chunks = 0; chunks < 4; chunks++)
        {
            service.Model.LetGo(chunks + 1);
            using var leaves = new CancellationTokenSource();
            var asked = service.Post(
                "/speak",
                new
                {
                    text = $"Client number {chunks} leaves, whatever comes.",
                    stream = true,
                    chunk = true,
                },
                HttpCompletionOption.ResponseHeadersRead,
                leaves.Token
            );
            await Waits.Until(() => service.Model.Calls.Count == chunks + 1 && service.Model.IsWaiting);
            (await asked).Dispose();
            await leaves.CancelAsync();
            await Waits.Until(() => service.Model.Cancelled.Count == chunks + 1 && service.Fleet.Default.Status.Active == 0);
        }

        service.Model.LetGo(100);
        using var stays = await service.Post(
            "/speak",
            new
            {
                text = "This one stays.",
                stream = true,
                chunk = true,
            }
        );
        Assert.Equal("complete", (await stays.Events())[^1].GetProperty("status").GetString());
    }

    private static int Number(JsonElement element, string name) => element.GetProperty(name).GetInt32();

    private static async Task<JsonElement> Next(StreamReader events)
    {
        var line = await events.ReadLineAsync();
        Assert.Equal("", await events.ReadLineAsync());
        return JsonDocument.Parse(line!["data: ".Length..]).RootElement;
    }

    /// <summary>A tone as it is heard: faded over 5 ms at its ends.</summary>
    private static float[] Faded(float[] tone)
    {
        for (var i = 0; i < 120; i++)
        {
            tone[i] *= i / 120f;
            tone[^(i + 1)] *= i / 120f;
        }

        return tone;
    }
}
