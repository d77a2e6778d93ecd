using System.Runtime.CompilerServices;
using Chatterbox.Service.Hosting;
using Chatterbox.Service.Streaming;

namespace Chatterbox.Service.OpenAi;

/// <summary>Speech on its way: bytes as they are made, or events with them. Nothing is sent before the first audio is
/// there, so that what fails until then is answered with an error status.</summary>
internal sealed class SpeechResponse(AudioFormat format, JoinedSpeech speech, IAsyncEnumerable<ReadOnlyMemory<byte>> bytes, bool asEvents, ILogger<SpeechResponse> logger) : IResult
{
    /// <inheritdoc/>
    public async Task ExecuteAsync(HttpContext http)
    {
        await using var blocks = bytes.GetAsyncEnumerator(http.RequestAborted);
        try
        {
            if (!await blocks.MoveNextAsync())
            {
                throw new EncoderException("No audio came of the request.");
            }
        }
        catch (PieceFailedException e)
        {
            throw e.InnerException is ChatterboxException known ? known : new RefusedException(OpenAiErrors.SpeechFailed);
        }

        speech.Tell(http.Response.Headers);
        await (asEvents
            ? new SseResult<SpeechStreamEvent>(Events(blocks, http), Json.Of<SpeechStreamEvent>()).ExecuteAsync(http)
            : SendBytes(blocks, http));
    }

    private async Task SendBytes(IAsyncEnumerator<ReadOnlyMemory<byte>> blocks, HttpContext http)
    {
        http.Response.ContentType = format.ContentType;
        http.Response.Headers["X-Accel-Buffering"] = "no";
        do
        {
            await http.Response.BodyWriter.WriteAsync(blocks.Current, http.RequestAborted); // waits while a slow reader is behind
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
            logger.LogWarning(failure, "The stream of request {RequestId} ended early", http.TraceIdentifier);
            var refusal = failure is PieceFailedException ? OpenAiErrors.SpeechFailed : Refusal.From(failure, http);
            yield return new SpeechError("error", OpenAiErrors.From(refusal));
            yield break;
        }

        yield return new SpeechDone("speech.audio.done", SpeechUsage.Of(speech), speech.Repairs.Count > 0 ? speech.Repairs : null);
    }
}
