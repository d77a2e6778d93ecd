namespace Chatterbox.Service.Hosting;

/// <summary>Which client sent a request, for a fair order: the holder of an API key where keys are set, else an address.</summary>
internal static class Clients
{
    /// <summary>Key of the item in which the check of API keys stores the holder.</summary>
    public static readonly object KeyHolder = new();

    /// <summary>Name of the client.</summary>
    public static string Of(HttpContext http) => http.Items[KeyHolder] as string ?? http.Connection.RemoteIpAddress?.ToString() ?? "";
}

/// <summary>Who asks for something.</summary>
/// <param name="Client">The client, for a fair order and for limits.</param>
/// <param name="RequestId">The request or connection, for the log.</param>
internal sealed record Caller(string Client, string RequestId)
{
    /// <summary>Who sent a request.</summary>
    public static Caller Of(HttpContext http) => new(Clients.Of(http), http.TraceIdentifier);
}
