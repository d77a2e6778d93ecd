using System.Diagnostics;
using System.Diagnostics.Metrics;
using Chatterbox.Engine;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace Chatterbox.Service.Hosting;

/// <summary>Metrics and traces: Prometheus reads <c>/metrics</c>; an OTLP collector gets both if OTEL_EXPORTER_OTLP_ENDPOINT names
/// one.</summary>
internal static class Telemetry
{
    /// <summary>Registers the measurements and where they are sent.</summary>
    public static void AddTelemetry(this WebApplicationBuilder builder)
    {
        var sends = builder.Configuration["OTEL_EXPORTER_OTLP_ENDPOINT"] is { Length: > 0 };
        builder.Services.AddSingleton<ServiceMetrics>();
        builder.Services.AddSingleton<SpeechDesk>();
        builder
            .Services.AddOpenTelemetry()
            .ConfigureResource(resource => resource.AddService("chatterbox"))
            .WithMetrics(metrics =>
            {
                metrics.AddMeter(
                    ServiceMetrics.MeterName,
                    EngineMetrics.MeterName,
                    "Microsoft.AspNetCore.Hosting",
                    "Microsoft.AspNetCore.Server.Kestrel",
                    "System.Runtime"
                );
                metrics.AddPrometheusExporter();
                if (sends)
                {
                    metrics.AddOtlpExporter();
                }
            })
            .WithTracing(traces =>
            {
                traces.AddSource(EngineMetrics.MeterName);
                traces.AddAspNetCoreInstrumentation(); // without queries, which may have texts
                if (sends)
                {
                    traces.AddOtlpExporter();
                }
            });
    }

    /// <summary>Adds the route that Prometheus reads.</summary>
    public static void MapTelemetry(this WebApplication app)
    {
        app.Services.GetRequiredService<ServiceMetrics>();
        app.MapPrometheusScrapingEndpoint("/metrics");
    }
}

/// <summary>What is measured of requests; the engine measures its own work.</summary>
internal sealed class ServiceMetrics
{
    /// <summary>Name of the meter.</summary>
    public const string MeterName = "Chatterbox.Service";

    private readonly Counter<long> _requests;
    private readonly Histogram<double> _firstAudio;
    private readonly Counter<long> _voices;
    private readonly UpDownCounter<int> _sessions;
    private readonly Meter _meter;

    public ServiceMetrics(IMeterFactory meters)
    {
        var meter = _meter = meters.Create(MeterName);
        _requests = meter.CreateCounter<long>("chatterbox.requests", "{request}", "Requests for speech, by route, model and outcome.");
        _firstAudio = meter.CreateHistogram(
            "chatterbox.first_audio",
            "s",
            "Time from a request to its first audio.",
            advice: new InstrumentAdvice<double>
            {
                HistogramBucketBoundaries = [0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30, 60, 120],
            }
        );
        _voices = meter.CreateCounter<long>("chatterbox.voices", "{voice}", "Voices requested, by where they were found.");
        _sessions = meter.CreateUpDownCounter<int>("chatterbox.sessions", "{session}", "WebSocket sessions that are open.");
    }

    /// <summary>A request is over.</summary>
    public void Ended(string route, string model, string outcome) =>
        _requests.Add(
            1,
            new TagList
            {
                { "route", route },
                { "model", model },
                { "outcome", outcome },
            }
        );

    /// <summary>A request has its first audio.</summary>
    public void FirstAudio(string route, string model, TimeSpan after) =>
        _firstAudio.Record(after.TotalSeconds, new TagList { { "route", route }, { "model", model } });

    /// <summary>A session has been opened, or closed.</summary>
    public void SessionsChanged(int by) => _sessions.Add(by);

    /// <summary>Measures the jobs.</summary>
    /// <param name="count">Counts them by their state.</param>
    public void ObserveJobs(Func<IEnumerable<KeyValuePair<string, int>>> count) =>
        _meter.CreateObservableGauge(
            "chatterbox.jobs",
            () => count().Select(jobs => new Measurement<int>(jobs.Value, new TagList { { "state", jobs.Key } })),
            "{job}",
            "Jobs that are kept, by state."
        );

    /// <summary>A voice was found in memory or on disk, or had to be made.</summary>
    public void VoiceFound(string where) => _voices.Add(1, new TagList { { "found", where } });
}
