using Chatterbox.Engine;

namespace Chatterbox.Service.Models;

/// <summary>A model's stay in memory, from the first who asked for it until it is unloaded. Everything under the fleet's lock.</summary>
internal sealed class Residence(FleetModel model)
{
    /// <summary>Who stays.</summary>
    public FleetModel Model => model;

    /// <summary>What serves it; its requests wait in it even before there is room.</summary>
    public SpeechEngine Engine { get; set; } = null!;

    /// <summary>Whether memory was set aside for it.</summary>
    public bool HasRoom { get; set; }

    /// <summary>Whether it takes nothing more, and goes when it has finished what it has.</summary>
    public bool IsLeaving { get; set; }

    /// <summary>Whether it is being unloaded.</summary>
    public bool IsOff { get; set; }

    /// <summary>When it was last asked for or seen at work.</summary>
    public long LastUsed { get; set; }

    /// <summary>When it could not be loaded.</summary>
    public long? FailedAt { get; set; }

    /// <summary>Whether it has work in hand.</summary>
    public bool IsBusy => Engine.Status is { Waiting: > 0 } or { Active: > 0 };
}
