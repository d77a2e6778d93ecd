namespace Chatterbox.Service.Hosting;

/// <summary>Where the service listens unless the settings say it: without keys on this machine only, but for a container, whose ports
/// are opened outside of it.</summary>
internal static class DefaultAddress
{
    /// <summary>The value of <c>Service:Address</c> that leaves the choice to the service.</summary>
    public const string Auto = "auto";

    private const string Everywhere = "*";

    /// <summary>The address to listen on.</summary>
    /// <param name="address"><c>Service:Address</c>.</param>
    /// <param name="port"><c>Service:Port</c>.</param>
    /// <param name="hasKeys">Whether requests must carry a key.</param>
    /// <param name="inContainer">Whether the process runs in a container.</param>
    public static string Choose(string address, int port, bool hasKeys, bool inContainer) =>
        address != Auto ? address
        : hasKeys || inContainer ? Everywhere
        : port == 0 ? "127.0.0.1" // the server finds no free port for both addresses of localhost
        : "localhost";

    /// <summary>Whether this process runs in a container.</summary>
    public static bool IsInContainer() =>
        Environment.GetEnvironmentVariable("DOTNET_RUNNING_IN_CONTAINER") is "true" or "1"
        || File.Exists("/.dockerenv")
        || File.Exists("/run/.containerenv");

    /// <summary>Whether none of the addresses is reachable from other machines.</summary>
    public static bool IsLocal(IEnumerable<string> addresses) =>
        addresses.All(address => BindingAddress.Parse(address).Host is "localhost" or "127.0.0.1" or "[::1]");
}
