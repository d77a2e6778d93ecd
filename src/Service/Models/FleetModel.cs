using Chatterbox.Audio;
using Chatterbox.Engine;

namespace Chatterbox.Service.Models;

/// <summary>A model of the fleet, as those see it who ask something of it: it is there, even while it is not in memory.</summary>
internal sealed class FleetModel(ServedModel served, ModelFleet fleet)
{
    /// <summary>What it is.</summary>
    public ServedModel Served => served;

    /// <summary>Its name on the routes.</summary>
    public string Name => served.Name;

    /// <summary>Where it is.</summary>
    public ModelState State => fleet.StateOf(this);

    /// <summary>How its stages are computed, as of the last time that it was loaded.</summary>
    public RuntimeReport Runtime { get; internal set; } = RuntimeReport.Empty;

    /// <summary>What it found of the device's arithmetic then.</summary>
    public SelfCheck SelfCheck { get; internal set; } = SelfCheck.TurnedOff;

    /// <summary>Its requests.</summary>
    public EngineStatus Status => fleet.StatusOf(this);

    /// <summary>Its stay in memory, or its wait for one; the fleet's.</summary>
    internal Residence? Residence { get; set; }

    /// <summary>Puts a request into its queue.</summary>
    /// <inheritdoc cref="ISpeechEngine.Submit"/>
    public SpeechJob Submit(EngineRequest request, CancellationToken cancellationToken) => fleet.Submit(this, request, cancellationToken);

    /// <inheritdoc cref="ISpeechEngine.CreateVoiceAsync"/>
    public Task<Voice> CreateVoiceAsync(AudioClip recording, string client, CancellationToken cancellationToken = default) =>
        fleet.RunAsync(this, client, engine => engine.CreateVoiceAsync(recording, client, cancellationToken));

    /// <inheritdoc cref="ISpeechEngine.DetectWatermarkAsync"/>
    public Task<double?> DetectWatermarkAsync(AudioClip recording, string client, CancellationToken cancellationToken = default) =>
        fleet.RunAsync(this, client, engine => engine.DetectWatermarkAsync(recording, client, cancellationToken));
}

/// <summary>Where a model is.</summary>
internal enum ModelState
{
    /// <summary>Not in memory; loaded for the next request that names it.</summary>
    Unloaded,

    /// <summary>On its way into memory, or waiting for room there; requests wait with it.</summary>
    Loading,

    /// <summary>In memory.</summary>
    Ready,

    /// <summary>It could not be loaded.</summary>
    Failed,
}
