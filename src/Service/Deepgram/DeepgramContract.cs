using System.Text.Json.Serialization;
using Chatterbox.Service.Hosting;

namespace Chatterbox.Service.Deepgram;

/// <summary>What <c>POST /v1/speak</c> takes.</summary>
/// <param name="Text">What to say.</param>
internal sealed record DeepgramBody(string Text);

/// <summary>More of the text.</summary>
/// <param name="Type">Speak.</param>
/// <param name="Text">The next characters.</param>
internal sealed record DeepgramText(string Type, string Text);

/// <summary>A message of the service over the WebSocket.</summary>
[JsonDerivedType(typeof(DeepgramMetadata))]
[JsonDerivedType(typeof(DeepgramAnswer))]
[JsonDerivedType(typeof(DeepgramWarning))]
internal abstract record DeepgramEvent;

/// <summary>The connection is ready.</summary>
/// <param name="RequestId">What the log calls it.</param>
/// <param name="ModelName">The voice that speaks.</param>
/// <param name="ModelVersion">The model.</param>
/// <param name="Type">Metadata.</param>
internal sealed record DeepgramMetadata(
    string RequestId,
    string ModelName,
    string ModelVersion,
    [property: JsonPropertyOrder(-1)] string Type = "Metadata"
) : DeepgramEvent;

/// <summary>The answer to a message.</summary>
/// <param name="Type">Flushed or Cleared.</param>
/// <param name="SequenceId">Number of the answer on this connection, from 0.</param>
internal sealed record DeepgramAnswer(string Type, int SequenceId) : DeepgramEvent;

/// <summary>A message could not be taken, or a sentence not be spoken.</summary>
/// <param name="Description">Why.</param>
/// <param name="Code">Short name of the reason.</param>
/// <param name="Type">Warning.</param>
internal sealed record DeepgramWarning(string Description, string Code, [property: JsonPropertyOrder(-1)] string Type = "Warning")
    : DeepgramEvent;

/// <summary>An error as Deepgram's clients know it.</summary>
/// <param name="ErrCode">Short name of the reason.</param>
/// <param name="ErrMsg">Why.</param>
/// <param name="RequestId">What the log calls the request.</param>
internal sealed record DeepgramErrorBody(string ErrCode, string ErrMsg, string RequestId);

/// <summary>Turns refusals into Deepgram's error object.</summary>
internal static class DeepgramErrors
{
    /// <summary>The dialect.</summary>
    public static readonly ErrorDialect Dialect = new(
        (http, refusal) =>
            http.Response.WriteAsJsonAsync(
                new DeepgramErrorBody((refusal.Code ?? "invalid_request").ToUpperInvariant(), refusal.Message, http.TraceIdentifier),
                Json.Of<DeepgramErrorBody>(),
                cancellationToken: http.RequestAborted
            )
    );
}
