using System.Globalization;
using System.Net;
using System.Text.Json;

namespace Chatterbox.Service.Tests;

/// <summary>When sentences are heard, on OpenAI's speech route.</summary>
public sealed class TimestampTests
{
    private const string Route = "/v1/audio/speech";
    private const int BytesASecond = 2 * SpeechResult.SampleRate;

    private static readonly string[] Sentences = ["Hello there!", "Is 1 < 2 & true?", "Goodbye."];

    [Fact]
    public async Task Events_tell_each_sentence_while_the_next_are_being_spoken()
    {
        await using var service = await TestService.Start();
        using var answer = await service.Post(Route, Body("pcm", "sse"));
        var events = await answer.Events();
        var sent = 0;
        var (told, toldAt) = (new List<JsonElement>(), new List<int>());
        foreach (var e in events)
        {
            switch (e.GetProperty("type").GetString())
            {
                case "speech.audio.delta":
                    sent += e.GetProperty("audio").GetBytesFromBase64().Length;
                    break;
                case "speech.audio.sentence":
                    told.Add(e);
                    toldAt.Add(sent);
                    Assert.Equal(JsonValueKind.Null, e.GetProperty("words").ValueKind);
                    break;
            }
        }

        Assert.Equal(Sentences, told.Select(e => e.GetProperty("text").GetString()));
        Assert.Equal(0, Start(told[0]));
        Assert.InRange(toldAt[0], 1, sent - 1);
        Assert.All(
            told.Zip(told.Skip(1)),
            pair => Assert.True(Start(pair.First) < End(pair.First) && End(pair.First) < Start(pair.Second))
        );
        Assert.Equal(End(told[^1]), (double)sent / BytesASecond, 1e-3);
        Assert.Equal("speech.audio.done", events[^1].GetProperty("type").GetString());
    }

    [Fact]
    public async Task One_object_has_the_audio_and_the_same_times()
    {
        await using var service = await TestService.Start();
        using var streamed = await service.Post(Route, Body("pcm", "sse"));
        using var bytes = await service.Post(Route, Body("pcm", "audio"));
        using var answer = await service.Post(Route, Body("pcm", "json"));
        Assert.Equal("application/json", answer.Content.Headers.ContentType?.MediaType);
        var speech = await answer.Json();
        Assert.Equal(await bytes.Content.ReadAsByteArrayAsync(), speech.GetProperty("audio").GetBytesFromBase64());
        Assert.Equal("audio/pcm", speech.GetProperty("media_type").GetString());
        Assert.True(speech.GetProperty("usage").GetProperty("output_tokens").GetInt32() > 0);
        Assert.Equal(JsonValueKind.Null, speech.GetProperty("timestamps").GetProperty("words").ValueKind);
        Assert.Equal(
            (await streamed.Events())
                .Where(e => e.GetProperty("type").GetString() == "speech.audio.sentence")
                .Select(e => (Start(e), End(e))),
            speech.GetProperty("timestamps").GetProperty("sentences").EnumerateArray().Select(e => (Start(e), End(e)))
        );
    }

    [Fact]
    public async Task Times_are_told_on_request_alone()
    {
        await using var service = await TestService.Start();
        using var answer = await service.Post(
            Route,
            new
            {
                model = "fake",
                input = "Hello there! Goodbye.",
                voice = "default",
                response_format = "pcm",
                stream_format = "json",
            }
        );
        Assert.Equal(["audio", "media_type", "usage"], (await answer.Json()).Names());
    }

    [Fact]
    public async Task Times_are_those_of_the_tempo_that_is_asked_for()
    {
        await using var service = await TestService.Start();
        async Task<double> EndAt(double speed)
        {
            using var answer = await service.Post(
                Route,
                new
                {
                    model = "fake",
                    input = Sentences[0],
                    voice = "default",
                    response_format = "pcm",
                    stream_format = "json",
                    speed,
                    timestamp_granularities = new[] { "sentence" },
                }
            );
            return End((await answer.Json()).GetProperty("timestamps").GetProperty("sentences")[0]);
        }

        Assert.Equal(await EndAt(1) / 2, await EndAt(2), 1e-6);
    }

    [Theory]
    [InlineData("srt", "application/x-subrip")]
    [InlineData("vtt", "text/vtt")]
    public async Task Subtitles_have_a_cue_for_each_sentence(string format, string type)
    {
        await using var service = await TestService.Start();
        using var timed = await service.Post(Route, Body("pcm", "json"));
        var times = (await timed.Json())
            .GetProperty("timestamps")
            .GetProperty("sentences")
            .EnumerateArray()
            .Select(e => (Start: Start(e), End: End(e)))
            .ToList();
        using var answer = await service.Post(Route, Body(format, "audio"));
        Assert.Equal((HttpStatusCode.OK, type), (answer.StatusCode, answer.Content.Headers.ContentType?.MediaType));
        string[] lines =
            format == "srt"
                ? [.. Sentences.Index().SelectMany(cue => new[] { $"{cue.Index + 1}", Cue(times[cue.Index], ','), cue.Item, "" })]
                :
                [
                    "WEBVTT",
                    "",
                    .. Sentences
                        .Index()
                        .SelectMany(cue =>
                            new[]
                            {
                                Cue(times[cue.Index], '.'),
                                cue.Item.Replace("&", "&amp;", StringComparison.Ordinal).Replace("<", "&lt;", StringComparison.Ordinal),
                                "",
                            }
                        ),
                ];
        Assert.Equal(string.Join('\n', lines) + "\n", await answer.Content.ReadAsStringAsync());

        static string Cue((double Start, double End) time, char point) => $"{Clock(time.Start, point)} --> {Clock(time.End, point)}";
        static string Clock(double seconds, char point) =>
            TimeSpan.FromSeconds(seconds).ToString(@"hh\:mm\:ss", CultureInfo.InvariantCulture)
            + point
            + TimeSpan.FromSeconds(seconds).ToString("fff", CultureInfo.InvariantCulture);
    }

    [Theory]
    [InlineData("""{"model":"fake","input":"a","voice":"default","timestamp_granularities":["segment"]}""", "timestamp_granularities")]
    [InlineData("""{"model":"fake","input":"a","voice":"default","timestamp_granularities":"word"}""", "timestamp_granularities")]
    [InlineData("""{"model":"fake","input":"a","voice":"default","stream_format":"xml"}""", "stream_format")]
    public async Task Unknown_values_are_refused(string body, string parameter)
    {
        await using var service = await TestService.Start();
        using var answer = await service.PostText(Route, body);
        Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
        Assert.Equal(parameter, (await answer.Json()).GetProperty("error").GetProperty("param").GetString());
    }

    private static object Body(string response_format, string stream_format) =>
        new
        {
            model = "fake",
            input = string.Join(' ', Sentences),
            voice = "default",
            seed = 7,
            response_format,
            stream_format,
            timestamp_granularities = new[] { "sentence", "word" },
        };

    private static double Start(JsonElement sentence) => sentence.GetProperty("start_seconds").GetDouble();

    private static double End(JsonElement sentence) => sentence.GetProperty("end_seconds").GetDouble();
}
