using Chatterbox.Engine;
using Chatterbox.Extensions.AI;
using Microsoft.Extensions.AI;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Registers the engine's text-to-speech client.</summary>
public static class ChatterboxTextToSpeechServiceCollectionExtensions
{
    /// <summary>Registers an <see cref="ITextToSpeechClient"/> over the <see cref="ISpeechEngine"/> that is registered.</summary>
    /// <param name="services">The services.</param>
    /// <param name="configure">Sets defaults and voices.</param>
    /// <returns>The services.</returns>
    /// <example>With a pipeline of Microsoft.Extensions.AI:<code>
    /// services.AddTextToSpeechClient(provider => new ChatterboxTextToSpeechClient(provider.GetRequiredService&lt;ISpeechEngine&gt;()))
    ///     .UseLogging().UseOpenTelemetry();
    /// </code></example>
    public static IServiceCollection AddChatterboxTextToSpeech(
        this IServiceCollection services,
        Action<ChatterboxTextToSpeechOptions>? configure = null
    ) => services.AddSingleton<ITextToSpeechClient>(provider => Create(provider.GetRequiredService<ISpeechEngine>(), configure));

    /// <summary>Registers an <see cref="ITextToSpeechClient"/> over the <see cref="ISpeechEngine"/> that is registered with the same
    /// key.</summary>
    /// <param name="services">The services.</param>
    /// <param name="serviceKey">The key.</param>
    /// <param name="configure">Sets defaults and voices.</param>
    /// <returns>The services.</returns>
    public static IServiceCollection AddKeyedChatterboxTextToSpeech(
        this IServiceCollection services,
        object serviceKey,
        Action<ChatterboxTextToSpeechOptions>? configure = null
    ) =>
        services.AddKeyedSingleton<ITextToSpeechClient>(
            serviceKey,
            (provider, key) => Create(provider.GetRequiredKeyedService<ISpeechEngine>(key), configure)
        );

    private static ChatterboxTextToSpeechClient Create(ISpeechEngine engine, Action<ChatterboxTextToSpeechOptions>? configure)
    {
        var options = new ChatterboxTextToSpeechOptions();
        configure?.Invoke(options);
        return new ChatterboxTextToSpeechClient(engine, options);
    }
}
