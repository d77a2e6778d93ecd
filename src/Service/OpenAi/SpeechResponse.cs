using System.Runtime.CompilerServices;
using Chatterbox.Service.Hosting;
using Chatterbox.Service.Streaming;

namespace Chatterbox.Service.OpenAi;

/// <summary>How speech is sent.</summary>
internal enum Delivery
{
    /// <summary>Its bytes, as they are generated.</summary>
    Streamed,

    /// <summary>Its bytes, with their length, once all of it is generated.</summary>
    Whole,

    /// <summary>Events with its bytes, as they are generated.</summary>
    Events,
}

/// <summary>The answer with the speech. Nothing is sent before the first audio exists (of a whole file: before all of it exists), so
/// that a failure until then is answered with an error status.</summary>
internal sealed class SpeechResponse(SpokenAnswer answer, Delivery delivery) : IResult
{
    /// <inheritdoc/>
    public async Task ExecuteAsync(HttpContext http)
    {
        if (delivery == Delivery.Whole)
        {
            await SendWhole(await answer.CollectAsync(http.TraceIdentifier, http.RequestAborted), http);
            return;
        }

        await using var blocks = await answer.FirstAsync(http.TraceIdentifier, http.RequestAborted);
        answer.Speech.Tell(http.Response.Headers);
        await (delivery == Delivery.Events
            ? new SseResult<SpeechStreamEvent>(Events(blocks, http), Json.Of<SpeechStreamEvent>()).ExecuteAsync(http)
            : SendBytes(blocks, http));
    }

    private Task SendWhole(ReadOnlyMemory<byte> file, HttpContext http)
    {
        answer.Speech.Tell(http.Response.Headers);
        http.Response.ContentType = answer.Format.ContentType;
        http.Response.ContentLength = file.Length;
        return http.Response.BodyWriter.WriteAsync(file, http.RequestAborted).AsTask();
    }

    private async Task SendBytes(IAsyncEnumerator<ReadOnlyMemory<byte>> blocks, HttpContext http)
    {
        http.Response.ContentType = answer.Format.ContentType;
        http.Response.Headers["X-Accel-Buffering"] = "no";
        do
        {
            await http.Response.BodyWriter.WriteAsync(blocks.Current, http.RequestAborted); // waits for a slow reader
        }
        while (await blocks.MoveNextAsync());
    }

    private async IAsyncEnumerable<SpeechStreamEvent> Events(IAsyncEnumerator<ReadOnlyMemory<byte>> blocks, HttpContext http, [EnumeratorCancellation] CancellationToken cancel = default)
    {
        Exception? failure = null;
        var more = true;
        while (more)
        {
            yield return new SpeechDelta("speech.audio.delta", blocks.Current);
            try
            {
                more = await blocks.MoveNextAsync();
            }
            catch (Exception e) when (!cancel.IsCancellationRequested)
            {
                failure = e;
                more = false;
            }
        }

        if (failure is not null)
        {
            http.RequestServices.GetRequiredService<ILogger<SpeechResponse>>().LogWarning(failure, "The stream of request {RequestId} ended early", http.TraceIdentifier);
            yield return new SpeechError("error", OpenAiErrors.From(Refusal.From(failure, http)));
            yield break;
        }

        yield return new SpeechDone("speech.audio.done", SpeechUsage.Of(answer.Speech), answer.Speech.Repairs.Count > 0 ? answer.Speech.Repairs : null);
    }
}
