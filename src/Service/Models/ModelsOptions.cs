using System.ComponentModel.DataAnnotations;

namespace Chatterbox.Service.Models;

/// <summary>How long models stay in memory; section <c>Models</c>. Which there are says the setting <c>Model</c>.</summary>
internal sealed class ModelsOptions
{
    /// <summary>Name of the section in the settings.</summary>
    public const string Section = "Models";

    /// <summary>Most memory for the weights of models, GiB; 0 sets no limit. What a request needs while it is spoken comes on top.</summary>
    [Range(0, 65_536)]
    public double MemoryGiB { get; set; }

    /// <summary>Seconds after which a model that nobody has used is unloaded; 0 keeps it.</summary>
    [Range(0, 31_536_000)]
    public double UnloadAfterSeconds { get; set; }
}
