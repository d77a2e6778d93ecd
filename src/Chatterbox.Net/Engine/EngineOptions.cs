using System.ComponentModel.DataAnnotations;

namespace Chatterbox.Engine;

/// <summary>Limits of a <see cref="SpeechEngine"/>.</summary>
public sealed class EngineOptions
{
    /// <summary>Most requests that may wait; one more is refused.</summary>
    [Range(1, 100_000)]
    public int MaxQueuedRequests { get; set; } = 64;

    /// <summary>Most seconds from a request's arrival to its last audio; then it is given up with an error.</summary>
    [Range(1, 86_400)]
    public double RequestTimeoutSeconds { get; set; } = 600;

    /// <summary>Most pieces that a model speaks at once, chunk by chunk and by turns; others wait until one of them is over. Each
    /// takes memory of its own in T3: on a GPU up to 0.3 GB for 40 s of speech.</summary>
    [Range(1, 1000)]
    public int MaxStreams { get; set; } = 8;

    /// <summary>Whether a piece that went wrong (far too long, stuck in a few sounds, or silent for long) is spoken once more, and silence at its end trimmed.</summary>
    public bool GuardQuality { get; set; } = true;
}
