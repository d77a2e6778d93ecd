using System.Buffers;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Http.Features;

namespace Chatterbox.Service.Streaming;

/// <summary>Data-only server-sent events, each sent as soon as it is made.</summary>
/// <param name="events">The events; errors among them are events too.</param>
/// <param name="type">How an event is written.</param>
internal sealed class SseResult<T>(IAsyncEnumerable<T> events, JsonTypeInfo<T> type) : IResult
{
    /// <inheritdoc/>
    public async Task ExecuteAsync(HttpContext http)
    {
        http.Response.ContentType = "text/event-stream";
        http.Response.Headers.CacheControl = "no-cache";
        http.Response.Headers["X-Accel-Buffering"] = "no"; // proxies pass each event on at once
        http.Features.Get<IHttpResponseBodyFeature>()?.DisableBuffering();
        await http.Response.StartAsync(http.RequestAborted);

        var body = http.Response.BodyWriter;
        await body.FlushAsync(http.RequestAborted);
        await foreach (var e in events.WithCancellation(http.RequestAborted))
        {
            body.Write("data: "u8);
            await JsonSerializer.SerializeAsync(body, e, type, http.RequestAborted);
            body.Write("\n\n"u8);
            await body.FlushAsync(http.RequestAborted); // waits for a slow reader
        }
    }
}
