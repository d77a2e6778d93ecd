using System.ComponentModel.DataAnnotations;

namespace Chatterbox.Service.Models;

/// <summary>How long models stay in memory. The setting <c>Model</c> names them.</summary>
internal sealed class ModelsOptions
{
    /// <summary>Name of the section in the settings.</summary>
    public const string Section = "Models";

    /// <summary>Most memory for the weights of models, GiB; 0 sets no limit. The working memory of requests is not included.</summary>
    [Range(0, 65_536)]
    public double MemoryGiB { get; set; }

    /// <summary>Seconds after which an unused model is unloaded; 0 keeps it.</summary>
    [Range(0, 31_536_000)]
    public double UnloadAfterSeconds { get; set; }

    /// <summary>Whether the device's arithmetic is checked against known answers as a model is loaded.</summary>
    public bool SelfCheck { get; set; } = true;
}
