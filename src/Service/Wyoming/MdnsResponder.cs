using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;

namespace Chatterbox.Service.Wyoming;

/// <summary>Tells a network of a service, by multicast DNS over IPv4: when it begins, when it is asked for, and when it ends.</summary>
/// <remarks>Each interface has a socket of its own, so that each network is told the machine's addresses in it. A library would have to be
/// kept; the ones for .NET are not.</remarks>
internal sealed class MdnsResponder : IAsyncDisposable
{
    private const int Port = 5353;
    private const int MostMessageBytes = 9000;

    private static readonly IPAddress Group = IPAddress.Parse("224.0.0.251");
    private static readonly TimeSpan BetweenAnnouncements = TimeSpan.FromSeconds(1);

    private readonly MdnsService _service;
    private readonly ILogger _logger;
    private readonly List<(Socket Socket, IReadOnlyList<IPAddress> Addresses)> _sockets;
    private readonly CancellationTokenSource _stopping = new();
    private readonly Task _running;

    private MdnsResponder(MdnsService service, List<(Socket, IReadOnlyList<IPAddress>)> sockets, ILogger logger)
    {
        (_service, _sockets, _logger) = (service, sockets, logger);
        _running = Task.WhenAll(_sockets.Select(Serve).Append(Announce()));
    }

    /// <summary>Begins on every interface that it can; null where there is none.</summary>
    public static MdnsResponder? TryStart(MdnsService service, ILogger logger)
    {
        var sockets = new List<(Socket, IReadOnlyList<IPAddress>)>();
        foreach (var (index, addresses) in Interfaces())
        {
            try
            {
                sockets.Add((Open(index), addresses));
            }
            catch (SocketException e)
            {
                logger.LogWarning("{Addresses}: cannot be announced there by mDNS: {Reason}", string.Join(", ", addresses), e.Message);
            }
        }

        if (sockets.Count == 0)
        {
            logger.LogWarning("There is no network in which {Name} could be announced by mDNS", service.Name);
            return null;
        }

        logger.LogInformation("{Name} is announced by mDNS", service.Name);
        return new MdnsResponder(service, sockets, logger);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (!_stopping.IsCancellationRequested)
        {
            await _stopping.CancelAsync();
            await _running;
            foreach (var (socket, addresses) in _sockets)
            {
                await Send(socket, MdnsMessage.Tell(_service, addresses, lifetime: 0), CancellationToken.None);
                socket.Dispose();
            }

            _stopping.Dispose();
        }
    }

    private static IEnumerable<(int Index, IReadOnlyList<IPAddress> Addresses)> Interfaces() =>
        from network in NetworkInterface.GetAllNetworkInterfaces()
        where
            network is { OperationalStatus: OperationalStatus.Up, SupportsMulticast: true }
            && network.NetworkInterfaceType != NetworkInterfaceType.Loopback
        let properties = network.GetIPProperties()
        let addresses = properties
            .UnicastAddresses.Select(address => address.Address)
            .Where(address => address.AddressFamily == AddressFamily.InterNetwork)
            .ToList()
        where addresses.Count > 0
        select (properties.GetIPv4Properties().Index, (IReadOnlyList<IPAddress>)addresses);

    private static Socket Open(int index)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        try
        {
            socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true); // others on this machine answer too
            socket.Bind(new IPEndPoint(IPAddress.Any, Port));
            socket.SetSocketOption(SocketOptionLevel.IP, SocketOptionName.AddMembership, new MulticastOption(Group, index));
            socket.SetSocketOption(SocketOptionLevel.IP, SocketOptionName.MulticastInterface, IPAddress.HostToNetworkOrder(index));
            socket.SetSocketOption(SocketOptionLevel.IP, SocketOptionName.MulticastTimeToLive, 255);
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private async Task Announce()
    {
        try
        {
            for (var times = 0; times < 2; times++)
            {
                await Task.Delay(times * BetweenAnnouncements, _stopping.Token);
                foreach (var (socket, addresses) in _sockets)
                {
                    await Send(socket, MdnsMessage.Tell(_service, addresses), _stopping.Token);
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The service stops.
        }
    }

    private async Task Serve((Socket Socket, IReadOnlyList<IPAddress> Addresses) network)
    {
        var message = new byte[MostMessageBytes];
        while (!_stopping.IsCancellationRequested)
        {
            try
            {
                var received = await network.Socket.ReceiveFromAsync(message, new IPEndPoint(IPAddress.Any, 0), _stopping.Token);
                var asked = MdnsMessage.Questions(message.AsSpan(0, received.ReceivedBytes)).Where(_service.Answers).ToList();
                if (asked.Count > 0)
                {
                    // A simple client asks from another port, and hears only what is sent there.
                    var asker = (IPEndPoint)received.RemoteEndPoint;
                    var isAlone = asker.Port != Port || asked.All(question => question.WantsUnicast);
                    await Send(network.Socket, MdnsMessage.Tell(_service, network.Addresses), _stopping.Token, isAlone ? asker : null);
                }
            }
            catch (SocketException e)
            {
                _logger.LogDebug(e, "A question by mDNS could not be received");
            }
            catch (OperationCanceledException)
            {
                return;
            }
        }
    }

    private async Task Send(Socket socket, byte[] message, CancellationToken cancellationToken, IPEndPoint? to = null)
    {
        try
        {
            await socket.SendToAsync(message, to ?? new IPEndPoint(Group, Port), cancellationToken);
        }
        catch (SocketException e)
        {
            _logger.LogDebug(e, "A message by mDNS could not be sent");
        }
    }
}
