using System.Diagnostics.Metrics;
using Chatterbox.Engine;
using Chatterbox.Hosting;
using Chatterbox.Tests.Models;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

namespace Chatterbox.Tests.Hosting;

/// <summary>Engines that start and stop with a host, with the tiny model.</summary>
public sealed class AddChatterboxTests
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task An_engine_starts_with_the_host_and_is_drained_when_it_stops()
    {
        var builder = Host.CreateApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true });
        builder.Configuration.AddInMemoryCollection([
            new("Speech:Model", TinyCheckpoint.Folder),
            new("Speech:WarmUp", "false"),
            new("Speech:Engine:MaxQueuedRequests", "7"),
        ]);
        builder.Services.AddChatterbox().BindConfiguration("Speech");
        using var listener = new MeterListener();
        var audioSeconds = 0d;
        listener.InstrumentPublished = (instrument, own) =>
        {
            if (instrument is { Name: "chatterbox.audio", Meter.Name: EngineMetrics.MeterName })
            {
                own.EnableMeasurementEvents(instrument);
            }
        };
        listener.SetMeasurementEventCallback<double>((_, seconds, _, _) => audioSeconds += seconds);
        listener.Start();

        var host = builder.Build();
        await host.StartAsync(Cancel);
        var engine = host.Services.GetRequiredService<ISpeechEngine>();
        await engine.Ready;
        Assert.Equal(7, engine.Status.Capacity);
        Assert.Equal(HealthStatus.Healthy, (await CheckAsync(host)).Entries["chatterbox"].Status);

        var speech = engine.SynthesizeAsync("Hello there.", sampling: new() { Seed = 1, MaxSpeechTokens = 25 }, cancellationToken: Cancel);
        await Waits.Until(() => engine.Status.Active == 1, "the request has begun");
        await host.StopAsync(Cancel);
        Assert.NotEmpty((await speech).Samples.ToArray());
        Assert.True(audioSeconds > 0);
        Assert.Equal(HealthStatus.Unhealthy, (await CheckAsync(host)).Entries["chatterbox"].Status);
        Assert.Throws<UnavailableException>(() => engine.Submit(new SpeechRequest { Pieces = ["Hello."] }, Cancel));
        await ((IAsyncDisposable)host).DisposeAsync();
    }

    [Fact]
    public async Task Several_engines_have_keys()
    {
        var builder = Host.CreateApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true });
        builder.Services.AddKeyedChatterbox("good", options => (options.Model, options.WarmUp) = (TinyCheckpoint.Folder, false));
        builder.Services.AddKeyedChatterbox("missing", options => options.Model = "no-such-model");
        var host = builder.Build();
        await host.StartAsync(Cancel);
        var (good, missing) = (
            host.Services.GetRequiredKeyedService<ISpeechEngine>("good"),
            host.Services.GetRequiredKeyedService<ISpeechEngine>("missing")
        );
        await good.Ready;
        await Assert.ThrowsAsync<CheckpointException>(() => missing.Ready);
        var report = await CheckAsync(host);
        Assert.Equal(
            (HealthStatus.Healthy, HealthStatus.Unhealthy),
            (report.Entries["chatterbox-good"].Status, report.Entries["chatterbox-missing"].Status)
        );
        Assert.IsType<CheckpointException>(report.Entries["chatterbox-missing"].Exception);
        await host.StopAsync(Cancel);
        await ((IAsyncDisposable)host).DisposeAsync();
    }

    [Fact]
    public async Task Options_out_of_range_stop_the_start()
    {
        var builder = Host.CreateApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true });
        builder.Services.AddChatterbox(options => (options.Model, options.Engine.MaxStreams) = ("", -1));
        await using var host = (IAsyncDisposable)builder.Build();
        var error = await Assert.ThrowsAsync<OptionsValidationException>(() => ((IHost)host).StartAsync(Cancel));
        Assert.Contains(nameof(ChatterboxOptions.Model), error.Message, StringComparison.Ordinal);
        Assert.Contains(nameof(EngineOptions.MaxStreams), error.Message, StringComparison.Ordinal);
    }

    private static Task<HealthReport> CheckAsync(IHost host) =>
        host.Services.GetRequiredService<HealthCheckService>().CheckHealthAsync(Cancel);
}
