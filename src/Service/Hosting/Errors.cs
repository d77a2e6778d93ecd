using System.Globalization;
using System.Text.Json;
using Chatterbox.Models;
using Chatterbox.Service.Speak;

namespace Chatterbox.Service.Hosting;

/// <summary>Why a request is not served, before any dialect has put it into its own shape.</summary>
/// <param name="Status">HTTP status.</param>
/// <param name="Message">What was wrong, what was expected, how to put it right.</param>
/// <param name="Parameter">Name of the parameter that was wrong, where it was one.</param>
/// <param name="Code">Short name of the reason, for programs.</param>
/// <param name="RetryAfter">When it is worth trying again, where it is.</param>
internal sealed record Refusal(int Status, string Message, string? Parameter = null, string? Code = null, TimeSpan? RetryAfter = null)
{
    /// <summary>Finds what an exception means to the sender of a request.</summary>
    public static Refusal From(Exception error, HttpContext http) =>
        error switch
        {
            BadHttpRequestException { StatusCode: StatusCodes.Status413PayloadTooLarge } => new(
                StatusCodes.Status413PayloadTooLarge,
                "The request body is larger than this service takes. Send less.",
                Code: "request_too_large"
            ),
            BadHttpRequestException { InnerException: JsonException json } => RequestBody.Describe(json, http),
            BadHttpRequestException { StatusCode: StatusCodes.Status415UnsupportedMediaType } => new(
                StatusCodes.Status400BadRequest,
                "The request needs a JSON body, with the header 'Content-Type: application/json'.",
                Code: "invalid_json"
            ),
            BadHttpRequestException { StatusCode: StatusCodes.Status400BadRequest } bad => RequestBody.Describe(bad, http),
            BadHttpRequestException bad => new(
                bad.StatusCode,
                "The request could not be read to its end. Send it again.",
                Code: "invalid_request"
            ),
            _ => From(error, http.TraceIdentifier),
        };

    /// <summary>Finds what an exception means to the caller.</summary>
    /// <param name="error">The exception.</param>
    /// <param name="requestId">What the log calls the request or connection.</param>
    public static Refusal From(Exception error, string requestId) =>
        error switch
        {
            RefusedException refused => refused.Refusal,
            ModelFailedException => new(
                StatusCodes.Status500InternalServerError,
                "The speech could not be generated. Try again with another seed.",
                Code: "speech_failed"
            ),
            EngineBusyException busy => new(
                StatusCodes.Status429TooManyRequests,
                busy.Message,
                Code: "queue_full",
                RetryAfter: busy.RetryAfter
            ),
            UnavailableException unavailable => new(
                StatusCodes.Status503ServiceUnavailable,
                unavailable.Message,
                Code: "unavailable",
                RetryAfter: TimeSpan.FromSeconds(5)
            ),
            RequestException request => new(
                StatusCodes.Status400BadRequest,
                request.Message,
                RequestBody.NameOf(request.Parameter),
                "invalid_value"
            ),
            VoiceException voice => new(StatusCodes.Status400BadRequest, voice.Message, "voice", "unusable_voice"),
            InvalidOutputException invalid => new(StatusCodes.Status500InternalServerError, invalid.Message, Code: "speech_failed"),
            EncoderException => new(
                StatusCodes.Status500InternalServerError,
                $"The audio could not be encoded. Ask for wav or pcm; the log has the reason, with request id {requestId}.",
                Code: "encoder_failed"
            ),
            IOException full when DiskErrors.IsFull(full) => new(
                StatusCodes.Status507InsufficientStorage,
                "The disk of this service is full: nothing of the request was kept. Free some room, or lower Service:MaxAudioBytes.",
                Code: "disk_full"
            ),
            _ => new(
                StatusCodes.Status500InternalServerError,
                $"The service failed. Its log has the reason, with request id {requestId}.",
                Code: "internal_error"
            ),
        };
}

/// <summary>Thrown by a route that refuses a request.</summary>
internal sealed class RefusedException(Refusal refusal) : Exception(refusal.Message)
{
    /// <summary>Why.</summary>
    public Refusal Refusal { get; } = refusal;
}

/// <summary>The shape of the errors of a group of routes.</summary>
/// <param name="Write">Writes the body; status and headers are set.</param>
internal sealed record ErrorDialect(Func<HttpContext, Refusal, Task> Write);

/// <summary>Turns everything that is thrown, and every bare error status, into an answer in the dialect of its route.</summary>
internal static class ErrorMiddleware
{
    /// <summary>Adds it; everything after it is covered.</summary>
    public static void UseErrors(this WebApplication app)
    {
        var logger = app.Services.GetRequiredService<ILoggerFactory>().CreateLogger("Chatterbox.Service.Errors");
        app.Use(
            async (http, next) =>
            {
                try
                {
                    await next(http);
                    if (http.Response is { HasStarted: false, StatusCode: >= 400, ContentType: null, ContentLength: null })
                    {
                        await Refuse(http, OfBareStatus(http));
                    }
                }
                catch (OperationCanceledException) when (http.RequestAborted.IsCancellationRequested)
                {
                    // The client has disconnected: there is no one to answer.
                }
                catch (Exception e)
                {
                    var refusal = Refusal.From(e, http);
                    if (refusal.Status == StatusCodes.Status507InsufficientStorage)
                    {
                        logger.LogError("Request {RequestId} failed: {Reason}", http.TraceIdentifier, e.Message);
                    }
                    else if (refusal.Status >= 500 && e is EncoderException or not (ChatterboxException or RefusedException))
                    {
                        logger.LogError(e, "Request {RequestId} failed", http.TraceIdentifier);
                    }

                    if (http.Response.HasStarted)
                    {
                        // What has been sent cannot be taken back; an answer that breaks off is known to be incomplete.
                        http.Abort();
                        return;
                    }

                    await Refuse(http, refusal);
                }
            }
        );
    }

    /// <summary>Answers with an error in the dialect of the route.</summary>
    public static Task Refuse(HttpContext http, Refusal refusal)
    {
        http.Response.Clear();
        http.Response.StatusCode = refusal.Status;
        if (refusal.RetryAfter is { } wait)
        {
            http.Response.Headers.RetryAfter = Math.Max(1, Math.Ceiling(wait.TotalSeconds)).ToString(CultureInfo.InvariantCulture);
        }

        if (refusal.Status == StatusCodes.Status401Unauthorized)
        {
            http.Response.Headers.WWWAuthenticate = "Bearer";
        }

        return DialectOf(http).Write(http, refusal);
    }

    private static Refusal OfBareStatus(HttpContext http) =>
        http.Response.StatusCode switch
        {
            StatusCodes.Status404NotFound => new(404, "There is no such route. GET / lists the routes.", Code: "not_found"),
            StatusCodes.Status405MethodNotAllowed => new(
                405,
                $"This address does not answer {(IsKnown(http.Request.Method) ? http.Request.Method : "this method")}.",
                Code: "method_not_allowed"
            ),
            StatusCodes.Status413PayloadTooLarge => new(
                413,
                "The request body is larger than this service takes. Send less.",
                Code: "request_too_large"
            ),
            StatusCodes.Status415UnsupportedMediaType => new(
                400,
                "The request needs a JSON body, with the header 'Content-Type: application/json'.",
                Code: "invalid_json"
            ),
            var status => new(status, "The request could not be served.", Code: "invalid_request"),
        };

    private static bool IsKnown(string method) =>
        HttpMethods.IsGet(method)
        || HttpMethods.IsPost(method)
        || HttpMethods.IsPut(method)
        || HttpMethods.IsDelete(method)
        || HttpMethods.IsPatch(method)
        || HttpMethods.IsHead(method);

    private static ErrorDialect DialectOf(HttpContext http) =>
        http.GetEndpoint()?.Metadata.GetMetadata<ErrorDialect>()
        ?? (
            http.Request.Path.StartsWithSegments("/v1") ? OpenAi.OpenAiErrors.Dialect
            : http.Request.Path.StartsWithSegments("/speak") || http.Request.Path.StartsWithSegments("/audio") ? SpeakErrors.Dialect
            : ProblemErrors.Dialect
        );
}

/// <summary>Problem details (RFC 9457), for routes without a contract of their own.</summary>
internal static class ProblemErrors
{
    /// <summary>The dialect.</summary>
    public static readonly ErrorDialect Dialect = new(
        (http, refusal) =>
            TypedResults
                .Problem(
                    detail: refusal.Message,
                    statusCode: refusal.Status,
                    extensions: new Dictionary<string, object?> { ["code"] = refusal.Code, ["requestId"] = http.TraceIdentifier }
                )
                .ExecuteAsync(http)
    );
}
