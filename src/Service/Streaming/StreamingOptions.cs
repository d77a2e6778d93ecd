using System.ComponentModel.DataAnnotations;

namespace Chatterbox.Service.Streaming;

/// <summary>Sizes of the chunks that are sent while the rest is being generated, and limits of a session over a WebSocket.</summary>
internal sealed class StreamingOptions
{
    /// <summary>Name of the section in the settings.</summary>
    public const string Section = "Streaming";

    /// <inheritdoc cref="ChunkOptions.FirstTokens"/>
    /// <remarks>0 stands for null.</remarks>
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

    /// <summary>Most characters of a session's text that may wait to be spoken.</summary>
    [Range(100, 10_000_000)]
    public int MaxWaitingCharacters { get; set; } = 20_000;

    /// <summary>Longest message of a session's client, bytes.</summary>
    [Range(1024, 1 << 24)]
    public int MaxMessageBytes { get; set; } = 1 << 16;

    /// <summary>Seconds without messages and speech after which a session is closed.</summary>
    [Range(0.1, 86_400)]
    public double IdleSeconds { get; set; } = 300;

    /// <summary>Most sessions at once. One client may have as many of them as stay free for others.</summary>
    [Range(1, 1_000_000)]
    public int MaxSessions { get; set; } = 1000;

    /// <summary>How a request's pieces are cut.</summary>
    public ChunkOptions Chunks() =>
        new()
        {
            FirstTokens = FirstTokens > 0 ? FirstTokens : null,
            MostTokens = MostTokens,
            LeftContext = LeftContext,
            FirstPrompt = FirstPrompt,
        };
}
