namespace Chatterbox.Extensions.AI;

/// <summary>What a <see cref="ChatterboxTextToSpeechClient"/> uses where a request names nothing else, and what its names stand
/// for.</summary>
public sealed class ChatterboxTextToSpeechOptions
{
    /// <summary>Name of the engine's model, reported in metadata and responses. A request that names another is refused.</summary>
    public string ModelId { get; set; } = "chatterbox";

    /// <summary>Format of the audio: a name as <see cref="Audio.AudioFormat.Parse"/> reads it, or a media type.</summary>
    public string AudioFormat { get; set; } = "wav";

    /// <summary>The voices by the ids that requests name them with. The model's own voice needs no id.</summary>
    public IDictionary<string, Voice> Voices { get; } = new Dictionary<string, Voice>(StringComparer.Ordinal);

    /// <summary>How speech tokens are chosen.</summary>
    public SamplingOptions Sampling { get; set; } = new();

    /// <summary>How texts become what is spoken.</summary>
    public Text.TextOptions Text { get; set; } = new();

    /// <summary>How streams are cut into chunks.</summary>
    public ChunkOptions Chunks { get; set; } = new();
}
