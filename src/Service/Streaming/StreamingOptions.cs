using System.ComponentModel.DataAnnotations;
using Chatterbox.Service.Models;

namespace Chatterbox.Service.Streaming;

/// <summary>How speech is cut into chunks that are sent while the rest is still being made; section <c>Streaming</c>.</summary>
internal sealed class StreamingOptions
{
    /// <summary>Name of the section in the settings.</summary>
    public const string Section = "Streaming";

    // A second of speech with what the models look ahead. The chunks behind it double, which a GPU that is shared by many keeps up with.
    private const int SeededFirstTokens = 16;

    /// <inheritdoc cref="ChunkOptions.FirstTokens"/>
    /// <remarks>0 lets the sizes follow from how fast the model is. A request that names a seed gets the same speech
    /// each time, so for it they follow from nothing: <see cref="SeededFirstTokens"/> on a GPU, the whole piece on a CPU.</remarks>
    [Range(0, 1000)]
    public int FirstTokens { get; set; }

    /// <inheritdoc cref="ChunkOptions.MostTokens"/>
    [Range(1, 1000)]
    public int MostTokens { get; set; } = new ChunkOptions().MostTokens;

    /// <inheritdoc cref="ChunkOptions.LeftContext"/>
    [Range(0, 4096)]
    public int LeftContext { get; set; } = new ChunkOptions().LeftContext;

    /// <summary>How a request's pieces are cut.</summary>
    /// <param name="model">Who speaks.</param>
    /// <param name="isSeeded">Whether the request names its seed.</param>
    /// <returns>Null where they come whole.</returns>
    public ChunkOptions? For(ServedModel model, bool isSeeded)
    {
        var first = FirstTokens > 0 ? FirstTokens : isSeeded ? SeededFirstTokens : (int?)null;
        return FirstTokens == 0 && isSeeded && model.Device == "cpu" ? null
            : new ChunkOptions { FirstTokens = first, MostTokens = MostTokens, LeftContext = LeftContext };
    }
}
