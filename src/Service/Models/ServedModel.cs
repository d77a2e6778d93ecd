using Chatterbox.Engine;

namespace Chatterbox.Service.Models;

/// <summary>A model that the service offers, in memory or not.</summary>
/// <param name="Name">Its name on the routes.</param>
/// <param name="Device">Where it runs: cuda or cpu.</param>
/// <param name="StandIn">True for the tiny model that only makes sound, so that all of the service can be tried without weights.</param>
/// <param name="Load">Loads it; called on the thread that will own it.</param>
internal sealed record ServedModel(string Name, string Device, bool StandIn, Func<ISpeechModel> Load)
{
    /// <summary>Codes of the languages it speaks by choice; empty if it speaks one, and takes no language.</summary>
    public IReadOnlyList<string> Languages { get; init; } = [];

    /// <summary>Code of the language of a text that comes without one; null where it may be any of several.</summary>
    public string? OnlyLanguage { get; init; } = "en";

    /// <inheritdoc cref="ModelDescription.SpellsOut"/>
    public bool SpellsOut { get; init; }

    /// <summary>Tags of sounds and moods that it speaks, without their brackets: laugh, sigh, ….</summary>
    public IReadOnlyList<string> Tags { get; init; } = [];

    /// <summary>Parameters of requests, by their names there, that it does not have.</summary>
    public IReadOnlyList<string> Lacks { get; init; } = [];

    /// <summary>What it takes of the memory for weights; files with equal names are there once for all models.</summary>
    public IReadOnlyList<WeightMemory> Weights { get; init; } = [];
}
