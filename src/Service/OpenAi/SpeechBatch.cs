using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Chatterbox.Audio;
using Chatterbox.Service.Hosting;
using Microsoft.Extensions.Options;

namespace Chatterbox.Service.OpenAi;

/// <summary>What <c>POST /v1/audio/speech/batch</c> takes.</summary>
/// <param name="Items">1 to 32 requests for speech, each with the fields that differ from those beside.</param>
internal sealed record BatchBody(IReadOnlyList<Dictionary<string, JsonElement>> Items)
{
    /// <summary>Fields of every item that does not have its own.</summary>
    [JsonExtensionData]
    public Dictionary<string, JsonElement>? Shared { get; set; }
}

/// <summary>What became of an item.</summary>
/// <param name="Index">Its index among the items.</param>
/// <param name="Status">success or error.</param>
/// <param name="AudioData">Its audio, in base64.</param>
/// <param name="MediaType">The audio's media type.</param>
/// <param name="Usage">Its tokens.</param>
/// <param name="Error">Why it could not be spoken.</param>
internal sealed record BatchItem(
    int Index,
    string Status,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] ReadOnlyMemory<byte>? AudioData = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? MediaType = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] SpeechUsage? Usage = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] OpenAiError? Error = null
);

/// <summary>The answer to a batch.</summary>
/// <param name="Id">What the log calls the request.</param>
/// <param name="Results">What became of the items, in their order.</param>
/// <param name="Total">How many items there are.</param>
/// <param name="Succeeded">How many of them were spoken.</param>
/// <param name="Failed">How many were not.</param>
internal sealed record BatchAnswer(string Id, IReadOnlyList<BatchItem> Results, int Total, int Succeeded, int Failed);

/// <summary>Speaks several texts for one request: a few at once, each a place in the queue of its own.</summary>
internal sealed class SpeechBatch(
    ModelNames models,
    SpeechAnswers answers,
    AudioCodecs codecs,
    RequestRate rate,
    IOptions<StrictOptions> strict
)
{
    private const int MostItems = 32;
    private const int MostAtOnce = 4;
    private const string Route = "/v1/audio/speech/batch";

    /// <summary>Speaks the items.</summary>
    /// <returns>What became of each, in their order, as soon as it is known.</returns>
    /// <exception cref="RefusedException">There are none, or too many.</exception>
    public IAsyncEnumerable<BatchItem> SpeakAsync(BatchBody body, HttpContext http) =>
        body.Items.Count is >= 1 and <= MostItems
            ? Speak(body, Caller.Of(http), http.RequestAborted)
            : throw OpenAiErrors.Invalid("items", $"'items' has {body.Items.Count} items; it must have 1 to {MostItems}.");

    private async IAsyncEnumerable<BatchItem> Speak(
        BatchBody body,
        Caller caller,
        [EnumeratorCancellation] CancellationToken cancellationToken
    )
    {
        using var left = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var speaking = new Queue<Task<BatchItem>>();
        try
        {
            foreach (var (index, item) in body.Items.Index())
            {
                if (speaking.Count == MostAtOnce)
                {
                    yield return await speaking.Dequeue();
                }

                speaking.Enqueue(SpeakItem(index, item, body.Shared ?? [], caller, left.Token));
            }

            while (speaking.Count > 0)
            {
                yield return await speaking.Dequeue();
            }
        }
        finally
        {
            await left.CancelAsync(); // where nobody listens any more
        }
    }

    private async Task<BatchItem> SpeakItem(
        int index,
        Dictionary<string, JsonElement> item,
        Dictionary<string, JsonElement> shared,
        Caller caller,
        CancellationToken cancellationToken
    )
    {
        try
        {
            if (index > 0)
            {
                rate.ThrowIfTooMany(caller.Client); // the first was counted as the request
            }

            var body = SpeechFields.Read(item, shared) with { Stream = false }; // audio comes whole, however it is asked for
            if (strict.Value.UnknownFields)
            {
                IgnoredFields.ThrowIfUnknown(body);
            }

            var format = SpeechFormat.Of(body.ResponseFormat, body.SampleRate, codecs);
            var (answer, place) = await answers.BeginPartAsync(caller, Route, models.Find(body.Model), body, format, cancellationToken);
            using (place)
            {
                var audio = await answer.CollectAsync(cancellationToken);
                return new(index, "success", audio, format.ContentType, SpeechUsage.Of(answer.Speech));
            }
        }
        catch (Exception e) when (!cancellationToken.IsCancellationRequested)
        {
            return new(index, "error", Error: OpenAiErrors.From(Refusal.From(e, caller.RequestId)));
        }
    }
}

/// <summary>Writes a <see cref="BatchAnswer"/> item by item, so that not all of its audio is in memory at once.</summary>
internal sealed class BatchResult(IAsyncEnumerable<BatchItem> items) : IResult
{
    /// <inheritdoc/>
    public async Task ExecuteAsync(HttpContext http)
    {
        var cancellationToken = http.RequestAborted;
        var body = http.Response.BodyWriter;
        var (total, failed) = (0, 0);
        http.Response.ContentType = "application/json; charset=utf-8";
        await foreach (var item in items.WithCancellation(cancellationToken))
        {
            Write(total == 0 ? $$"""{"id":{{Quoted(http.TraceIdentifier)}},"results":[""" : ",");
            await JsonSerializer.SerializeAsync(body, item, Json.Of<BatchItem>(), cancellationToken);
            await body.FlushAsync(cancellationToken);
            total++;
            failed += item.Error is null ? 0 : 1;
        }

        Write($$"""],"total":{{total}},"succeeded":{{total - failed}},"failed":{{failed}}}""");
        await body.FlushAsync(cancellationToken);

        void Write(string text) => Encoding.UTF8.GetBytes(text, body);
    }

    private static string Quoted(string text) => JsonSerializer.Serialize(text, Json.Of<string>());
}
