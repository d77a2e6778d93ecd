using System.ComponentModel.DataAnnotations;

namespace Chatterbox.Service.Voices;

/// <summary>How computed voices are kept, and limits of uploads.</summary>
internal sealed class VoiceOptions
{
    /// <summary>Name of the section in the settings.</summary>
    public const string Section = "Voices";

    /// <summary>Folder in which computed voices are kept; empty for one inside <c>Service:AudioFolder</c>.</summary>
    public string CacheFolder { get; set; } = "";

    /// <summary>Most computed voices kept in memory, some 0.3 MB each.</summary>
    [Range(1, 100_000)]
    public int MaxInMemory { get; set; } = 64;

    /// <summary>Most computed voices kept on disk; 0 keeps none.</summary>
    [Range(0, 1_000_000)]
    public int MaxOnDisk { get; set; } = 1000;

    /// <summary>Whether voices can be uploaded and deleted over HTTP.</summary>
    public bool UploadsEnabled { get; set; }

    /// <summary>Largest upload, bytes.</summary>
    [Range(1024, 1 << 30)]
    public long MaxUploadBytes { get; set; } = 20 << 20;

    /// <summary>Longest recording that may be uploaded, seconds.</summary>
    [Range(1, 3600)]
    public double MaxUploadSeconds { get; set; } = 120;
}
