namespace Chatterbox.Service.Hosting;

/// <summary>Who asks, for taking turns: the holder of a key where there are keys, else an address.</summary>
internal static class Clients
{
    /// <summary>Key of the item in which the check of API keys leaves who it found.</summary>
    public static readonly object KeyHolder = new();

    /// <summary>Name of the one who asks.</summary>
    public static string Of(HttpContext http) => http.Items[KeyHolder] as string ?? http.Connection.RemoteIpAddress?.ToString() ?? "";
}
