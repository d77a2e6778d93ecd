using System.Net;
using System.Net.Sockets;
using System.Text;
using Chatterbox.Audio;
using Chatterbox.Service.Voices;
using Microsoft.Extensions.DependencyInjection;

namespace Chatterbox.Service.Tests;

/// <summary>Requests that mean no good, or were put together badly.</summary>
public sealed class HostileTests
{
    [Theory]
    [InlineData("GET /../appsettings.json")]
    [InlineData("GET /..%2f..%2fappsettings.json")]
    [InlineData("GET /%2e%2e/appsettings.json")]
    [InlineData("GET /appsettings.json")]
    [InlineData("GET /audio/../../etc/passwd")]
    [InlineData("GET /audio/..%2f..%2f..%2fetc%2fpasswd")]
    [InlineData("GET /audio/..%5c..%5csecret.wav")]
    [InlineData("GET /audio/%FF%00")]
    [InlineData("GET /v1/models/..%2f..%2fsecret")]
    [InlineData("DELETE /v1/audio/voices/..%2fsecret")]
    [InlineData("DELETE /v1/audio/voices/..%2fsecret.wav")]
    [InlineData("DELETE /v1/audio/voices/%2e%2e%2fsecret.wav")]
    [InlineData("DELETE /v1/audio/voices/%FF")]
    public async Task A_path_that_leads_out_leads_nowhere(string request)
    {
        await using var service = await TestService.Start(new() { ["Voices:UploadsEnabled"] = "true" });
        service.AddVoice("../secret.wav");
        // as it is: HttpClient would tidy it up
        var answer = await Send(service, $"{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        Assert.Matches("^HTTP/1.1 40[04] ", answer);
        Assert.True(File.Exists(Path.Combine(service.VoicesFolder, "../secret.wav")));
    }

    [Theory]
    [InlineData("Bob\r\nX-Evil: 1", HttpStatusCode.BadRequest)]
    [InlineData("Bob\0", HttpStatusCode.BadRequest)]
    [InlineData("Zoë Müller", HttpStatusCode.Created)]
    public async Task A_name_of_a_voice_adds_no_header(string name, HttpStatusCode status)
    {
        await using var service = await TestService.Start(new() { ["Voices:UploadsEnabled"] = "true" });
        using var form = new MultipartFormDataContent
        {
            { new StringContent(name), "name" },
            { new ByteArrayContent(new byte[2000]), "file", "voice.wav" },
        };
        using var answer = await service.Http.PostAsync(new Uri("/v1/audio/voices", UriKind.Relative), form);
        Assert.Equal(status, answer.StatusCode);
        Assert.DoesNotContain(answer.Headers, h => h.Key == "X-Evil");
        Assert.All(answer.Headers, h => Assert.All(h.Value, value => Assert.True(Ascii.IsValid(value))));
        if (status == HttpStatusCode.Created)
        {
            using var deleted = await service.Http.DeleteAsync(answer.Headers.Location);
            Assert.Equal(HttpStatusCode.NoContent, deleted.StatusCode);
        }
    }

    [Theory]
    [InlineData("text=%FF%FE")]
    [InlineData("text=Hello.&voice=%C3")]
    [InlineData("text=%ED%A0%80")] // half of a surrogate pair
    public async Task A_query_that_is_not_UTF8_is_refused(string query)
    {
        await using var service = await TestService.Start();
        using var answer = await service.Http.GetAsync(new Uri($"/speak?{query}", UriKind.Relative));
        Assert.Contains("UTF-8", await answer.AssertSpeakError(HttpStatusCode.BadRequest));
    }

    [Theory]
    [InlineData("a")]
    [InlineData("漢")]
    [InlineData("😀")]
    public async Task A_query_may_have_1000_characters_of_any_script(string character)
    {
        await using var service = await TestService.Start();
        var text = "Hello" + string.Concat(Enumerable.Repeat(character, 995));
        using var answer = await service.Http.GetAsync(new Uri($"/speak?text={Uri.EscapeDataString(text)}", UriKind.Relative));
        Assert.Equal(text, (await answer.Events())[0].GetProperty("text").GetString());
    }

    [Theory]
    [InlineData("/speak")]
    [InlineData("/v1/audio/speech")]
    public async Task A_body_nested_without_end_is_refused(string route)
    {
        await using var service = await TestService.Start();
        using var answer = await service.PostText(route, new string('[', 500_000));
        Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
    }

    [Theory]
    [InlineData("\u0016\u0003\u0001\u0002 this is not HTTP\r\n\r\n")]
    [InlineData("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")]
    [InlineData(
        "POST /speak HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nContent-Type: "
            + "application/json\r\n\r\n0\r\n\r\n"
    )]
    public async Task What_is_no_request_is_hung_up_on(string request)
    {
        await using var service = await TestService.Start();
        Assert.Matches("^(HTTP/1.1 400 .*)?$", (await Send(service, request)).Split('\r')[0]);
        using var next = await service.Http.GetAsync(new Uri("/health", UriKind.Relative));
        Assert.Equal(HttpStatusCode.OK, next.StatusCode);
    }

    [Fact]
    public async Task A_pause_in_other_digits_is_text()
    {
        await using var service = await TestService.Start();
        using var answer = await service.Post(
            "/v1/audio/speech",
            new
            {
                model = "fake",
                input = "a[pause:٣s]b",
                voice = "default",
                response_format = "pcm",
            }
        );
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        await using var session = await SessionClient.Open(service);
        await session.Write("a[pause:٣s]b");
        await session.Send(new { type = "flush" });
        await session.Next("sentence");
        await session.Next("sentence.done");
        await session.Next("flushed");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_text_reaches_the_log_only_where_that_is_set_and_never_a_terminal(bool logTexts)
    {
        await using var service = await TestService.Start(
            new() { ["Service:LogTexts"] = logTexts ? "true" : "false", ["Text:Normalize"] = "Off" }
        );
        using var answer = await service.Post(
            "/v1/audio/speech",
            new
            {
                model = "fake",
                input = "密码是春眠不觉晓\u001b[2J",
                voice = "default",
                response_format = "pcm",
            }
        );
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        await answer.Content.ReadAsByteArrayAsync();
        await Waits.Until(() => Log().Contains("spoken by fake", StringComparison.Ordinal));
        Assert.Equal(logTexts, Log().Contains("密码", StringComparison.Ordinal) && Log().Contains("\\u001B[2J", StringComparison.Ordinal));
        Assert.Equal(logTexts, Log().Contains('密', StringComparison.Ordinal));
        Assert.DoesNotContain("\u001b", Log(), StringComparison.Ordinal);
        Assert.Contains("has 8 characters that the model does not know", Log(), StringComparison.Ordinal);

        string Log()
        {
            lock (service.Log)
            {
                return service.Log.ToString();
            }
        }
    }

    [Theory]
    [InlineData("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\nRIFF")]
    [InlineData("--b\r\nContent-Disposition: form-data; name=\"file\"")]
    [InlineData("--b")]
    [InlineData("")]
    public async Task A_form_that_is_cut_is_answered_with_the_reason(string body)
    {
        await using var service = await TestService.Start();
        using var content = new StringContent(body);
        content.Headers.Remove("Content-Type");
        content.Headers.TryAddWithoutValidation("Content-Type", "multipart/form-data; boundary=b");
        using var answer = await service.Http.PostAsync(new Uri("/v1/audio/watermark", UriKind.Relative), content);
        var error = await answer.AssertOpenAiError(HttpStatusCode.BadRequest, body.Length == 0 ? "file" : null);
        Assert.True(
            body.Length == 0 || error.GetProperty("message").GetString()!.Contains("closing boundary", StringComparison.Ordinal),
            error.GetRawText()
        );
    }

    [Theory]
    [InlineData("application/json; charset=\"utf-8\"", HttpStatusCode.OK)]
    [InlineData("application/json; charset=UTF-8", HttpStatusCode.OK)]
    [InlineData("application/json;charset=\"utf-8\"; version=1", HttpStatusCode.OK)]
    [InlineData("application/json; charset=bogus", HttpStatusCode.BadRequest)]
    [InlineData("application/json; charset=\"\"", HttpStatusCode.BadRequest)]
    [InlineData("text/plain; charset=\"utf-8\"", HttpStatusCode.BadRequest)]
    public async Task A_charset_may_be_in_quotes(string type, HttpStatusCode status)
    {
        await using var service = await TestService.Start();
        foreach (var route in (string[])["/speak", "/v1/audio/speech"])
        {
            using var content = new ByteArrayContent(
                """{"model":"fake","input":"Hello.","text":"Hello.","voice":"default","response_format":"pcm"}"""u8.ToArray()
            );
            content.Headers.TryAddWithoutValidation("Content-Type", type);
            using var answer = await service.Http.PostAsync(new Uri(route, UriKind.Relative), content);
            var text = await answer.Content.ReadAsStringAsync();
            Assert.True(
                answer.StatusCode == status
                    || (route == "/v1/audio/speech" && text.Contains("does not know: text", StringComparison.Ordinal)),
                $"{type}: {answer.StatusCode} {text}"
            );
        }
    }

    [Theory]
    [InlineData("""{"type":"\ud800"}""")]
    [InlineData("""{"type":"\udc00\ud800"}""")]
    [InlineData("""{"\ud800":1,"type":"flush"}""")]
    [InlineData("""{"type":"text","text":"\ud800"}""")]
    [InlineData("""{"type":"session","voice":"\ud800"}""")]
    [InlineData("""{"type":{"type":"flush"}}""")]
    [InlineData("""[[[[""")]
    public async Task A_message_that_is_no_text_is_answered_and_the_session_goes_on(string message)
    {
        await using var service = await TestService.Start();
        await using var session = await SessionClient.Open(service);
        await session.SendText(message);
        await session.Next("error");
        await session.Write("Still here.");
        await session.Send(new { type = "flush" });
        Assert.Equal("Still here.", (await session.Next("sentence")).GetProperty("text").GetString());
    }

    [Fact]
    public async Task An_encoder_that_is_gone_is_reported_before_anything_is_spoken()
    {
        FfmpegTool.SkipIfMissing();
        var folder = Directory.CreateTempSubdirectory("chatterbox-encoder-");
        var program = Path.Combine(folder.FullName, "encoder");
        File.WriteAllText(program, "#!/bin/sh\n");
        await using var service = await TestService.Start(new() { ["Service:Ffmpeg"] = program });
        var body = new
        {
            model = "fake",
            input = FakeModel.TwoPieces,
            voice = "default",
            response_format = "aac",
        };

        // There, but not to be run: known only once it is started, when the model has begun.
        service.Model.Holds = true;
        using var failed = await service.Post("/v1/audio/speech", body);
        await failed.AssertOpenAiError(HttpStatusCode.InternalServerError, null, "encoder_failed");
        await Waits.Until(() => service.Fleet.Default.Status is { Waiting: 0, Active: 0 });
        lock (service.Log)
        {
            Assert.Contains($"{program} cannot be started", service.Log.ToString(), StringComparison.Ordinal);
        }

        folder.Delete(recursive: true);
        using var missing = await service.Post("/v1/audio/speech", body);
        await missing.AssertOpenAiError(HttpStatusCode.BadRequest, "response_format", "ffmpeg_missing");
        Assert.Single(service.Model.Calls);
    }

    [Fact]
    public async Task Of_uploads_of_one_name_at_once_one_is_taken_whatever_they_are_called()
    {
        await using var service = await TestService.Start(new() { ["Voices:UploadsEnabled"] = "true" });
        var statuses = await Task.WhenAll(
            ((string[])["wav", "mp3", "flac", "ogg", "m4a"]).Select(async extension =>
            {
                using var form = new MultipartFormDataContent
                {
                    { new StringContent("Bob"), "name" },
                    { new ByteArrayContent(new byte[2000]), "file", $"bob.{extension}" },
                };
                using var answer = await service.Http.PostAsync(new Uri("/v1/audio/voices", UriKind.Relative), form);
                return answer.StatusCode;
            })
        );
        Assert.Equal([HttpStatusCode.Created, .. Enumerable.Repeat(HttpStatusCode.Conflict, 4)], statuses.Order());
        Assert.Single(Directory.GetFiles(service.VoicesFolder, "*", new EnumerationOptions { AttributesToSkip = 0 }));
        using var deleted = await service.Http.DeleteAsync(new Uri("/v1/audio/voices/Bob", UriKind.Relative));
        Assert.Equal(HttpStatusCode.NoContent, deleted.StatusCode);
        using var gone = await service.Http.DeleteAsync(new Uri("/v1/audio/voices/Bob", UriKind.Relative));
        Assert.Equal(HttpStatusCode.NotFound, gone.StatusCode);
    }

    [Theory]
    [InlineData("漢", 100)]
    [InlineData("a", 201)]
    [InlineData("😀", 51)]
    public async Task A_name_longer_than_a_file_may_have_is_refused(string character, int count)
    {
        await using var service = await TestService.Start(new() { ["Voices:UploadsEnabled"] = "true" });
        using var form = new MultipartFormDataContent
        {
            { new StringContent(string.Concat(Enumerable.Repeat(character, count))), "name" },
            { new ByteArrayContent(new byte[2000]), "file", "voice.wav" },
        };
        using var answer = await service.Http.PostAsync(new Uri("/v1/audio/voices", UriKind.Relative), form);
        await answer.AssertOpenAiError(HttpStatusCode.BadRequest, "name");
    }

    [Fact]
    public async Task What_is_no_recording_is_skipped_and_named_in_the_log_once()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "there are no pipes in folders");
        await using var service = await TestService.Start();
        using (var make = System.Diagnostics.Process.Start("mkfifo", [Path.Combine(service.VoicesFolder, "pipe.wav")])!)
        {
            await make.Ends("mkfifo");
        }

        File.WriteAllBytes(Path.Combine(service.VoicesFolder, "empty.wav"), []);
        Directory.CreateDirectory(Path.Combine(service.VoicesFolder, "folder.wav"));
        File.CreateSymbolicLink(Path.Combine(service.VoicesFolder, "out.wav"), "/etc/passwd");
        File.CreateSymbolicLink(Path.Combine(service.VoicesFolder, "nowhere.wav"), "missing.wav");
        File.CreateSymbolicLink(Path.Combine(service.VoicesFolder, "itself.wav"), "itself.wav");
        File.CreateSymbolicLink(Path.Combine(service.VoicesFolder, "device.wav"), "/dev/zero");
        File.CreateSymbolicLink(Path.Combine(service.VoicesFolder, "again.wav"), "pipe.wav");
        service.AddVoice("Ann.wav");

        var answers = await Task.WhenAll(
            Enumerable
                .Range(0, 40)
                .Select(i =>
                    service.Post(
                        "/speak",
                        new
                        {
                            text = "Hello.",
                            voice = i % 2 == 0 ? "pipe" : "again",
                            stream = true,
                        }
                    )
                )
        );
        Assert.All(answers, answer => Assert.Contains(answer.StatusCode, new[] { HttpStatusCode.OK, HttpStatusCode.TooManyRequests }));
        using var openAi = await service.Post(
            "/v1/audio/speech",
            new
            {
                model = "fake",
                input = "Hello.",
                voice = "pipe",
                response_format = "pcm",
            }
        );
        await openAi.AssertOpenAiError(HttpStatusCode.NotFound, "voice", "voice_not_found");
        using var voices = await service.Http.GetAsync(new Uri("/voices", UriKind.Relative));
        Assert.Equal(["Ann"], (await voices.Json()).GetProperty("voices").EnumerateArray().Select(v => v.GetString()));
        Assert.Equal(0, service.Model.VoicesMade);

        foreach (var file in (string[])["pipe", "empty", "folder", "out", "nowhere", "itself", "device", "again"])
        {
            await Waits.Until(() => Times($"{file}.wav in the folder of voices is skipped") > 0);
        }

        service.AddVoice("Bob.wav");
        await Waits.Until(() => Times("Bob.wav: Changed") > 0);
        Assert.Equal(1, Times("pipe.wav in the folder of voices is skipped"));

        int Times(string what)
        {
            lock (service.Log)
            {
                return service.Log.ToString().Split(what).Length - 1;
            }
        }
    }

    [Fact]
    public async Task A_small_file_of_a_very_high_rate_takes_no_memory()
    {
        FfmpegTool.SkipIfMissing();
        var file = Path.Combine(Directory.CreateTempSubdirectory("chatterbox-rate-").FullName, "b.wv");
        using (
            var make = System.Diagnostics.Process.Start(
                "ffmpeg",
                $"-loglevel error -f lavfi -i anullsrc=r=768000:cl=mono -t 119 -c:a wavpack {file}"
            )
        )
        {
            await make.WaitForExitAsync();
        }

        await using var service = await TestService.Start();
        var before = GC.GetTotalAllocatedBytes(precise: true);
        using var form = new MultipartFormDataContent { { new ByteArrayContent(File.ReadAllBytes(file)), "file", "b.wv" } };
        using var answer = await service.Http.PostAsync(new Uri("/v1/audio/watermark", UriKind.Relative), form);
        await answer.AssertOpenAiError(HttpStatusCode.BadRequest, "file", "unusable_recording");
        Assert.InRange(GC.GetTotalAllocatedBytes(precise: true) - before, 0, 50 << 20); // its samples are 365 MB
        Directory.Delete(Path.GetDirectoryName(file)!, recursive: true);
    }

    [Fact]
    public async Task A_full_disk_is_reported_and_leaves_no_partial_file()
    {
        var isFull = true;
        await using var service = await TestService.Start(
            new() { ["Voices:UploadsEnabled"] = "true" },
            configure: builder =>
                builder.Services.AddSingleton(
                    new VoiceFormats(
                        (path, _) => isFull ? throw new IOException("No space left on device", 28) : new AudioClip(new float[2000], 1000),
                        _ => throw new VoiceException("Not a voice file."),
                        (_, _, _) => throw new IOException("No space left on device", 28)
                    )
                )
        );
        using var refused = await Upload();
        await refused.AssertOpenAiError(HttpStatusCode.InsufficientStorage, null, "disk_full");
        Assert.Empty(Directory.GetFiles(service.VoicesFolder, "*", new EnumerationOptions { AttributesToSkip = 0 }));
        isFull = false;
        using var taken = await Upload(); // its finished voice cannot be kept, which is no reason to refuse it
        Assert.Equal(HttpStatusCode.Created, taken.StatusCode);
        Assert.Empty(
            Directory.GetFiles(service.AudioFolder, "*", new EnumerationOptions { AttributesToSkip = 0, RecurseSubdirectories = true })
        );

        Task<HttpResponseMessage> Upload() =>
            service.Http.PostAsync(
                new Uri("/v1/audio/voices", UriKind.Relative),
                new MultipartFormDataContent
                {
                    { new StringContent("Bob"), "name" },
                    { new ByteArrayContent(new byte[2000]), "file", "bob.wav" },
                }
            );
    }

    [Fact]
    public async Task An_error_has_no_file_name_and_no_code_of_this_program()
    {
        await using var service = await TestService.Start(new() { ["Voices:UploadsEnabled"] = "true", ["Voices:MaxUploadSeconds"] = "1" });
        using var form = new MultipartFormDataContent
        {
            { new StringContent("Bob"), "name" },
            { new ByteArrayContent(new byte[2000]), "file", "bob.wav" },
        };
        using var upload = await service.Http.PostAsync(new Uri("/v1/audio/voices", UriKind.Relative), form);
        Assert.Equal(
            "Bob is too long.",
            (await upload.AssertOpenAiError(HttpStatusCode.BadRequest, "file")).GetProperty("message").GetString()
        );
        using var missing = await service.Http.GetAsync(new Uri("/speak", UriKind.Relative));
        Assert.Equal("'text' is missing, or is not a string.", await missing.AssertSpeakError(HttpStatusCode.BadRequest));
        using var wrong = await service.Http.GetAsync(new Uri("/speak?text=Hello.&cfg_weight=much", UriKind.Relative));
        Assert.Equal("'cfg_weight' is missing, or is not a number.", await wrong.AssertSpeakError(HttpStatusCode.BadRequest));
    }

    private static async Task<string> Send(TestService service, string request)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(service.Address.Host, service.Address.Port);
        await using var stream = new NetworkStream(socket);
        await stream.WriteAsync(Encoding.Latin1.GetBytes(request));
        using var reader = new StreamReader(stream, Encoding.Latin1);
        try
        {
            return await reader.ReadToEndAsync();
        }
        catch (IOException)
        {
            return ""; // hung up on, unread
        }
    }
}
