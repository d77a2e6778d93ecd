using System.Diagnostics.Metrics;
using Chatterbox.Engine;
using Chatterbox.Models;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;

namespace Chatterbox.Hosting;

/// <summary>Starts an engine with the application, and drains it when the application stops.</summary>
/// <param name="provider">The application's services.</param>
/// <param name="serviceKey">The engine's key; null for the one without a key.</param>
internal sealed class HostedEngine(IServiceProvider provider, object? serviceKey) : IHostedService
{
    private ISpeechEngine? _engine;

    /// <summary>Creates an engine, which begins to load its model.</summary>
    /// <param name="provider">The application's services.</param>
    /// <param name="serviceKey">The engine's key; null for the one without a key.</param>
    public static ISpeechEngine Create(IServiceProvider provider, object? serviceKey)
    {
        var options = provider.GetRequiredService<IOptionsMonitor<ChatterboxOptions>>().Get(NameOf(serviceKey));
        var logging = provider.GetService<ILoggerFactory>() ?? NullLoggerFactory.Instance;
        var stopping = provider.GetService<IHostApplicationLifetime>()?.ApplicationStopping ?? CancellationToken.None;
        return new SpeechEngine(
            [() => Load(options, logging.CreateLogger<ModelLocator>(), stopping)],
            options.Engine,
            logging.CreateLogger<SpeechEngine>(),
            provider.GetService<TimeProvider>(),
            provider.GetService<IMeterFactory>() is { } meters ? new EngineMetrics(meters, options.Model) : null
        );
    }

    /// <summary>Name of the options of an engine.</summary>
    public static string NameOf(object? serviceKey) => serviceKey?.ToString() ?? Options.DefaultName;

    /// <summary>The engine of a key.</summary>
    public static ISpeechEngine Find(IServiceProvider provider, object? serviceKey) =>
        serviceKey is null ? provider.GetRequiredService<ISpeechEngine>() : provider.GetRequiredKeyedService<ISpeechEngine>(serviceKey);

    /// <summary>Begins to load the model; requests wait until it is loaded.</summary>
    public Task StartAsync(CancellationToken cancellationToken)
    {
        _engine = Find(provider, serviceKey);
        return Task.CompletedTask;
    }

    /// <summary>Finishes the requests that have begun; those left when the host's time to stop is over are cancelled.</summary>
    public Task StopAsync(CancellationToken cancellationToken) => _engine?.StopAsync(cancellationToken) ?? Task.CompletedTask;

    // On the engine's own thread, which may wait for a download.
    private static ChatterboxModel Load(ChatterboxOptions options, ILogger<ModelLocator> logger, CancellationToken stopping)
    {
        var progress = new DownloadLog(options.Model, logger);
        var model = ChatterboxModel
            .LoadAsync(options.Model, new() { Device = options.Device, Precision = options.Precision }, progress, stopping)
            .GetAwaiter()
            .GetResult();
        try
        {
            if (options.WarmUp)
            {
                model.WarmUp();
            }

            return model;
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>Logs every tenth part of a download.</summary>
    private sealed class DownloadLog(string model, ILogger logger) : IProgress<double>
    {
        private int _tenths;

        public void Report(double value)
        {
            var tenths = (int)(value * 10);
            if (tenths > _tenths)
            {
                _tenths = tenths;
                logger.LogInformation("Downloading {Model}: {Percent} %", model, tenths * 10);
            }
        }
    }
}

/// <summary>Healthy while an engine serves requests.</summary>
/// <param name="engine">The engine.</param>
internal sealed class EngineHealthCheck(ISpeechEngine engine) : IHealthCheck
{
    /// <inheritdoc/>
    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        var status = engine.Status;
        return Task.FromResult(
            new HealthCheckResult(
                status.State == EngineState.Ready ? HealthStatus.Healthy : context.Registration.FailureStatus,
                $"The engine is {status.State.ToString().ToLowerInvariant()}; {status.Active} requests have begun, {status.Waiting} of "
                    + $"at most {status.Capacity} wait.",
                engine.Ready.Exception?.InnerException
            )
        );
    }
}
