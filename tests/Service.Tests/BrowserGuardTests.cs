using System.Net;
using System.Net.WebSockets;
using Chatterbox.Service.Hosting;

namespace Chatterbox.Service.Tests;

/// <summary>Pages of other origins, and names that were pointed to this machine, with keys off.</summary>
public sealed class BrowserGuardTests
{
    [Theory]
    [InlineData("POST", "/v1/audio/voices")]
    [InlineData("POST", "/v1/audio/conversions")]
    [InlineData("POST", "/v1/audio/watermark")]
    [InlineData("POST", "/v1/audio/speech")]
    [InlineData("POST", "/speak")]
    [InlineData("GET", "/speak?text=Hello.")]
    [InlineData("DELETE", "/v1/audio/voices/Ann")]
    public async Task A_foreign_page_is_refused_what_costs_or_changes_something(string method, string path)
    {
        await using var service = await TestService.Start(new() { ["Voices:UploadsEnabled"] = "true" });
        service.AddVoice("Ann.wav");
        foreach (
            var headers in new (string, string)[][]
            {
                [("Origin", "https://evil.example")],
                [("Origin", "null")],
                [("Origin", "http://localhost.evil.example")],
                [("Sec-Fetch-Site", "cross-site")],
                [("Sec-Fetch-Site", "same-site")],
                [("Sec-Fetch-Site", "cross-site"), ("Referer", "https://evil.example/page")],
            }
        )
        {
            using var answer = await Send(service, method, path, headers);
            Assert.Equal(HttpStatusCode.Forbidden, answer.StatusCode);
            Assert.Contains("Security:CorsOrigins", await answer.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        }

        Assert.Empty(service.Model.Turns);
        Assert.Equal("Ann.wav", Path.GetFileName(Assert.Single(Directory.GetFiles(service.VoicesFolder))));
    }

    [Fact]
    public async Task Own_pages_allowed_pages_and_programs_are_served()
    {
        await using var service = await TestService.Start(new() { ["Security:CorsOrigins:0"] = "https://good.example" });
        foreach (
            var headers in new (string, string)[][]
            {
                [],
                [("Origin", $"http://{service.Address.Authority}")],
                [("Origin", "https://good.example"), ("Sec-Fetch-Site", "cross-site")],
                [("Sec-Fetch-Site", "same-origin")],
                [("Sec-Fetch-Site", "none")],
                [("Sec-Fetch-Site", "cross-site"), ("Referer", "https://good.example/page")],
            }
        )
        {
            using var answer = await Send(service, "GET", "/speak?text=Hello.", headers);
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        }
    }

    [Fact]
    public async Task A_foreign_page_may_read_what_costs_nothing_if_its_browser_lets_it()
    {
        await using var service = await TestService.Start();
        foreach (var path in (string[])["/health", "/voices", "/v1/models", "/"])
        {
            using var answer = await Send(service, "GET", path, [("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site")]);
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
            Assert.False(answer.Headers.Contains("Access-Control-Allow-Origin"));
        }
    }

    [Theory]
    [InlineData("rebound.example.org", false)]
    [InlineData("rebound.example.org:8002", false)]
    [InlineData("10.0.0.1.example.org", false)]
    [InlineData("localhost", true)]
    [InlineData("127.0.0.1:8002", true)]
    [InlineData("[::1]:8002", true)]
    [InlineData("chatterbox:8002", true)]
    [InlineData("gpu.local", true)]
    [InlineData("tts.svc.cluster.local:80", true)]
    [InlineData("good.example", true)]
    public async Task Without_keys_the_service_answers_to_names_that_no_stranger_can_give_it(string host, bool isServed)
    {
        await using var service = await TestService.Start(new() { ["Security:CorsOrigins:0"] = "https://good.example" });
        using var answer = await Send(service, "GET", "/voices", [("Host", host)]);
        Assert.Equal(isServed ? HttpStatusCode.OK : HttpStatusCode.Forbidden, answer.StatusCode);
        Assert.Equal(!isServed, (await answer.Content.ReadAsStringAsync()).Contains("AllowedHosts", StringComparison.Ordinal));
        using var health = await Send(service, "GET", "/health", [("Host", host)]);
        Assert.Equal(HttpStatusCode.OK, health.StatusCode);
    }

    [Fact]
    public async Task A_name_that_was_pointed_here_opens_no_WebSocket()
    {
        await using var service = await TestService.Start();
        var host = $"rebound.example.org:{service.Address.Port}";
        var refused = await Assert.ThrowsAsync<WebSocketException>(() =>
            SessionClient.Connect(
                service,
                options =>
                {
                    options.SetRequestHeader("Host", host);
                    options.SetRequestHeader("Origin", $"http://{host}");
                }
            )
        );
        Assert.Contains("403", refused.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("AllowedHosts", "tts.example.org;other.example.org")]
    [InlineData("AllowedHosts", "*")]
    [InlineData("Security:ApiKeys:0", "0123456789abcdef")]
    public async Task Names_are_allowed_by_a_setting_and_with_keys(string setting, string value)
    {
        await using var service = await TestService.Start(new() { [setting] = value });
        using var answer = await Send(
            service,
            "GET",
            "/voices",
            [("Host", "tts.example.org"), ("Authorization", "Bearer 0123456789abcdef")]
        );
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
    }

    [Theory]
    [InlineData("/", "text/html")]
    [InlineData("/index.html", "text/html")]
    [InlineData("/scalar/", "text/html")]
    [InlineData("/health", "application/json")]
    public async Task Every_answer_keeps_itself_out_of_foreign_frames(string path, string accept)
    {
        await using var service = await TestService.Start();
        using var answer = await Send(service, "GET", path, [("Accept", accept)]);
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        string Header(string name) => Assert.Single(answer.Headers.GetValues(name));
        Assert.Contains("frame-ancestors 'none'", Header("Content-Security-Policy"), StringComparison.Ordinal);
        Assert.Equal(path != "/scalar/", Header("Content-Security-Policy").Contains("default-src 'self'", StringComparison.Ordinal));
        Assert.DoesNotContain("unsafe", Header("Content-Security-Policy"), StringComparison.Ordinal);
        Assert.Equal(
            ("DENY", "nosniff", "no-referrer"),
            (Header("X-Frame-Options"), Header("X-Content-Type-Options"), Header("Referrer-Policy"))
        );
    }

    [Theory]
    [InlineData("auto", 8002, false, false, "localhost")]
    [InlineData("auto", 0, false, false, "127.0.0.1")]
    [InlineData("auto", 8002, true, false, "*")]
    [InlineData("auto", 8002, false, true, "*")]
    [InlineData("*", 8002, false, false, "*")]
    [InlineData("localhost", 8002, true, true, "localhost")]
    public void Without_keys_only_this_machine_is_served(string set, int port, bool hasKeys, bool inContainer, string expected) =>
        Assert.Equal(expected, DefaultAddress.Choose(set, port, hasKeys, inContainer));

    private static Task<HttpResponseMessage> Send(TestService service, string method, string path, (string Name, string Value)[] headers)
    {
        var request = new HttpRequestMessage(new HttpMethod(method), path);
        if (method == "POST")
        {
            request.Content =
                path.StartsWith("/v1/audio/speech", StringComparison.Ordinal) || path == "/speak"
                    ? new StringContent(
                        """{"model":"fake","input":"Hello.","voice":"default","text":"Hello."}""",
                        System.Text.Encoding.UTF8,
                        "application/json"
                    )
                    : new MultipartFormDataContent
                    {
                        { new StringContent("Bob"), "name" },
                        { new ByteArrayContent(Wav.Recording(1)), "file", "bob.wav" },
                    };
        }

        foreach (var (name, value) in headers)
        {
            request.Headers.TryAddWithoutValidation(name, value);
        }

        return service.Http.SendAsync(request);
    }
}
