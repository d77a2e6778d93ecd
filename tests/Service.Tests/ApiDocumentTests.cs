using System.Net;
using System.Text;
using System.Text.Json;

namespace Chatterbox.Service.Tests;

/// <summary>What the OpenAPI document promises to those who generate clients from it.</summary>
public sealed class ApiDocumentTests
{
    [Fact]
    public async Task Every_operation_has_an_id_a_summary_and_an_example_that_is_accepted()
    {
        await using var service = await TestService.Start();
        var operations = (await Document(service))
            .GetProperty("paths")
            .EnumerateObject()
            .SelectMany(path =>
                path.Value.EnumerateObject().Select(operation => (Path: path.Name, Method: operation.Name, Operation: operation.Value))
            )
            .ToList();
        var ids = operations
            .Select(one => (one.Path, one.Method, Id: one.Operation.TryGetProperty("operationId", out var id) ? id.GetString() : null))
            .ToList();
        Assert.DoesNotContain(ids, one => string.IsNullOrEmpty(one.Id));
        Assert.Equal(ids.Count, ids.Select(one => one.Id).Distinct().Count());
        Assert.All(operations, one => Assert.True(one.Operation.TryGetProperty("summary", out _), $"{one.Method} {one.Path}"));
        var bodies = 0;
        foreach (var (path, method, operation) in operations)
        {
            var address = path;
            foreach (
                var parameter in operation.TryGetProperty("parameters", out var parameters) ? parameters.EnumerateArray().ToList() : []
            )
            {
                if (parameter.TryGetProperty("required", out var required) && required.GetBoolean())
                {
                    Assert.True(parameter.TryGetProperty("example", out var example), $"{method} {path}: {parameter}");
                    address =
                        parameter.GetProperty("in").GetString() == "path"
                            ? address.Replace(
                                $"{{{parameter.GetProperty("name").GetString()}}}",
                                example.GetString(),
                                StringComparison.Ordinal
                            )
                            : $"{address}?{parameter.GetProperty("name").GetString()}={Uri.EscapeDataString(example.GetString()!)}";
                }
            }

            if (
                operation.TryGetProperty("requestBody", out var body)
                && body.GetProperty("content").TryGetProperty("application/json", out var content)
            )
            {
                Assert.True(content.TryGetProperty("example", out var example), $"{method} {path}");
                using var request = new HttpRequestMessage(HttpMethod.Post, address)
                {
                    Content = new StringContent(example.GetRawText(), Encoding.UTF8, "application/json"),
                };
                using var answer = await service.Http.SendAsync(request);
                var text = await answer.Content.ReadAsStringAsync();
                Assert.True(answer.StatusCode is HttpStatusCode.OK or HttpStatusCode.Accepted, $"{method} {address}: {text}");
                Assert.False(answer.Headers.Contains("X-Chatterbox-Ignored"), address);
                bodies++;
            }
            else if (address.Contains('?', StringComparison.Ordinal))
            {
                using var answer = await service.Http.GetAsync(new Uri(address, UriKind.Relative));
                Assert.True(answer.StatusCode == HttpStatusCode.OK, $"{method} {address}");
            }
        }

        Assert.Equal(10, bodies);
    }

    [Fact]
    public async Task It_names_the_address_and_the_page_has_no_buttons_of_others()
    {
        await using var service = await TestService.Start();
        var servers = (await Document(service)).GetProperty("servers").EnumerateArray();
        Assert.Equal(service.Address, new Uri(Assert.Single(servers).GetProperty("url").GetString()!));
        var page = await service.Http.GetStringAsync(new Uri("/scalar/", UriKind.Relative));
        Assert.Contains("\"hideClientButton\": true", page.Replace("\":true", "\": true", StringComparison.Ordinal));
        Assert.Contains("\"disabled\": true", page.Replace("\":true", "\": true", StringComparison.Ordinal));
    }

    private static async Task<JsonElement> Document(TestService service) =>
        await (await service.Http.GetAsync(new Uri("/openapi/v1.json", UriKind.Relative))).Json();
}
