using System.ComponentModel.DataAnnotations;

namespace Chatterbox.Service.Hosting;

/// <summary>Settings of the service itself; section <c>Service</c>.</summary>
internal sealed class ServiceOptions
{
    /// <summary>Name of the section in the settings.</summary>
    public const string Section = "Service";

    /// <summary>Address to listen on: <c>*</c> for every one of the machine's, <c>localhost</c> for none from outside.</summary>
    [Required]
    public string Address { get; set; } = "*";

    /// <summary>Port to listen on; 0 takes any that is free.</summary>
    [Range(0, 65535)]
    public int Port { get; set; } = 8002;

    /// <summary>Folder of reference voices.</summary>
    [Required]
    public string VoicesFolder { get; set; } = "/shared/reference_voices";

    /// <summary>Folder of finished files.</summary>
    [Required]
    public string AudioFolder { get; set; } = "/shared/audio";

    /// <summary>Most bytes of finished files; beyond it those that nobody has asked for longest are deleted.</summary>
    [Range(1L << 26, 1L << 45)]
    public long MaxAudioBytes { get; set; } = 10L << 30;

    /// <summary>Hours after which a finished file that nobody asks for is deleted; 0 keeps them for any time.</summary>
    [Range(0, 87_600)]
    public double MaxAudioHours { get; set; }

    /// <summary>The ffmpeg program, by path or by name in PATH: for mp3, opus, aac, flac, and for speeds other than 1.</summary>
    [Required]
    public string Ffmpeg { get; set; } = "ffmpeg";

    /// <summary>Largest request body, bytes; uploads of voices have a limit of their own.</summary>
    [Range(1024, 1 << 30)]
    public long MaxRequestBytes { get; set; } = 1 << 20;

    /// <summary>Most seconds that what has begun may take after the service was told to stop.</summary>
    [Range(0, 3600)]
    public double ShutdownSeconds { get; set; } = 30;

    /// <summary>Whether the texts of users are written to the log.</summary>
    public bool LogTexts { get; set; }
}
