using System.Diagnostics;
using System.IO.Compression;
using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Chatterbox.Service.Jobs;
using Fuzz.Service;
using Microsoft.Extensions.DependencyInjection;

namespace Chatterbox.Service.Tests;

/// <summary>Long texts as jobs: whole after every interruption, out of the way of others, and each client's own.</summary>
public sealed class JobTests
{
    private const string Jobs = "/v1/audio/jobs";
    private const string KeyA = "the-key-of-client-a",
        KeyB = "the-key-of-client-b";

    [Fact]
    public async Task A_job_that_is_killed_and_continued_equals_one_that_is_not()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "signals and /proc are Linux's");
        var folder = Directory.CreateTempSubdirectory("chatterbox-jobs-");
        var text = string.Join("\n\n", Enumerable.Range(1, 200).Select(i => $"Word {i}."));
        object body = new
        {
            input = text,
            response_format = "wav",
            seed = 5,
        };
        try
        {
            string id;
            using (var service = await ServiceProgram.StartAsync(folder.FullName, ("Model", "tiny-turbo")))
            {
                using var http = new HttpClient { BaseAddress = service.Address, Timeout = Waits.Limit };
                id = (await (await http.PostAsync(Jobs, JsonContent.Create(body))).Json()).GetProperty("id").GetString()!;
                await Until(http, id, job => job.GetProperty("pieces_done").GetInt32() >= 20);
            } // SIGKILL

            using (var service = await ServiceProgram.StartAsync(folder.FullName, ("Model", "tiny-turbo")))
            {
                using var http = new HttpClient { BaseAddress = service.Address, Timeout = Waits.Limit };
                var before = await http.GetFromJsonAsync<JsonElement>($"{Jobs}/{id}");
                Assert.InRange(before.GetProperty("pieces_done").GetInt32(), 20, 200);
                var whole = (await (await http.PostAsync(Jobs, JsonContent.Create(body))).Json()).GetProperty("id").GetString()!;
                await End(http, id);
                await End(http, whole);
                var file = await http.GetByteArrayAsync($"{Jobs}/{id}/result");
                Assert.NotEmpty(Wav.Read(file));
                var other = await http.GetByteArrayAsync($"{Jobs}/{whole}/result");
                Assert.True(file.SequenceEqual(other), "the file is another one than without the kill");
            }
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Fact]
    public async Task A_text_becomes_a_file_and_its_events_say_how_far_it_is()
    {
        await using var service = await TestService.Start();
        service.AddVoice("Ann.wav");
        var answer = await service.Post(
            Jobs,
            new
            {
                input = "# One\n\nHello there.\n\n# Two\n\nThe end.",
                text_format = "markdown",
                title = "Mine",
                voice = "Ann",
                response_format = "wav",
                seed = 7,
                exaggeration = 0.8,
            }
        );
        Assert.Equal(HttpStatusCode.Accepted, answer.StatusCode);
        var job = await answer.Json();
        var id = job.GetProperty("id").GetString()!;
        Assert.Equal($"{Jobs}/{id}", answer.Headers.Location!.ToString());
        Assert.Equal(
            ("Mine", "fake", "Ann", "wav", 7),
            (Text(job, "title"), Text(job, "model"), Text(job, "voice"), Text(job, "response_format"), job.GetProperty("seed").GetInt32())
        );
        Assert.Equal("7", answer.Headers.GetValues("X-Chatterbox-Seed").Single());
        Assert.Equal(["One", "Two"], job.GetProperty("chapters").EnumerateArray().Select(chapter => Text(chapter, "title")));

        var events = await (await service.Http.GetAsync($"{Jobs}/{id}/events")).Events();
        Assert.Equal("done", Text(events[^1], "state"));
        Assert.Equal(4, events[^1].GetProperty("pieces_done").GetInt32());
        Assert.Equal(4, events[^1].GetProperty("pieces_total").GetInt32());

        // Each piece has the seed plus its index, as the pieces of one request do.
        Assert.Equal([7, 8, 9, 10], service.Model.Calls.Select(call => call.Sampling.Seed!.Value).Order());
        Assert.All(service.Model.Calls, call => Assert.Equal(0.8, call.Sampling.Exaggeration));
        var result = await service.Http.GetAsync($"{Jobs}/{id}/result");
        Assert.Equal("audio/wav", result.Content.Headers.ContentType!.ToString());
        var bytes = await result.Content.ReadAsByteArrayAsync();
        Assert.Equal(events[^1].GetProperty("result").GetProperty("bytes").GetInt64(), bytes.Length);
        Assert.True(Wav.Read(bytes).Length > service.Model.Calls.Sum(call => FakeModel.Tone(call.Text, call.Voice, call.Sampling).Length));
        Assert.Empty(Directory.GetFiles(Path.Combine(service.AudioFolder, ".jobs", id), "*.pcm"));

        using var range = new HttpRequestMessage(HttpMethod.Get, $"{Jobs}/{id}/result") { Headers = { Range = new(0, 3) } };
        Assert.Equal("RIFF", await (await service.Http.SendAsync(range)).Content.ReadAsStringAsync());
        Assert.Equal(id, Text((await service.Http.GetFromJsonAsync<JsonElement>(Jobs)).GetProperty("data")[0], "id"));
        Assert.Equal(HttpStatusCode.NoContent, (await service.Http.DeleteAsync($"{Jobs}/{id}")).StatusCode);
        await (await service.Http.GetAsync($"{Jobs}/{id}")).AssertOpenAiError(HttpStatusCode.NotFound, "id", "job_not_found");
        Assert.Empty(Directory.GetDirectories(Path.Combine(service.AudioFolder, ".jobs")));
    }

    [Fact]
    public async Task A_job_pauses_resumes_and_is_cancelled_while_a_piece_is_spoken()
    {
        await using var service = await TestService.Start(new() { ["Jobs:PiecesAtOnce"] = "1" });
        service.Model.Holds = true;
        var id = await Create(service, new { input = "One.\n\nTwo.\n\nThree.", response_format = "flac" });
        service.Model.LetGo();
        await Until(service.Http, id, job => job.GetProperty("pieces_done").GetInt32() == 1);
        await (await service.Http.GetAsync($"{Jobs}/{id}/result")).AssertOpenAiError(HttpStatusCode.Conflict, "id", "job_state");
        await Waits.Until(() => service.Model.IsWaiting);
        Assert.Equal("paused", Text(await (await service.Http.PostAsync($"{Jobs}/{id}/pause", null)).Json(), "state"));
        await Waits.Until(() => service.Model.Cancelled.Count == 1);
        Assert.Equal(1, (await service.Http.GetFromJsonAsync<JsonElement>($"{Jobs}/{id}")).GetProperty("pieces_done").GetInt32());
        Assert.Equal("running", Text(await (await service.Http.PostAsync($"{Jobs}/{id}/resume", null)).Json(), "state"));
        service.Model.LetGo(2);
        await Until(service.Http, id, IsDone);
        Assert.Equal(["One.", "Two.", "Two.", "Three."], service.Model.Calls.Select(call => call.Text));
        await (await service.Http.PostAsync($"{Jobs}/{id}/resume", null)).AssertOpenAiError(HttpStatusCode.Conflict, "id", "job_state");
        await (await service.Http.PostAsync($"{Jobs}/{id}/pause", null)).AssertOpenAiError(HttpStatusCode.Conflict, "id", "job_state");

        var other = await Create(service, new { input = "Never.", response_format = "flac" });
        await Waits.Until(() => service.Model.IsWaiting);
        using var watch = await service.Http.GetAsync($"{Jobs}/{other}/events", HttpCompletionOption.ResponseHeadersRead);
        Assert.Equal(HttpStatusCode.NoContent, (await service.Http.DeleteAsync($"{Jobs}/{other}")).StatusCode);
        Assert.Equal("deleted", Text((await watch.Events())[^1], "state"));
        await Waits.Until(() => service.Model.Cancelled.Count == 2);
        Assert.False(Directory.Exists(Path.Combine(service.AudioFolder, ".jobs", other)));
    }

    [Fact]
    public async Task Others_are_spoken_before_the_pieces_of_a_job()
    {
        await using var service = await TestService.Start();
        service.Model.Holds = true;
        await Create(service, new { input = "One.\n\nTwo.\n\nThree.", response_format = "wav" });
        await Waits.Until(() => service.Model.IsWaiting);
        var live = service.Post(
            "/v1/audio/speech",
            new
            {
                model = "fake",
                input = "Live.",
                voice = "default",
                response_format = "wav",
            }
        );
        // two pieces of the job, and the other request
        await Waits.Until(() => service.Fleet.Default.Status is { } status && status.Waiting + status.Active == 3);
        service.Model.LetGo(2);
        Assert.Equal("0", (await live).Headers.GetValues("X-Chatterbox-Queue-Position").Single());
        Assert.Equal("Live.", service.Model.Turns.ElementAt(1));
        service.Model.LetGo(10);
    }

    [Fact]
    public async Task A_job_that_failed_is_tried_again_when_it_is_resumed()
    {
        await using var service = await TestService.Start();
        var id = await Create(service, new { input = "Fine.\n\nThis is unspeakable.", response_format = "wav" });
        await Until(service.Http, id, job => Text(job, "state") == "failed");
        var job = await service.Http.GetFromJsonAsync<JsonElement>($"{Jobs}/{id}");
        Assert.StartsWith("Piece 2: ", Text(job.GetProperty("error"), "message"));
        var calls = service.Model.Calls.Count;
        Assert.Equal(HttpStatusCode.OK, (await service.Http.PostAsync($"{Jobs}/{id}/resume", null)).StatusCode);
        await Waits.Until(() => service.Model.Calls.Count > calls);
        await Until(service.Http, id, job => Text(job, "state") == "failed");
        Assert.Equal(1, service.Model.Calls.Count(call => call.Text == "Fine."));
    }

    [Fact]
    public async Task A_book_has_chapters_and_is_a_zip_file_without_ffmpeg()
    {
        await using var service = await TestService.Start(new() { ["Service:Ffmpeg"] = "/nowhere/ffmpeg" });
        var id = await Upload(
            service.Http,
            Epubs.Zip(Epubs.Files()),
            "small.epub",
            ("response_format", "m4b"),
            ("seed", "3"),
            ("exaggeration", "0.7")
        );
        await Until(service.Http, id, IsDone);
        var job = await service.Http.GetFromJsonAsync<JsonElement>($"{Jobs}/{id}");
        Assert.Equal(("A small book", "zip", 3), (Text(job, "title"), Text(job, "response_format"), job.GetProperty("seed").GetInt32()));
        Assert.All(service.Model.Calls, call => Assert.Equal(0.7, call.Sampling.Exaggeration));
        using var zip = new ZipArchive(new MemoryStream(await service.Http.GetByteArrayAsync($"{Jobs}/{id}/result")));
        Assert.Equal(["01 The first.mp3", "02 The second.mp3"], zip.Entries.Select(entry => entry.FullName));
        Assert.All(zip.Entries, entry => Assert.True(entry.Length > 1000));
    }

    [Fact]
    public async Task An_audiobook_has_chapters()
    {
        FfmpegTool.SkipIfMissing();
        await using var service = await TestService.Start();
        var id = await Upload(service.Http, Epubs.Zip(Epubs.Files()), "small.epub", ("response_format", "m4b"), ("title", "A = ;title#"));
        await Until(service.Http, id, IsDone);
        var file = Path.Combine(service.AudioFolder, "book.m4b");
        await File.WriteAllBytesAsync(file, await service.Http.GetByteArrayAsync($"{Jobs}/{id}/result"));
        using var ffmpeg = Process.Start(
            new ProcessStartInfo("ffmpeg", ["-hide_banner", "-loglevel", "error", "-i", file, "-f", "ffmetadata", "-"])
            {
                RedirectStandardOutput = true,
            }
        )!;
        var metadata = await ffmpeg.StandardOutput.ReadToEndAsync().WaitAsync(Waits.Limit);
        Assert.Contains(@"title=A \= \;title\#", metadata);
        Assert.Equal(2, metadata.Split("[CHAPTER]").Length - 1);
        Assert.Contains("title=The second", metadata);
        var seconds = (await service.Http.GetFromJsonAsync<JsonElement>($"{Jobs}/{id}")).GetProperty("seconds").GetDouble();
        Assert.True((await FfmpegTool.Decode(await File.ReadAllBytesAsync(file))).Length / 24_000d > seconds);
    }

    [Fact]
    public async Task What_cannot_be_a_job_is_refused_and_leaves_nothing()
    {
        await using var service = await TestService.Start(new() { ["Jobs:MaxTextBytes"] = "2000", ["Jobs:MaxUploadBytes"] = "5000" });
        await (await service.Post(Jobs, new { input = new string('a', 2001) })).AssertOpenAiError(
            HttpStatusCode.BadRequest,
            "input",
            "invalid_value"
        );
        await (await service.Post(Jobs, new { input = "..." })).AssertOpenAiError(HttpStatusCode.BadRequest, "input", "invalid_value");
        await (await service.Post(Jobs, new { text = "Hello." })).AssertOpenAiError(
            HttpStatusCode.BadRequest,
            "input",
            "missing_required_parameter"
        );
        await (await service.Post(Jobs, new { input = "Hello.", response_format = "aac" })).AssertOpenAiError(
            HttpStatusCode.BadRequest,
            "response_format"
        );
        await (await service.Post(Jobs, new { input = "Hello.", response_format = "srt" })).AssertOpenAiError(
            HttpStatusCode.BadRequest,
            "response_format"
        );
        await (await service.Post(Jobs, new { input = "Hello.", text_format = "html" })).AssertOpenAiError(
            HttpStatusCode.BadRequest,
            "text_format"
        );
        await (await service.Post(Jobs, new { input = "Hello.", speed = 9 })).AssertOpenAiError(HttpStatusCode.BadRequest, "speed");
        await (await service.Post(Jobs, new { input = "Hello.", voice = "nobody" })).AssertOpenAiError(
            HttpStatusCode.NotFound,
            "voice",
            "voice_not_found"
        );
        await (await service.Post(Jobs, new { input = "Hello.", model = "none" })).AssertOpenAiError(
            HttpStatusCode.NotFound,
            "model",
            "model_not_found"
        );
        await (await service.PostText(Jobs, "Hello.", "text/plain")).AssertOpenAiError(HttpStatusCode.BadRequest, code: "invalid_json");
        await (await service.Http.GetAsync($"{Jobs}/../../x")).AssertOpenAiError(HttpStatusCode.NotFound, code: "not_found");
        await (await service.Http.GetAsync($"{Jobs}/{Guid.NewGuid():N}/result")).AssertOpenAiError(
            HttpStatusCode.NotFound,
            "id",
            "job_not_found"
        );
        using var form = new MultipartFormDataContent
        {
            { new ByteArrayContent(Epubs.With(("OPS/book.opf", Epubs.Package("")))), "file", "book.epub" },
        };
        var error = await (await service.Http.PostAsync(Jobs, form)).AssertOpenAiError(HttpStatusCode.BadRequest, "file", "invalid_value");
        Assert.Contains("no reading order", error.GetProperty("message").GetString());
        using var seed = new MultipartFormDataContent { { new StringContent("Hello."), "input" }, { new StringContent("many"), "seed" } };
        await (await service.Http.PostAsync(Jobs, seed)).AssertOpenAiError(HttpStatusCode.BadRequest, "seed", "invalid_type");
        Assert.False(Directory.Exists(Path.Combine(service.AudioFolder, ".jobs")));
    }

    [Fact]
    public async Task Jobs_are_bounded_in_number_and_in_bytes()
    {
        await using var service = await TestService.Start(new() { ["Jobs:MaxJobs"] = "2", ["Jobs:MaxBytes"] = $"{1 << 20}" });
        service.Model.Holds = true;
        var first = await Create(service, new { input = "One.", response_format = "wav" });
        await (await service.Post(Jobs, new { input = "Two." })).Json();
        var busy = await service.Post(Jobs, new { input = "Three." });
        await busy.AssertOpenAiError(HttpStatusCode.TooManyRequests, code: "too_many_jobs");
        Assert.NotNull(busy.Headers.RetryAfter);
        service.Model.LetGo(1000);
        await Until(service.Http, first, IsDone);

        // What is done makes room for what comes; a job that needs more than there may be fails, and says what to do.
        var large = await Create(
            service,
            new { input = string.Join("\n\n", Enumerable.Repeat(FakeModel.TwoPieces, 20)), response_format = "wav" }
        );
        await Until(service.Http, large, job => Text(job, "state") == "failed");
        var error = (await service.Http.GetFromJsonAsync<JsonElement>($"{Jobs}/{large}")).GetProperty("error");
        Assert.Equal("disk_full", Text(error, "code"));
        Assert.Contains("resume", Text(error, "message"));
        await (await service.Http.GetAsync($"{Jobs}/{first}")).AssertOpenAiError(HttpStatusCode.NotFound, "id", "job_not_found");
        Assert.Equal(
            HttpStatusCode.OK,
            (
                await service.Post(
                    "/v1/audio/speech",
                    new
                    {
                        model = "fake",
                        input = "Others speak.",
                        voice = "default",
                    }
                )
            ).StatusCode
        );
    }

    [Fact]
    public async Task A_client_with_a_key_sees_its_own_jobs_only()
    {
        await using var service = await TestService.Start(new() { ["Security:ApiKeys:0"] = KeyA, ["Security:ApiKeys:1"] = KeyB });
        using var a = Client(service, KeyA);
        using var b = Client(service, KeyB);
        await (await service.Post(Jobs, new { input = "Hello." })).AssertOpenAiError(HttpStatusCode.Unauthorized, code: "invalid_api_key");
        var id = (await (await a.PostAsync(Jobs, JsonContent.Create(new { input = "Hello.", response_format = "wav" }))).Json())
            .GetProperty("id")
            .GetString()!;
        await Until(a, id, IsDone);
        Assert.Equal(1, (await a.GetFromJsonAsync<JsonElement>(Jobs)).GetProperty("data").GetArrayLength());
        Assert.Equal(0, (await b.GetFromJsonAsync<JsonElement>(Jobs)).GetProperty("data").GetArrayLength());
        foreach (var path in (string[])["", "/events", "/result"])
        {
            await (await b.GetAsync($"{Jobs}/{id}{path}")).AssertOpenAiError(HttpStatusCode.NotFound, "id", "job_not_found");
        }

        await (await b.PostAsync($"{Jobs}/{id}/pause", null)).AssertOpenAiError(HttpStatusCode.NotFound, "id", "job_not_found");
        await (await b.DeleteAsync($"{Jobs}/{id}")).AssertOpenAiError(HttpStatusCode.NotFound, "id", "job_not_found");
        Assert.NotEmpty(await a.GetByteArrayAsync($"{Jobs}/{id}/result"));
    }

    [Fact]
    public async Task Jobs_whose_time_is_over_are_deleted_and_measured()
    {
        await using var service = await TestService.Start(new() { ["Jobs:KeepHours"] = "0.00001" });
        var id = await Create(service, new { input = "Hello.", response_format = "wav" });
        await Until(service.Http, id, IsDone);
        Assert.Contains("chatterbox_jobs{", await service.Http.GetStringAsync("/metrics"));
        await Waits.Until(() =>
        {
            service.Services.GetRequiredService<JobStore>().Sweep();
            return !Directory.Exists(Path.Combine(service.AudioFolder, ".jobs", id));
        });
        await (await service.Http.GetAsync($"{Jobs}/{id}")).AssertOpenAiError(HttpStatusCode.NotFound, "id", "job_not_found");
    }

    private static bool IsDone(JsonElement job) =>
        Text(job, "state") is "done" or "failed"
            ? Text(job, "state") == "done"
                ? true
                : throw new InvalidOperationException(job.ToString())
            : false;

    private static string Text(JsonElement element, string name) => element.GetProperty(name).GetString()!;

    private static async Task<string> Create(TestService service, object body) => Text(await (await service.Post(Jobs, body)).Json(), "id");

    private static async Task<string> Upload(HttpClient http, byte[] file, string name, params (string Name, string Value)[] fields)
    {
        using var form = new MultipartFormDataContent { { new ByteArrayContent(file), "file", name } };
        foreach (var (field, value) in fields)
        {
            form.Add(new StringContent(value), field);
        }

        return Text(await (await http.PostAsync(Jobs, form)).Json(), "id");
    }

    private static HttpClient Client(TestService service, string key) =>
        new()
        {
            BaseAddress = service.Address,
            Timeout = Waits.Limit,
            DefaultRequestHeaders = { { "Authorization", $"Bearer {key}" } },
        };

    /// <summary>Waits for the end of a job of many pieces, for each of them no longer than any wait.</summary>
    private static async Task End(HttpClient http, string id)
    {
        for (var (done, isOver) = (0, false); !isOver; )
        {
            await Until(
                http,
                id,
                job =>
                {
                    var now = job.GetProperty("pieces_done").GetInt32();
                    isOver = IsDone(job);
                    (var before, done) = (done, now);
                    return isOver || now > before;
                }
            );
        }
    }

    private static Task Until(HttpClient http, string id, Func<JsonElement, bool> isSo) =>
        Waits.Until(() => isSo(http.GetFromJsonAsync<JsonElement>($"{Jobs}/{id}").GetAwaiter().GetResult()));
}
