using System.Globalization;
using System.Net;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Chatterbox.Service.Hosting;

/// <summary>Keeps the number of connections well below the number of files that the process may open: a process that has none left
/// for a connection has none for its own work either, and ends.</summary>
internal static class ConnectionLimit
{
    private const int Most = 10_000;
    private const int Least = 16;
    private const int OwnFiles = 320; // of the process: two for each assembly, its folders, its log
    private const string LimitsFile = "/proc/self/limits";

    /// <summary>Refuses connections beyond the limit, and those of a client that has its share of them, by closing them.</summary>
    public static void LimitConnections(this KestrelServerOptions kestrel, int limit)
    {
        var gate = new ClientGate(limit);
        kestrel.ConfigureEndpointDefaults(listen =>
            listen.Use(next =>
                async connection =>
                {
                    using var place = gate.TryEnter((connection.RemoteEndPoint as IPEndPoint)?.Address.ToString() ?? "");
                    if (place is not null)
                    {
                        await next(connection);
                    }
                }
            )
        );
    }

    /// <summary>Most connections at once.</summary>
    /// <param name="set">The setting; 0 derives the number from the limit of open files.</param>
    public static int Of(int set) => set > 0 ? set : FromOpenFiles(File.Exists(LimitsFile) ? File.ReadLines(LimitsFile) : []);

    /// <summary>Half of the files that may be open besides the process's own, since what is served to a connection opens files too; at
    /// most 10,000.</summary>
    /// <param name="limits">Lines of <c>/proc/self/limits</c>; without them, as on other systems, 512 files are assumed.</param>
    internal static int FromOpenFiles(IEnumerable<string> limits)
    {
        const string Name = "Max open files",
            Default = "512";
        var soft =
            limits
                .FirstOrDefault(line => line.StartsWith(Name, StringComparison.Ordinal))
                ?[Name.Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries)[0]
            ?? Default;
        return long.TryParse(soft, NumberStyles.None, CultureInfo.InvariantCulture, out var files)
            ? (int)Math.Clamp((files - OwnFiles) / 2, Least, Most)
            : Most; // else unlimited
    }
}
