using System.Net;
using System.Net.Sockets;
using System.Text;

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
        var answer = await Send(service, $"{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); // as it is: HttpClient would tidy it up
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
        using var form = new MultipartFormDataContent { { new StringContent(name), "name" }, { new ByteArrayContent(new byte[2000]), "file", "voice.wav" } };
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
    [InlineData("POST /speak HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n0\r\n\r\n")]
    public async Task What_is_no_request_is_hung_up_on(string request)
    {
        await using var service = await TestService.Start();
        Assert.Matches("^(HTTP/1.1 400 .*)?$", (await Send(service, request)).Split('\r')[0]);
        using var next = await service.Http.GetAsync(new Uri("/health", UriKind.Relative));
        Assert.Equal(HttpStatusCode.OK, next.StatusCode);
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
