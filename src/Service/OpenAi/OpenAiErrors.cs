using System.Text.Json.Serialization;
using Chatterbox.Service.Hosting;

namespace Chatterbox.Service.OpenAi;

/// <summary>An error as OpenAI's clients know it.</summary>
/// <param name="Error">What was wrong.</param>
internal sealed record OpenAiErrorBody(OpenAiError Error);

/// <summary>What was wrong; all four fields are always there.</summary>
/// <param name="Message">In words.</param>
/// <param name="Type">Kind: invalid_request_error, authentication_error, rate_limit_error or server_error.</param>
/// <param name="Param">The parameter that was wrong, or null.</param>
/// <param name="Code">Short name of the reason, or null.</param>
internal sealed record OpenAiError(
    string Message,
    string Type,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] string? Param,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] string? Code
);

/// <summary>Turns refusals into OpenAI's error object: the only place that knows it.</summary>
internal static class OpenAiErrors
{
    /// <summary>The dialect.</summary>
    public static readonly ErrorDialect Dialect = new(
        (http, refusal) =>
            http.Response.WriteAsJsonAsync(
                new OpenAiErrorBody(From(refusal)),
                Json.Of<OpenAiErrorBody>(),
                cancellationToken: http.RequestAborted
            )
    );

    /// <summary>The error object of a refusal.</summary>
    public static OpenAiError From(Refusal refusal) => new(refusal.Message, TypeOf(refusal.Status), refusal.Parameter, refusal.Code);

    /// <summary>A parameter has a value that cannot be used.</summary>
    public static RefusedException Invalid(string parameter, string message, string code = "invalid_value") =>
        new(new Refusal(400, message, parameter, code));

    /// <summary>No model has this name.</summary>
    public static RefusedException NoModel(IEnumerable<string> known) =>
        new(new Refusal(404, $"The model does not exist. This service has {string.Join(", ", known)}.", "model", "model_not_found"));

    /// <summary>No voice has this name.</summary>
    public static RefusedException NoVoice() =>
        new(new Refusal(404, "The voice does not exist. GET /v1/audio/voices lists the voices.", "voice", "voice_not_found"));

    private static string TypeOf(int status) =>
        status switch
        {
            StatusCodes.Status401Unauthorized => "authentication_error",
            StatusCodes.Status429TooManyRequests => "rate_limit_error",
            >= 500 => "server_error",
            _ => "invalid_request_error",
        };
}
