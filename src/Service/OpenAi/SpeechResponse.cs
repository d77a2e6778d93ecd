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

    /// <summary>One JSON object with its bytes, once all of it is generated.</summary>
    Object,
}

/// <summary>The answer with the speech. Nothing is sent before the first audio exists (of a whole file: before all of it exists), so
/// that a failure until then is answered with an error status.</summary>
internal sealed class SpeechResponse(SpokenAnswer answer, Delivery delivery) : IResult
{
    /// <inheritdoc/>
    public async Task ExecuteAsync(HttpContext http)
    {
        if (delivery is Delivery.Whole or Delivery.Object)
        {
            var file = await answer.CollectAsync(http.RequestAborted);
            SpeechHeaders.Set(http.Response.Headers, answer.Speech);
            await (delivery == Delivery.Whole ? SendWhole(file, http) : TypedResults.Ok(Object(file)).ExecuteAsync(http));
            return;
        }

        await using var blocks = await answer.FirstAsync(http.RequestAborted);
        SpeechHeaders.Set(http.Response.Headers, answer.Speech);
        await (
            delivery == Delivery.Events
                ? new SseResult<SpeechStreamEvent>(Events(blocks, http), Json.Of<SpeechStreamEvent>()).ExecuteAsync(http)
                : SendBytes(blocks, http)
        );
    }

    private Task SendWhole(ReadOnlyMemory<byte> file, HttpContext http)
    {
        http.Response.ContentType = answer.Format.ContentType;
        http.Response.ContentLength = file.Length;
        return http.Response.BodyWriter.WriteAsync(file, http.RequestAborted).AsTask();
    }

    private SpeechObject Object(ReadOnlyMemory<byte> file) =>
        new(file, answer.Format.ContentType, SpeechUsage.Of(answer.Speech), answer.TellsTimes ? new([.. answer.Sentences]) : null, Repairs);

    private IReadOnlyList<string>? Repairs => answer.Speech.Repairs is { Count: > 0 } repairs ? repairs : null;

    private async Task SendBytes(IAsyncEnumerator<ReadOnlyMemory<byte>> blocks, HttpContext http)
    {
        http.Response.ContentType = answer.Format.ContentType;
        http.Response.Headers["X-Accel-Buffering"] = "no";
        do
        {
            await http.Response.BodyWriter.WriteAsync(blocks.Current, http.RequestAborted); // waits for a slow reader
        } while (await blocks.MoveNextAsync());
    }

    private async IAsyncEnumerable<SpeechStreamEvent> Events(
        IAsyncEnumerator<ReadOnlyMemory<byte>> blocks,
        HttpContext http,
        [EnumeratorCancellation] CancellationToken cancellationToken = default
    )
    {
        Exception? failure = null;
        var more = true;
        var sentences = 0;
        while (more)
        {
            yield return new SpeechDelta("speech.audio.delta", blocks.Current);
            try
            {
                more = await blocks.MoveNextAsync();
            }
            catch (Exception e) when (!cancellationToken.IsCancellationRequested)
            {
                failure = e;
                more = false;
            }

            foreach (var sentence in answer.TellsTimes ? answer.Sentences.Skip(sentences).ToList() : [])
            {
                yield return new SpokenSentence("speech.audio.sentence", sentence.Text, sentence.StartSeconds, sentence.EndSeconds);
                sentences++;
            }
        }

        if (failure is not null)
        {
            http.RequestServices.GetRequiredService<ILogger<SpeechResponse>>()
                .LogWarning(failure, "The stream of request {RequestId} ended early", http.TraceIdentifier);
            yield return new SpeechError("error", OpenAiErrors.From(Refusal.From(failure, http)));
            yield break;
        }

        yield return new SpeechDone("speech.audio.done", SpeechUsage.Of(answer.Speech), Repairs);
    }
}
