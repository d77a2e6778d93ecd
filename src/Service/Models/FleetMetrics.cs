using System.Diagnostics.Metrics;
using Chatterbox.Service.Hosting;

namespace Chatterbox.Service.Models;

/// <summary>What is measured of the models: which are in memory, and who waits for them.</summary>
internal sealed class FleetMetrics
{
    private readonly Histogram<double> _load;

    public FleetMetrics(IMeterFactory meters, ModelFleet fleet)
    {
        var meter = meters.Create(ServiceMetrics.MeterName);
        _load = meter.CreateHistogram(
            "chatterbox.model.load",
            "s",
            "Time to load a model.",
            advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120] }
        );
        IEnumerable<Measurement<int>> Each(Func<FleetModel, int> value) =>
            fleet.All.Select(model => new Measurement<int>(value(model), new KeyValuePair<string, object?>("model", model.Name)));
        meter.CreateObservableGauge(
            "chatterbox.model.loaded",
            () => Each(model => model.State == ModelState.Ready ? 1 : 0),
            "{model}",
            "Whether a model is in memory."
        );
        meter.CreateObservableGauge(
            "chatterbox.models.memory",
            () => fleet.Memory,
            "By",
            "Memory for the weights of the models that are there."
        );
        meter.CreateObservableGauge(
            "chatterbox.queue.waiting",
            () => Each(model => model.Status.Waiting),
            "{request}",
            "Requests that have not begun."
        );
        meter.CreateObservableGauge(
            "chatterbox.queue.active",
            () => Each(model => model.Status.Active),
            "{request}",
            "Requests that have begun."
        );
        meter.CreateObservableGauge(
            "chatterbox.queue.capacity",
            () => fleet.Capacity,
            "{request}",
            "Most requests that may wait, for all models together."
        );
    }

    /// <summary>A model has been loaded.</summary>
    public void Loaded(string model, TimeSpan taken) => _load.Record(taken.TotalSeconds, new KeyValuePair<string, object?>("model", model));
}
