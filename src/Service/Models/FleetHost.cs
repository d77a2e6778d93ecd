using Chatterbox.Models;
using Chatterbox.Service.Hosting;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Chatterbox.Service.Models;

/// <summary>Starts the fleet with the service and drains it when the service stops.</summary>
internal sealed class FleetHost(ModelFleet fleet, IHostApplicationLifetime lifetime) : IHostedService, IDisposable
{
    private readonly CancellationTokenSource _giveUp = new();
    private Task _drained = Task.CompletedTask;

    /// <inheritdoc/>
    public Task StartAsync(CancellationToken cancellationToken)
    {
        // At once, not in StopAsync: the server, which stops first, waits for answers that only draining engines give.
        lifetime.ApplicationStopping.Register(() => _drained = fleet.StopAsync(_giveUp.Token));
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
    public void Dispose() => _giveUp.Dispose();
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
            foreach (var name in Names(builder.Configuration))
            {
                builder.Services.AddSingleton(await ModelLoader.FindAsync(name, builder.Configuration["Device"], parts, logging, Progress(name, logger)));
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
            throw new SettingException("Model is a list. Write the names into one value, separated by commas: \"english, turbo\". The first is the default.");
        }

        var names = (settings["Model"] ?? ModelLocator.Auto).Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        return names.Length > 0 ? names : throw new SettingException("Model names no model. Name one or several, separated by commas, such as: english, turbo.");
    }

    private static Relay<double> Progress(string model, ILogger logger)
    {
        var twentieths = 0;
        return new Relay<double>(done =>
        {
            if ((int)(done * 20) > twentieths)
            {
                twentieths = (int)(done * 20);
                logger.LogInformation("Model {Model} is {Percent:0} % here", model, done * 100);
            }
        });
    }
}
