using Chatterbox.Models;
using Chatterbox.Service.Hosting;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Options;

namespace Chatterbox.Service.Models;

/// <summary>Starts the fleet with the service and drains it when the service stops.</summary>
internal sealed class FleetHost(ModelFleet fleet, IHostApplicationLifetime lifetime, IOptions<ServiceOptions> options, TimeProvider time)
    : IHostedService,
        IDisposable
{
    private readonly CancellationTokenSource _giveUp = new();
    private ITimer? _limit;
    private Task _drained = Task.CompletedTask;

    /// <inheritdoc/>
    public Task StartAsync(CancellationToken cancellationToken)
    {
        // At once, not in StopAsync: the server, which stops first, waits for answers that only draining engines give.
        // What is not done in time is given up before the server closes its connections, so that its clients get the reason.
        lifetime.ApplicationStopping.Register(() =>
        {
            _limit = time.CreateTimer(
                _ => _giveUp.Cancel(),
                null,
                TimeSpan.FromSeconds(options.Value.ShutdownSeconds),
                Timeout.InfiniteTimeSpan
            );
            _drained = fleet.StopAsync(_giveUp.Token);
        });
        fleet.Start();
        return Task.CompletedTask;
    }

    /// <inheritdoc/>
    public async Task StopAsync(CancellationToken cancellationToken)
    {
        using (cancellationToken.Register(_giveUp.Cancel))
        {
            await _drained;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _limit?.Dispose();
        _giveUp.Dispose();
    }
}

/// <summary>Puts the models into the service.</summary>
internal static class FleetSetup
{
    /// <summary>Registers the models that the settings name, unless some are registered already, and the fleet that owns them.</summary>
    public static async Task AddModelsAsync(this WebApplicationBuilder builder)
    {
        if (builder.Services.All(service => service.ServiceType != typeof(ServedModel)))
        {
            using var logging = builder.StartupLogging();
            var logger = logging.CreateLogger(typeof(ModelLoader));
            var parts = new SharedParts();
            var selfCheck = builder.Configuration.GetValue($"{ModelsOptions.Section}:{nameof(ModelsOptions.SelfCheck)}", true);
            foreach (var name in Names(builder.Configuration))
            {
                var progress = new ProgressLine(name, logger);
                builder.Services.AddSingleton(
                    await ModelLoader.FindAsync(name, builder.Configuration["Device"], parts, logging, progress, selfCheck: selfCheck)
                );
            }
        }

        builder.Services.TryAddSingleton(TimeProvider.System);
        builder.Services.AddSingleton<ModelFleet>();
        builder.Services.AddHostedService<FleetHost>();
    }

    /// <summary>The models that the setting names, separated by commas.</summary>
    private static string[] Names(IConfiguration settings)
    {
        if (settings.GetSection("Model").GetChildren().Any())
        {
            throw new SettingException(
                "Model is a list. Write the names into one value, separated by commas: \"english, turbo\". The first is the default."
            );
        }

        var names = (settings["Model"] ?? ModelLocator.Auto).Split(
            ',',
            StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries
        );
        return names.Length > 0
            ? names
            : throw new SettingException("Model names no model. Name one or several, separated by commas, such as: english, turbo.");
    }
}
