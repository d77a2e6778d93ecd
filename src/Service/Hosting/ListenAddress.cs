using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Chatterbox.Service.Hosting;

/// <summary>Where the service listens.</summary>
internal static class ListenAddress
{
    /// <summary>Makes sure, before models are downloaded and loaded, that the port is free.</summary>
    /// <exception cref="SettingException">It is not.</exception>
    public static void ThrowIfTaken(string address, int port)
    {
        if (port == 0)
        {
            return;
        }

        try
        {
            using var listener = new TcpListener(Resolve(address), port);
            listener.Start();
        }
        catch (SocketException e)
        {
            var reason =
                e.SocketErrorCode == SocketError.AddressAlreadyInUse
                    ? "is in use by another program, or another copy of this one"
                    : $"cannot be used: {e.Message}";
            var another = (port + 1).ToString(CultureInfo.InvariantCulture);
            throw new SettingException(
                $"Port {port} on '{address}' {reason}. Stop that program, or choose another port: --port {another} "
                    + $"(in the environment: Service__Port={another}).",
                e
            );
        }
    }

    /// <summary>The address of a setting.</summary>
    public static IPAddress Resolve(string address) =>
        address == "localhost" ? IPAddress.Loopback
        : IPAddress.TryParse(address, out var ip) ? ip
        : IPAddress.Any;
}
