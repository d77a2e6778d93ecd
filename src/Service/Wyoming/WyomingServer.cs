using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Chatterbox.Service.Hosting;
using Chatterbox.Service.OpenAi;
using Chatterbox.Service.Sessions;
using Microsoft.Extensions.Options;

namespace Chatterbox.Service.Wyoming;

/// <summary>Puts it into the service.</summary>
internal static class WyomingSetup
{
    /// <summary>Listens, where its port is set.</summary>
    public static void AddWyoming(this WebApplicationBuilder builder)
    {
        if (builder.Read<WyomingOptions>(WyomingOptions.Section).Port > 0)
        {
            builder.Services.AddSingleton<WyomingServer>();
            builder.Services.AddHostedService(services => services.GetRequiredService<WyomingServer>());
        }
    }
}

/// <summary>Listens for clients of the protocol.</summary>
internal sealed class WyomingServer(
    SessionDesk desk,
    IOptions<WyomingOptions> options,
    IHostApplicationLifetime lifetime,
    ILogger<WyomingServer> logger
) : IHostedService, IAsyncDisposable
{
    private const string Home = "https://github.com/resemble-ai/chatterbox";

    private readonly HashSet<Task> _connections = [];
    private readonly Lock _gate = new();
    private readonly CancellationTokenSource _stopping = new();
    private TcpListener? _listener;
    private MdnsResponder? _responder;
    private Task _accepting = Task.CompletedTask;
    private bool _isDisposed;

    /// <summary>Where it listens; null while it does not.</summary>
    public IPEndPoint? EndPoint => (IPEndPoint?)_listener?.LocalEndpoint;

    /// <inheritdoc/>
    public Task StartAsync(CancellationToken cancellationToken)
    {
        var (address, port) = (options.Value.Address, options.Value.Port);
        _listener = new TcpListener(ListenAddress.Resolve(address), port);
        try
        {
            _listener.Start();
        }
        catch (SocketException e)
        {
            throw new SettingException(
                $"Wyoming:Port {port.ToString(CultureInfo.InvariantCulture)} on '{address}' cannot be used: {e.Message}. Choose another, "
                    + $"or 0 to leave it off.",
                e
            );
        }

        logger.LogInformation("Wyoming listens on {EndPoint}", EndPoint);
        _accepting = AcceptAsync(_listener);
        if (options.Value.Announce && !IPAddress.IsLoopback(EndPoint!.Address))
        {
            _responder = MdnsResponder.TryStart(
                new MdnsService("_wyoming._tcp.local", $"Chatterbox on {Dns.GetHostName()}", Dns.GetHostName(), (ushort)EndPoint.Port),
                logger
            );
        }

        return Task.CompletedTask;
    }

    /// <inheritdoc/>
    public async Task StopAsync(CancellationToken cancellationToken)
    {
        await (_responder?.DisposeAsync() ?? default);
        _responder = null;
        _listener?.Stop();
        await _accepting;
        Task[] open;
        lock (_gate)
        {
            open = [.. _connections];
        }

        // What is being spoken ends with its sentence, unless the time for it runs out.
        var all = Task.WhenAll(open);
        await Task.WhenAny(all, Task.Delay(Timeout.InfiniteTimeSpan, cancellationToken));
        await _stopping.CancelAsync();
        await all;
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (!_isDisposed) // it is registered as itself and as a hosted service, and each is disposed
        {
            _isDisposed = true;
            await _stopping.CancelAsync();
            await (_responder?.DisposeAsync() ?? default);
            _listener?.Dispose();
            _stopping.Dispose();
        }
    }

    /// <summary>What the service is, to a client that asks.</summary>
    private WyomingInfo Describe()
    {
        var model = desk.Fleet.Default;
        var attribution = new WyomingAttribution("Resemble AI", Home);
        IReadOnlyList<string> languages = model.Served.Languages.Count > 0 ? model.Served.Languages : ["en"];
        var voices = desk
            .Voices.List()
            .Voices.Where(voice => voice.Type != VoiceNames.Alias)
            .Select(voice => new WyomingVoice(voice.Id, attribution, Installed: true, voice.Name, Hosting.Home.Version, languages));
        var program = new WyomingProgram(
            "chatterbox",
            attribution,
            Installed: true,
            $"Chatterbox {model.Name}",
            Hosting.Home.Version,
            [.. voices],
            SupportsSynthesizeStreaming: true
        );
        return new([program], [], [], [], [], [], []);
    }

    private async Task AcceptAsync(TcpListener listener)
    {
        while (true)
        {
            try
            {
                var client = await listener.AcceptTcpClientAsync(lifetime.ApplicationStopping);
                var serving = ServeAsync(client);
                lock (_gate)
                {
                    _connections.Add(serving);
                }

                _ = serving.ContinueWith(Forget, TaskScheduler.Default);
            }
            catch (SocketException e) when (!lifetime.ApplicationStopping.IsCancellationRequested)
            {
                logger.LogWarning(e, "A client of Wyoming could not be accepted");
                await Task.Delay(TimeSpan.FromSeconds(0.1)); // such as when no file can be opened any more
            }
            catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
            {
                return;
            }
        }
    }

    private void Forget(Task connection)
    {
        lock (_gate)
        {
            _connections.Remove(connection);
        }
    }

    private async Task ServeAsync(TcpClient client)
    {
        await Task.Yield();
        using var connection = client;
        var caller = new Caller((client.Client.RemoteEndPoint as IPEndPoint)?.Address.ToString() ?? "", $"wyoming-{Guid.NewGuid():N}");
        try
        {
            using var place = desk.Enter(caller.Client);
            client.NoDelay = true;
            await using var serving = new WyomingConnection(client.GetStream(), desk, caller, Describe, _stopping.Token);
            await serving.RunAsync();
        }
        catch (RefusedException e)
        {
            logger.LogWarning("Wyoming: a client is refused: {Reason}", e.Message);
        }
        catch (Exception e)
        {
            logger.LogError(e, "Wyoming connection {RequestId} failed", caller.RequestId);
        }
    }
}
