using Chatterbox.Engine;
using Chatterbox.Hosting;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Registers speech engines that start and stop with the application.</summary>
public static class ChatterboxServiceCollectionExtensions
{
    /// <summary>Registers an <see cref="ISpeechEngine"/>: its options are validated at the start, its model is loaded while the application
    /// starts, it has the health check
    /// <c>chatterbox</c>, and what has begun is finished when the application stops. Metrics and traces are those of
    /// <see cref="EngineMetrics.MeterName"/>.</summary>
    /// <param name="services">The services.</param>
    /// <param name="configure">Sets the options.</param>
    /// <returns>The options, for example to bind them to a section of the configuration.</returns>
    /// <example><code>
    /// builder.Services.AddChatterbox(options => options.Model = "nano");
    /// builder.Services.AddChatterbox().BindConfiguration("Chatterbox");
    /// </code></example>
    public static OptionsBuilder<ChatterboxOptions> AddChatterbox(
        this IServiceCollection services,
        Action<ChatterboxOptions>? configure = null
    )
    {
        services.AddSingleton(provider => HostedEngine.Create(provider, serviceKey: null));
        return services.AddHosted(serviceKey: null, configure);
    }

    /// <summary>Registers an <see cref="ISpeechEngine"/> by a key, for an application with several models; its health check is
    /// <c>chatterbox-</c> and the key.</summary>
    /// <param name="services">The services.</param>
    /// <param name="serviceKey">The key; its text is the name of the options.</param>
    /// <param name="configure">Sets the options.</param>
    /// <returns>The options, for example to bind them to a section of the configuration.</returns>
    public static OptionsBuilder<ChatterboxOptions> AddKeyedChatterbox(
        this IServiceCollection services,
        object serviceKey,
        Action<ChatterboxOptions>? configure = null
    )
    {
        ArgumentNullException.ThrowIfNull(serviceKey);
        services.AddKeyedSingleton(serviceKey, HostedEngine.Create);
        return services.AddHosted(serviceKey, configure);
    }

    private static OptionsBuilder<ChatterboxOptions> AddHosted(
        this IServiceCollection services,
        object? serviceKey,
        Action<ChatterboxOptions>? configure
    )
    {
        var name = HostedEngine.NameOf(serviceKey);
        services.TryAddEnumerable(ServiceDescriptor.Singleton<IValidateOptions<ChatterboxOptions>, ChatterboxOptionsValidation>());
        services.AddSingleton<IHostedService>(provider => new HostedEngine(provider, serviceKey));
        services
            .AddHealthChecks()
            .Add(
                new HealthCheckRegistration(
                    serviceKey is null ? "chatterbox" : $"chatterbox-{name}",
                    provider => new EngineHealthCheck(HostedEngine.Find(provider, serviceKey)),
                    failureStatus: null,
                    tags: ["ready"]
                )
            );
        var options = services.AddOptions<ChatterboxOptions>(name).ValidateOnStart();
        return configure is null ? options : options.Configure(configure);
    }
}
