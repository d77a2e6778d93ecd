using System.ComponentModel.DataAnnotations;

namespace Chatterbox.Service.Streaming;

/// <summary>How speech is cut into chunks that are sent while the rest is still being made, and what a session over a WebSocket
/// may ask for; section <c>Streaming</c>.</summary>
internal sealed class StreamingOptions
{
    /// <summary>Name of the section in the settings.</summary>
    public const string Section = "Streaming";

    /// <inheritdoc cref="ChunkOptions.FirstTokens"/>
    /// <remarks>0 lets the sizes follow from how fast the model is.</remarks>
    [Range(0, 1000)]
    public int FirstTokens { get; set; }

    /// <inheritdoc cref="ChunkOptions.MostTokens"/>
    [Range(1, 1000)]
    public int MostTokens { get; set; } = new ChunkOptions().MostTokens;

    /// <inheritdoc cref="ChunkOptions.LeftContext"/>
    [Range(0, 4096)]
    public int LeftContext { get; set; } = new ChunkOptions().LeftContext;

    /// <inheritdoc cref="ChunkOptions.FirstPrompt"/>
    [Range(0, 4096)]
    public int FirstPrompt { get; set; } = new ChunkOptions().FirstPrompt;

    /// <summary>Most characters of text that a session may have sent and not heard yet.</summary>
    [Range(100, 10_000_000)]
    public int MaxWaitingCharacters { get; set; } = 20_000;

    /// <summary>Longest message of a session's client, bytes.</summary>
    [Range(1024, 1 << 24)]
    public int MaxMessageBytes { get; set; } = 1 << 16;

    /// <summary>Seconds after which a session is closed in which nothing comes and nothing is spoken.</summary>
    [Range(0.1, 86_400)]
    public double IdleSeconds { get; set; } = 300;

    /// <summary>How a request's pieces are cut.</summary>
    public ChunkOptions Chunks() => new()
    {
        FirstTokens = FirstTokens > 0 ? FirstTokens : null,
        MostTokens = MostTokens,
        LeftContext = LeftContext,
        FirstPrompt = FirstPrompt,
    };
}
