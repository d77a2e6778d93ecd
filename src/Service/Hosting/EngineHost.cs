using Chatterbox.Engine;
using Chatterbox.Models;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Options;

namespace Chatterbox.Service.Hosting;

/// <summary>Starts the engine with the service and drains it when the service stops.</summary>
internal sealed class EngineHost(ISpeechEngine engine, LoadedModel model, IHostApplicationLifetime lifetime, ILogger<EngineHost> logger) : IHostedService, IDisposable
{
    private readonly CancellationTokenSource _giveUp = new();
    private Task _drained = Task.CompletedTask;

    /// <inheritdoc/>
    public Task StartAsync(CancellationToken cancellationToken)
    {
        // At once, not in StopAsync: the server, which stops first, waits for answers that only a draining engine gives.
        lifetime.ApplicationStopping.Register(() => _drained = engine.StopAsync(_giveUp.Token));
        _ = TellWhenReady();
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

    private async Task TellWhenReady()
    {
        try
        {
            await engine.Ready;
            logger.LogInformation("Model {Model} is ready on {Device}{StandIn}", model.Name, model.Device, model.StandIn ? ": a stand-in that only makes sound" : "");
        }
        catch (Exception e)
        {
            logger.LogCritical("Model {Model} could not be loaded, so every request for speech is refused: {Reason}", model.Name, e.Message);
        }
    }
}

/// <summary>Puts the engine into the service.</summary>
internal static class EngineSetup
{
    /// <summary>Registers the model that the settings name, unless one is registered already, and the engine that owns it.</summary>
    public static async Task AddEngineAsync(this WebApplicationBuilder builder)
    {
        if (builder.Services.All(service => service.ServiceType != typeof(LoadedModel)))
        {
            using var logging = builder.StartupLogging();
            var logger = logging.CreateLogger(typeof(ModelLoader));
            var twentieths = 0;
            var progress = new Relay<double>(done =>
            {
                if ((int)(done * 20) > twentieths)
                {
                    twentieths = (int)(done * 20);
                    logger.LogInformation("The model is {Percent:0} % here", done * 100);
                }
            });
            var name = builder.Configuration["Model"] ?? ModelLocator.Auto;
            builder.Services.AddSingleton(await ModelLoader.FindAsync(name, builder.Configuration["Device"], logging, progress));
        }

        builder.Services.TryAddSingleton(TimeProvider.System);
        builder.Services.TryAddSingleton<ISpeechEngine>(services => new SpeechEngine(
            [services.GetRequiredService<LoadedModel>().Load],
            services.GetRequiredService<IOptions<EngineOptions>>().Value,
            services.GetRequiredService<ILogger<SpeechEngine>>(),
            services.GetRequiredService<TimeProvider>(),
            services.GetRequiredService<EngineMetrics>()));
        builder.Services.AddHostedService<EngineHost>();
    }
}
