using System.Net;
using Chatterbox.Service.Hosting;

namespace Chatterbox.Service.Tests;

/// <summary>Settings, health, headers, logs.</summary>
public sealed class HostingTests
{
    [Theory]
    [InlineData("Service:Port", "99999", "Service:Port")]
    [InlineData("Service:Port", "eighty", "Service:Port")]
    [InlineData("Service:Prot", "80", "Prot")]
    [InlineData("Service:AudioFolder", "/proc/nowhere", "Service:AudioFolder")]
    [InlineData("Service:VoicesFolder", "/proc/nowhere", "Service:VoicesFolder")]
    [InlineData("Service:VoicesFolder", "", "Service:VoicesFolder")]
    [InlineData("Service:MaxAudioBytes", "1000", "Service:MaxAudioBytes")]
    [InlineData("Service:MaxAudioHours", "-1", "Service:MaxAudioHours")]
    [InlineData("Engine:MaxQueuedRequests", "-1", "Engine:MaxQueuedRequests")]
    [InlineData("Engine:RequestTimeoutSeconds", "0", "Engine:RequestTimeoutSeconds")]
    [InlineData("Voices:MaxInMemory", "0", "Voices:MaxInMemory")]
    public async Task A_bad_setting_stops_the_start_and_is_named(string key, string value, string named)
    {
        var error = await Assert.ThrowsAnyAsync<Exception>(async () =>
        {
            await using var service = await TestService.Start(new() { [key] = value });
        });
        Assert.True(error is SettingException, error.ToString());
        Assert.Contains(named, error.Message);
    }

    [Fact]
    public void Defaults_are_those_of_the_contract()
    {
        var options = new ServiceOptions();
        Assert.Equal((8002, "/shared/reference_voices", "/shared/audio"), (options.Port, options.VoicesFolder, options.AudioFolder));
    }

    [Fact]
    public async Task Health_is_told_as_ever()
    {
        await using var service = await TestService.Start();
        using var answer = await service.Http.GetAsync(new Uri("/health", UriKind.Relative));
        Assert.Equal(
            """{"status":"healthy","model":"fake","device":"cpu","model_loaded":true,"streaming_enabled":true,"runtime":[],"self_check":[]}""",
            await answer.Content.ReadAsStringAsync()
        );
        Assert.Equal("fake", Assert.Single(answer.Headers.GetValues("X-Chatterbox-Model")));
        foreach (var path in (string[])["/health/live", "/health/ready"])
        {
            using var probe = await service.Http.GetAsync(new Uri(path, UriKind.Relative));
            Assert.Equal(HttpStatusCode.OK, probe.StatusCode);
        }
    }

    [Fact]
    public async Task A_stand_in_is_named_and_degraded()
    {
        await using var service = await TestService.Start(describe: model => model with { Name = "tiny", StandIn = true });
        using var answer = await service.Http.GetAsync(new Uri("/health", UriKind.Relative));
        Assert.Equal(
            """{"status":"degraded","model":"tiny","device":"cpu","model_loaded":true,"streaming_enabled":true,"runtime":[],"self_check":[]}""",
            await answer.Content.ReadAsStringAsync()
        );
        using var speech = await service.Post("/speak", new { text = "Hello.", stream = true });
        Assert.Equal("tiny; stand-in", Assert.Single(speech.Headers.GetValues("X-Chatterbox-Model")));
    }

    [Fact]
    public async Task A_model_that_cannot_be_loaded_is_told_by_all()
    {
        await using var service = await TestService.Start(
            describe: model => model with { Load = () => throw new CheckpointException("t3.safetensors is missing.") },
            waitUntilReady: false
        );
        using var speak = await service.Post("/speak", new { text = "Hello.", stream = true });
        var detail = await speak.AssertSpeakError(HttpStatusCode.ServiceUnavailable);
        Assert.Contains("t3.safetensors", detail);
        using var openAi = await service.Post(
            "/v1/audio/speech",
            new
            {
                model = "fake",
                input = "a",
                voice = "default",
                response_format = "pcm",
            }
        );
        await openAi.AssertOpenAiError(HttpStatusCode.ServiceUnavailable);
        using var health = await service.Http.GetAsync(new Uri("/health", UriKind.Relative));
        Assert.Equal("degraded", (await health.Json()).GetProperty("status").GetString());
        using var ready = await service.Http.GetAsync(new Uri("/health/ready", UriKind.Relative));
        Assert.Equal("application/problem+json", ready.Content.Headers.ContentType?.MediaType);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, ready.StatusCode);
    }

    [Fact]
    public async Task Home_is_information_for_programs_and_a_page_for_people()
    {
        await using var service = await TestService.Start();
        using var information = await service.Http.GetAsync(new Uri("/", UriKind.Relative));
        Assert.Equal("application/json", information.Content.Headers.ContentType?.MediaType);
        Assert.Contains("POST /speak", await information.Content.ReadAsStringAsync());
        using var request = new HttpRequestMessage(HttpMethod.Get, "/");
        request.Headers.Accept.ParseAdd("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");
        using var page = await service.Http.SendAsync(request);
        Assert.Equal("text/html", page.Content.Headers.ContentType?.MediaType);
        Assert.Contains(page.Headers.Vary, v => v == "Accept");
    }

    [Fact]
    public async Task Texts_are_not_logged()
    {
        await using var service = await TestService.Start();
        using var query = await service.Http.GetAsync(new Uri("/speak?text=secretquery.", UriKind.Relative));
        using var body = await service.Post(
            "/speak",
            new
            {
                text = "secretbody, and unspeakable.",
                voice = "secretvoice",
                stream = true,
            }
        );
        using var openAi = await service.Post(
            "/v1/audio/speech",
            new
            {
                model = "secretmodel",
                input = "secretinput",
                voice = "default",
            }
        );
        lock (service.Log)
        {
            Assert.DoesNotContain("secret", service.Log.ToString());
        }
    }

    [Fact]
    public async Task Nothing_that_was_sent_comes_back_in_a_header()
    {
        await using var service = await TestService.Start();
        using var request = new HttpRequestMessage(HttpMethod.Get, "/speak?text=Hello.&voice=x%0D%0AX-Evil:%201&exaggeration=0.5");
        request.Headers.TryAddWithoutValidation("X-Request-Id", "x%0d%0aX-Evil: 1");
        using var answer = await service.Http.SendAsync(request);
        Assert.DoesNotContain(answer.Headers, h => h.Key == "X-Evil" || h.Value.Any(v => v.Contains("Evil", StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData("0")]
    [InlineData("100")]
    public async Task A_service_that_is_gone_leaves_nothing_in_memory(string requestsPerMinute)
    {
        var gone = await StartAndStop();
        await Waits.Until(() =>
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
            return !gone.IsAlive;
        });

        async Task<WeakReference> StartAndStop()
        {
            await using var service = await TestService.Start(new() { ["Security:RequestsPerMinute"] = requestsPerMinute });
            using var answer = await service.Post("/speak", new { text = "Hello.", stream = true });
            await answer.Events();
            return new WeakReference(service.Services);
        }
    }

    [Fact]
    public async Task One_line_describes_the_service_that_has_started()
    {
        await using var service = await TestService.Start();
        service.AddVoice("Ann.wav");
        await Waits.Until(() => Log().Contains("Now listening on", StringComparison.Ordinal));
        var line = Assert.Single(Log().Split('\n'), line => line.Contains("Now listening on", StringComparison.Ordinal));
        foreach (
            var part in (string[])
                ["Information: Chatterbox.Net 0.1.0", "fake on cpu", "wav, pcm", "0 voices in", "/scalar", service.Address.Authority]
        )
        {
            Assert.Contains(part, line);
        }

        string Log()
        {
            lock (service.Log)
            {
                return service.Log.ToString();
            }
        }
    }

    [Fact]
    public async Task A_probe_while_the_model_is_loaded_is_no_failure_in_the_log()
    {
        using var loaded = new ManualResetEventSlim();
        var model = new FakeModel();
        await using var service = await TestService.Start(
            describe: served => served with { Load = () => loaded.Wait(TimeSpan.FromMinutes(1)) ? model : throw new TimeoutException() },
            waitUntilReady: false
        );
        using var probe = await service.Http.GetAsync(new Uri("/health/ready", UriKind.Relative));
        Assert.Equal(HttpStatusCode.ServiceUnavailable, probe.StatusCode);
        loaded.Set();
        await service.Fleet.Ready;
        lock (service.Log)
        {
            Assert.DoesNotContain("Error:", service.Log.ToString());
            Assert.DoesNotContain("Exception", service.Log.ToString());
        }
    }

    [Fact]
    public async Task A_folder_without_rights_is_an_error_with_the_command_that_helps()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "/proc, which nothing can be written to, is Linux's");
        var error = await Assert.ThrowsAsync<SettingException>(async () =>
        {
            await using var service = await TestService.Start(new() { ["Service:AudioFolder"] = "/proc" });
        });
        Assert.Contains("sudo chown -R", error.Message);
    }

    [Fact]
    public async Task Main_tells_a_bad_setting_and_ends_with_1() => Assert.Equal(1, await Program.Main(["--port", "99999"]));
}
